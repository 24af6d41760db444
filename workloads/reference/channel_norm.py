"""The loops of batch normalisation: each channel of ``(N, C, L)`` while a core's cache holds it, sums in float64.

Arrays are handed over as one row of elements; a loop goes through some channels, from the first to before the last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.kernel import kernel

Sizes = tuple[int, int, int]
Span = tuple[int, int]


@kernel
def normalise_batch(
    input: NDArray[Any], sizes: Sizes, channels: Span, affine: NDArray[Any], epsilon: float,
    sums: NDArray[np.float64], statistics: NDArray[Any], output: NDArray[Any],
) -> None:  # fmt: skip
    """Normalise, scale and shift.

    Args:
        affine: Scale and shift ``(2, C)``.
        sums: Room to work in; its length decides the order of additions.
        statistics: ``(3, C)``, where mean, 1 / sqrt(variance + epsilon) and variance are written.
    """
    N, C, length = sizes
    L, lanes = np.uint64(length), np.uint64(len(sums))
    for c in range(channels[0], channels[1]):
        sums[:] = 0
        for n in range(N):
            start = np.uint64((n * C + c) * length)
            for first in range(np.uint64(0), L, lanes):
                for i in range(min(lanes, L - first)):
                    sums[i] += np.float64(input[start + first + i])
        statistics[0, c] = add_lanes(sums) / (N * length)
        mean = statistics[0, c]
        sums[:] = 0
        for n in range(N):
            start = np.uint64((n * C + c) * length)
            for first in range(np.uint64(0), L, lanes):
                for i in range(min(lanes, L - first)):
                    centred = input[start + first + i] - mean
                    sums[i] += np.float64(centred * centred)
        variance = add_lanes(sums) / (N * length)
        statistics[1, c], statistics[2, c] = 1 / np.sqrt(variance + epsilon), variance
        factor, shift = statistics[1, c] * affine[0, c], affine[1, c]
        for n in range(N):
            start = np.uint64((n * C + c) * length)
            for i in range(L):
                output[start + i] = (input[start + i] - mean) * factor + shift


@kernel
def apply_statistics(
    input: NDArray[Any], sizes: Sizes, channels: Span, affine: NDArray[Any], statistics: NDArray[Any],
    output: NDArray[Any],
) -> None:  # fmt: skip
    """Normalise, scale and shift with statistics ``(2, C)`` that are known: mean and 1 / sqrt(variance + epsilon)."""
    N, C, length = sizes
    for n in range(N):
        for c in range(channels[0], channels[1]):
            mean, factor, shift = statistics[0, c], statistics[1, c] * affine[0, c], affine[1, c]
            start = np.uint64((n * C + c) * length)
            for i in range(np.uint64(length)):
                output[start + i] = (input[start + i] - mean) * factor + shift


@kernel
def hand_back_batch(
    grad_output: NDArray[Any], input: NDArray[Any], sizes: Sizes, channels: Span, scale: NDArray[Any],
    statistics: NDArray[Any], sums: NDArray[np.float64], grad_affine: NDArray[Any], grad_input: NDArray[Any],
) -> None:  # fmt: skip
    """Write the gradient to the input, through mean and variance, and those to scale and shift ``(2, C)``.

    Args:
        statistics: Mean and 1 / sqrt(variance + epsilon) ``(2, C)``, as `normalise_batch` wrote them.
        sums: Room to work in, ``(2, any)``.
    """
    N, C, length = sizes
    L, lanes = np.uint64(length), np.uint64(sums.shape[1])
    by_scale, by_shift = sums[0], sums[1]
    for c in range(channels[0], channels[1]):
        mean, inverse = statistics[0, c], statistics[1, c]
        sums[:] = 0
        for n in range(N):
            start = np.uint64((n * C + c) * length)
            for first in range(np.uint64(0), L, lanes):
                for i in range(min(lanes, L - first)):
                    gradient = grad_output[start + first + i]
                    by_shift[i] += np.float64(gradient)
                    by_scale[i] += np.float64(gradient * ((input[start + first + i] - mean) * inverse))
        total_scale, total_shift = add_lanes(by_scale), add_lanes(by_shift)
        # Rounded to the tensors' dtype on the way through the array that also holds what is handed back.
        grad_affine[0, c], grad_affine[1, c] = total_scale / (N * length), total_shift / (N * length)
        mean_scale, mean_shift, factor = grad_affine[0, c], grad_affine[1, c], inverse * scale[c]
        grad_affine[0, c], grad_affine[1, c] = total_scale, total_shift
        for n in range(N):
            start = np.uint64((n * C + c) * length)
            for i in range(L):
                normalised = (input[start + i] - mean) * inverse
                grad_input[start + i] = (grad_output[start + i] - mean_shift - normalised * mean_scale) * factor


@kernel
def add_lanes(sums: NDArray[np.float64]) -> float:
    """Add all places of a row."""
    total = 0.0
    for i in range(len(sums)):
        total += sums[i]
    return total
