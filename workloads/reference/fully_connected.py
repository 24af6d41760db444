"""The three steps of a fully connected layer."""

from __future__ import annotations

import numpy as np

from workloads.arrays import BoolArray
from workloads.reference.arrays import Array, require_shape
from workloads.shapes import LinearShape


def linear_forward(input: Array, weight: Array, shape: LinearShape) -> Array:
    """Multiply, without bias: input ``(N, ..., C)`` and weight ``(M, C)`` to ``(N, ..., M)``."""
    require_shape("input", input, shape.input_shape)
    require_shape("weight", weight, shape.weight_shape)
    output: Array = input @ weight.T
    return output


def linear_gta(grad_output: Array, weight: Array, shape: LinearShape, mask: BoolArray | None = None) -> Array:
    """Gradient to the input ``(N, ..., C)`` from grad_output ``(N, ..., M)``; zero where the mask is not set."""
    require_shape("grad_output", grad_output, shape.output_shape)
    require_shape("weight", weight, shape.weight_shape)
    grad_input: Array = grad_output @ weight
    if mask is not None:
        require_shape("mask", mask, shape.input_shape)
        np.copyto(grad_input, 0, where=~mask)
    return grad_input


def linear_gtw(input: Array, grad_output: Array, shape: LinearShape) -> Array:
    """Gradient to the weight ``(M, C)`` from input ``(N, ..., C)`` and grad_output ``(N, ..., M)``."""
    require_shape("input", input, shape.input_shape)
    require_shape("grad_output", grad_output, shape.output_shape)
    rows = shape.by_row()
    grad_weight: Array = grad_output.reshape(rows.output_shape).T @ input.reshape(rows.input_shape)
    return grad_weight
