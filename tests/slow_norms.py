"""Batch normalisation as whole arrays in numpy, in the order of operations that the loops have for each element."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[Any], ...]


def normalise_slowly(input: NDArray[Any], scale: NDArray[Any], shift: NDArray[Any], epsilon: float) -> Arrays:
    """Give output, mean and 1 / sqrt(variance + epsilon); sums are of float64."""
    axes, spread = (0, *range(2, input.ndim)), (-1, *(1,) * (input.ndim - 2))
    mean = input.mean(axis=axes, keepdims=True, dtype=np.float64).astype(input.dtype)
    centred = input - mean
    variance = np.square(centred).mean(axis=axes, keepdims=True, dtype=np.float64)
    inverse = (1 / np.sqrt(variance + epsilon)).astype(input.dtype)
    return centred * (inverse * scale.reshape(spread)) + shift.reshape(spread), mean, inverse


def hand_back_slowly(
    grad_output: NDArray[Any], input: NDArray[Any], scale: NDArray[Any], mean: NDArray[Any], inverse: NDArray[Any]
) -> Arrays:
    """Give the gradients to input, scale and shift."""
    axes, dtype = (0, *range(2, input.ndim)), input.dtype
    normalised = (input - mean) * inverse
    by_shift = grad_output.sum(axis=axes, keepdims=True, dtype=np.float64)
    by_scale = (grad_output * normalised).sum(axis=axes, keepdims=True, dtype=np.float64)
    elements = input.size // input.shape[1]
    gradient = grad_output - (by_shift / elements).astype(dtype)
    gradient -= normalised * (by_scale / elements).astype(dtype)
    gradient *= inverse * scale.reshape(-1, *(1,) * (input.ndim - 2))
    return gradient, by_scale.reshape(-1).astype(dtype), by_shift.reshape(-1).astype(dtype)
