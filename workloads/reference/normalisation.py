"""Normalisation: over the batch in training mode, over rows of each image, and over neighbouring channels.

Batch normalisation is for ``(N, C, H, W)`` and ``(N, C)``. A *row* is what lies together in C order: the last axes of
layer normalisation, the channels and positions of a group of group normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.kernel import freeze
from workloads.reference.arrays import Array
from workloads.reference.channel_norm import apply_statistics, hand_back_batch, normalise_batch
from workloads.reference.scratch import take_scratch
from workloads.workers import share_out

# Threads share the channels out in so many parts.
CHANNEL_PARTS = 4
# Sums beside each other, whose additions need not wait for one another.
SUM_LANES = 256


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and 1 / sqrt(variance + epsilon) of each channel or row, shaped to broadcast over what is normalised.

    Attributes:
        variance: Biased, where it is of a batch.
    """

    mean: Array
    inverse_deviation: Array
    variance: Array


def make_statistics(mean: Array, variance: Array, epsilon: float, input: Array) -> Statistics:
    """Make statistics of channels of known mean and variance ``(C,)``."""
    inverse = 1 / np.sqrt(variance.astype(np.float64) + epsilon)
    return Statistics(*(_per_channel(one.astype(input.dtype), input) for one in (mean, inverse, variance)))


def normalise_channels(input: Array, statistics: Statistics, scale: Array, shift: Array) -> Array:
    """Normalise each channel with statistics that are known, then scale and shift ``(C,)``."""
    dtype, sizes = input.dtype, _channel_sizes(input)
    values, affine = freeze(input).reshape(-1), np.stack([scale, shift]).astype(dtype)
    known = np.stack([statistics.mean.reshape(-1), statistics.inverse_deviation.reshape(-1)]).astype(dtype)
    output = np.empty(input.shape, dtype)

    def normalise(part: int) -> None:
        apply_statistics(values, sizes, _part_of(sizes[1], part), affine, known, output.reshape(-1))

    share_out(normalise, CHANNEL_PARTS)
    return output


def batch_norm_forward(input: Array, scale: Array, shift: Array, epsilon: float) -> tuple[Array, Statistics]:
    """Normalise each channel over batch and positions with the biased variance, then scale and shift ``(C,)``."""
    dtype, sizes = input.dtype, _channel_sizes(input)
    values, affine = freeze(input).reshape(-1), np.stack([scale, shift]).astype(dtype)
    found, output = np.empty((3, sizes[1]), dtype), np.empty(input.shape, dtype)

    def normalise(part: int) -> None:
        sums = take_scratch("sums", (SUM_LANES,), np.float64)
        channels = _part_of(sizes[1], part)
        normalise_batch(values, sizes, channels, affine, epsilon, sums, found, output.reshape(-1))

    share_out(normalise, CHANNEL_PARTS)
    return output, Statistics(*(_per_channel(one, input)[None] for one in found))


def batch_norm_backward(
    grad_output: Array, input: Array, scale: Array, statistics: Statistics
) -> tuple[Array, Array, Array]:
    """Gradients to the input, the scale ``(C,)`` and the shift ``(C,)``, through mean and variance."""
    dtype, sizes = input.dtype, _channel_sizes(input)
    gradient, values = freeze(grad_output.astype(dtype, copy=False)).reshape(-1), freeze(input).reshape(-1)
    found = np.stack([statistics.mean.reshape(-1), statistics.inverse_deviation.reshape(-1)]).astype(dtype)
    scales, grad_affine, grad_input = scale.astype(dtype), np.empty_like(found), np.empty(input.shape, dtype)

    def hand_back(part: int) -> None:
        sums = take_scratch("sums", (2, SUM_LANES), np.float64)
        channels = _part_of(sizes[1], part)
        hand_back_batch(
            gradient, values, sizes, channels, scales, found, sums, grad_affine, grad_input.reshape(-1)
        )  # fmt: skip

    share_out(hand_back, CHANNEL_PARTS)
    return grad_input, grad_affine[0], grad_affine[1]


