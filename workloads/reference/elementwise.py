"""Layers that work element by element or join tensors: ReLU, dropout, add, concat."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import inf

import numpy as np

from workloads.arrays import BoolArray
from workloads.draws import keyed_generator
from workloads.reference.arrays import Array


def relu_forward(input: Array, ceiling: float = inf) -> Array:
    """max(x, 0), and at most the ceiling."""
    rectified: Array = np.maximum(input, 0)
    return rectified if ceiling == inf else np.minimum(rectified, ceiling, out=rectified)


def relu_backward(grad_output: Array, output: Array | BoolArray, ceiling: float = inf) -> Array:
    """Pass the gradient where the output is positive and below the ceiling, above 1; flags of that may be given."""
    return grad_output * (output > 0) if ceiling == inf else grad_output * ((output > 0) & (output < ceiling))


def draw_dropout_mask(shape: tuple[int, ...], rate: float, *, seed: int, layer: str, iteration: int = 0) -> BoolArray:
    """Draw which elements of ``(N, ...)`` are kept; image n's draw follows from (seed, layer, iteration, n) alone."""
    kept = np.empty(shape, dtype=np.bool_)
    for n in range(shape[0]):
        kept[n] = keyed_generator(seed, layer, "dropout", iteration, n).random(shape[1:]) >= rate
    return kept


def dropout_forward(input: Array, kept: BoolArray, rate: float) -> Array:
    """Zero what is not kept and scale the rest by 1 / (1 - rate); its own backward, for gradients."""
    scaled: Array = input * kept
    scaled *= 1 / (1 - rate)
    return scaled


def add_forward(inputs: Sequence[Array]) -> Array:
    """Sum of equally shaped tensors, in their order; its backward hands the gradient to each."""
    return reduce(np.add, inputs)


def concat_forward(inputs: Sequence[Array], axis: int = 1) -> Array:
    """Join tensors along an axis, the channels of ``(N, C_i, ...)``."""
    return np.concatenate(inputs, axis=axis)


def concat_backward(grad_output: Array, lengths: Sequence[int], axis: int = 1) -> tuple[Array, ...]:
    """Cut the gradient into parts of the given lengths."""
    borders = np.cumsum(lengths)[:-1]
    return tuple(np.split(grad_output, borders, axis=axis))


def reduce_to(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which a tensor of this shape, of as many axes, was spread; in float64."""
    axes = tuple(axis for axis, length in enumerate(shape) if length == 1 and gradient.shape[axis] != 1)
    if not axes:
        return gradient
    total: Array = gradient.sum(axis=axes, keepdims=True, dtype=np.float64).astype(gradient.dtype)
    return total
