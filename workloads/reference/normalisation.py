"""Batch normalisation in training mode, for ``(N, C, H, W)`` and ``(N, C)``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.reference.arrays import Array


@dataclass(frozen=True, eq=False)
class BatchStatistics:
    """Mean and 1 / sqrt(variance + epsilon) of each channel, shaped to broadcast over the input."""

    mean: Array
    inverse_deviation: Array


def batch_norm_forward(input: Array, scale: Array, shift: Array, epsilon: float) -> tuple[Array, BatchStatistics]:
    """Normalise each channel over batch and positions with the biased variance, then scale and shift ``(C,)``."""
    axes = _reduced_axes(input)
    mean = input.mean(axis=axes, keepdims=True, dtype=np.float64)
    centred = input - mean.astype(input.dtype)
    variance = np.square(centred).mean(axis=axes, keepdims=True, dtype=np.float64)
    statistics = BatchStatistics(mean.astype(input.dtype), (1 / np.sqrt(variance + epsilon)).astype(input.dtype))
    centred *= statistics.inverse_deviation * _per_channel(scale, input)
    centred += _per_channel(shift, input)
    return centred, statistics


def batch_norm_backward(
    grad_output: Array, input: Array, scale: Array, statistics: BatchStatistics
) -> tuple[Array, Array, Array]:
    """Gradients to the input, the scale ``(C,)`` and the shift ``(C,)``, through mean and variance."""
    axes = _reduced_axes(input)
    normalised = (input - statistics.mean) * statistics.inverse_deviation
    grad_shift = grad_output.sum(axis=axes, keepdims=True, dtype=np.float64)
    grad_scale = np.multiply(grad_output, normalised).sum(axis=axes, keepdims=True, dtype=np.float64)
    elements = input.size // input.shape[1]
    dtype = input.dtype
    grad_input = grad_output - (grad_shift / elements).astype(dtype)
    grad_input -= normalised * (grad_scale / elements).astype(dtype)
    grad_input *= statistics.inverse_deviation * _per_channel(scale, input)
    return grad_input, grad_scale.reshape(-1).astype(dtype), grad_shift.reshape(-1).astype(dtype)


def _reduced_axes(input: NDArray[Any]) -> tuple[int, ...]:
    return (0, *range(2, input.ndim))


def _per_channel(vector: Array, input: Array) -> Array:
    return vector.reshape(-1, *(1,) * (input.ndim - 2))
