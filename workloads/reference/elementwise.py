"""Layers that work element by element or join tensors: ReLU, dropout, add, concat."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import inf

import numpy as np

from workloads.arrays import BoolArray
from workloads.draws import keyed_generator
from workloads.kernel import freeze
from workloads.reference.arrays import Array
from workloads.reference.element_loops import multiply_between, multiply_by_mask
from workloads.workers import share_elements


def relu_forward(input: Array, ceiling: float = inf) -> Array:
    """max(x, 0), and at most the ceiling."""
    values = freeze(input).reshape(-1)
    rectified = np.empty_like(values)

    def rectify(run: slice) -> None:
        np.maximum(values[run], 0, out=rectified[run])
        if ceiling < inf:
            np.minimum(rectified[run], ceiling, out=rectified[run])

    share_elements(rectify, values.size)
    return rectified.reshape(input.shape)


def relu_backward(grad_output: Array, output: Array | BoolArray, ceiling: float = inf) -> Array:
    """Pass the gradient where the output is positive and below the ceiling, above 1; flags of that may be given."""
    values, places = freeze(grad_output).reshape(-1), freeze(output).reshape(-1)
    passed, zero = np.empty_like(values), values.dtype.type(0)

    def select(run: slice) -> None:
        multiply_between(values[run], places[run], ceiling, zero, passed[run])

    share_elements(select, values.size)
    return passed.reshape(grad_output.shape)


def mask_gradient(gradient: Array, output: Array, ceiling: float = inf) -> tuple[Array, BoolArray]:
    """Multiply by the mask of a ReLU's output, set where that is not zero and below the ceiling; give the mask too."""
    values, places = freeze(gradient).reshape(-1), freeze(output).reshape(-1)
    masked, mask, zero = np.empty_like(values), np.empty(values.shape, np.bool_), values.dtype.type(0)

    def multiply(run: slice) -> None:
        multiply_by_mask(values[run], places[run], ceiling, zero, mask[run], masked[run])

    share_elements(multiply, values.size)
    return masked.reshape(gradient.shape), mask.reshape(gradient.shape)


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
    """Sum of tensors of as many axes, in their order, spread where they have the length 1."""
    first, *others = inputs
    if not others or any(other.shape != first.shape or other.dtype != first.dtype for other in others):
        return reduce(np.add, inputs)
    summands = [freeze(input).reshape(-1) for input in inputs]
    total = np.empty_like(summands[0])

    def add(run: slice) -> None:
        np.add(summands[0][run], summands[1][run], out=total[run])
        for other in summands[2:]:
            total[run] += other[run]

    share_elements(add, total.size)
    return total.reshape(first.shape)


def concat_forward(inputs: Sequence[Array], axis: int = 1) -> Array:
    """Join tensors along an axis, the channels of ``(N, C_i, ...)``."""
    return np.concatenate(inputs, axis=axis)


def concat_backward(grad_output: Array, lengths: Sequence[int], axis: int = 1) -> tuple[Array, ...]:
    """Cut the gradient into parts of the given lengths."""
    borders = np.cumsum(lengths)[:-1]
    return tuple(np.split(grad_output, borders, axis=axis))


def reduce_to(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which a tensor of this shape, ``(N, ...)``, was spread; in float64."""
    spread = align_shape(shape, gradient.ndim)
    axes = tuple(axis for axis, length in enumerate(spread) if length == 1 and gradient.shape[axis] != 1)
    if axes:
        gradient = gradient.sum(axis=axes, keepdims=True, dtype=np.float64).astype(gradient.dtype)
    return gradient.reshape(shape)


def align_shape(shape: tuple[int, ...], axes: int) -> tuple[int, ...]:
    """Give a shape ``(N, ...)`` so many axes, by axes of length 1 behind the batch."""
    return (*shape[:1], *[1] * (axes - len(shape)), *shape[1:])


def align_arrays(inputs: Sequence[Array]) -> list[Array]:
    """Give tensors ``(N, ...)`` as many axes as the one that has most, as `align_shape` does."""
    axes = max(input.ndim for input in inputs)
    return [input.reshape(align_shape(input.shape, axes)) for input in inputs]
