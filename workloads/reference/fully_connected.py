"""The three steps of a fully connected layer."""

from __future__ import annotations

import numpy as np

from workloads.arrays import BoolArray
from workloads.reference.arrays import Array, require_shape
from workloads.shapes import LinearShape
from workloads.workers import share_out

# Products of numbers from which on a multiplication is worth another thread, and the parts that it is cut into.
SHARED_PRODUCTS = 2**22
COLUMN_PARTS = 2


def linear_forward(input: Array, weight: Array, shape: LinearShape) -> Array:
    """Multiply, without bias: input ``(N, ..., C)`` and weight ``(M, C)`` to ``(N, ..., M)``."""
    require_shape("input", input, shape.input_shape)
    require_shape("weight", weight, shape.weight_shape)
    return _multiply(input, weight.T)


def linear_gta(grad_output: Array, weight: Array, shape: LinearShape, mask: BoolArray | None = None) -> Array:
    """Gradient to the input ``(N, ..., C)`` from grad_output ``(N, ..., M)``; zero where the mask is not set."""
    require_shape("grad_output", grad_output, shape.output_shape)
    require_shape("weight", weight, shape.weight_shape)
    grad_input = _multiply(grad_output, weight)
    if mask is not None:
        require_shape("mask", mask, shape.input_shape)
        np.copyto(grad_input, 0, where=~mask)
    return grad_input


def linear_gtw(input: Array, grad_output: Array, shape: LinearShape) -> Array:
    """Gradient to the weight ``(M, C)`` from input ``(N, ..., C)`` and grad_output ``(N, ..., M)``."""
    require_shape("input", input, shape.input_shape)
    require_shape("grad_output", grad_output, shape.output_shape)
    rows = shape.by_row()
    return _multiply(grad_output.reshape(rows.output_shape).T, input.reshape(rows.input_shape))


def _multiply(first: Array, second: Array) -> Array:
    """Multiply by a matrix ``(C, M)``, whose columns threads share where the product is large."""
    columns = second.shape[1]
    parts = min(COLUMN_PARTS, columns) if first.size * columns >= SHARED_PRODUCTS else 1
    product = np.empty((*first.shape[:-1], columns), np.result_type(first, second))

    def multiply(part: int) -> None:
        chosen = slice(columns * part // parts, columns * (part + 1) // parts)
        np.matmul(first, second[:, chosen], out=product[..., chosen])

    share_out(multiply, parts)
    return product