def row_norm_forward(input: Array, length: int, epsilon: float) -> tuple[Array, Statistics]:
    """Normalise each row of `length` elements with its biased variance; scale and shift are not in it."""
    rows = input.reshape(-1, length)
    centred, statistics = _centre(rows, (1,), epsilon)
    centred *= statistics.inverse_deviation
    return centred.reshape(input.shape), statistics


def row_norm_backward(grad_normalised: Array, normalised: Array, statistics: Statistics, length: int) -> Array:
    """Gradient to the input, through mean and variance, from that to what `row_norm_forward` gave."""
    grads, rows, dtype = grad_normalised.reshape(-1, length), normalised.reshape(-1, length), normalised.dtype
    grad_input: Array = grads - grads.mean(axis=1, keepdims=True, dtype=np.float64).astype(dtype)
    grad_input -= rows * np.multiply(grads, rows).mean(axis=1, keepdims=True, dtype=np.float64).astype(dtype)
    grad_input *= statistics.inverse_deviation
    return grad_input.reshape(normalised.shape)


def normalise_again(input: Array, statistics: Statistics, length: int) -> Array:
    """Normalise rows with statistics that are known."""
    normalised = input.reshape(-1, length) - statistics.mean
    normalised *= statistics.inverse_deviation
    return normalised.reshape(input.shape)


@dataclass(frozen=True, slots=True)
class ResponseWindow:
    """Local response normalisation: x / (k + alpha / size times the sum of squares of `size` channels around)^beta.

    The window of a channel begins size // 2 before it; what lies outside counts as zero.
    """

    size: int
    alpha: float
    beta: float
    k: float


def response_norm_forward(input: Array, window: ResponseWindow) -> tuple[Array, Array]:
    """Divide ``(N, C, ...)``; the second result is what is raised to the power beta, for the backward pass."""
    base = _sum_channels(np.square(input), window.size // 2, window.size)
    base *= window.alpha / window.size
    base += window.k
    output: Array = input * base**-window.beta
    return output, base


def response_norm_backward(grad_output: Array, input: Array, base: Array, window: ResponseWindow) -> Array:
    """Gradient to the input; a channel is in the windows of those up to size // 2 behind it, too."""
    power = base**-window.beta
    shares = grad_output * input * power / base
    around = _sum_channels(shares, (window.size - 1) // 2, window.size)
    around *= 2 * window.alpha * window.beta / window.size
    grad_input: Array = grad_output * power - input * around
    return grad_input


def _sum_channels(values: Array, before: int, size: int) -> Array:
    """Sum over the `size` channels of which the first is `before` ahead of each one."""
    channels = values.shape[1]
    sums = np.zeros_like(values)
    for offset in range(max(-before, 1 - channels), min(size - before, channels)):
        first, last = max(0, -offset), min(channels, channels - offset)
        sums[:, first:last] += values[:, first + offset : last + offset]
    return sums


def _centre(input: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Statistics]:
    """Take the mean over the axes off; sums are made in float64."""
    mean = input.mean(axis=axes, keepdims=True, dtype=np.float64)
    centred = input - mean.astype(input.dtype)
    variance = np.square(centred).mean(axis=axes, keepdims=True, dtype=np.float64)
    inverse = 1 / np.sqrt(variance + epsilon)
    return centred, Statistics(*(one.astype(input.dtype) for one in (mean, inverse, variance)))


def _channel_sizes(input: NDArray[Any]) -> tuple[int, int, int]:
    """Give N, C and the positions of a channel."""
    return input.shape[0], input.shape[1], prod(input.shape[2:])


def _part_of(channels: int, part: int) -> tuple[int, int]:
    """Give the first channel of a part, and the one behind its last."""
    return channels * part // CHANNEL_PARTS, channels * (part + 1) // CHANNEL_PARTS


def _per_channel(vector: Array, input: Array) -> Array:
    return vector.reshape(-1, *(1,) * (input.ndim - 2))
