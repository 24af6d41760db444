"""The three steps of a product of two activations."""

from __future__ import annotations

import numpy as np

from workloads.arrays import BoolArray
from workloads.reference.arrays import Array, require_shape
from workloads.shapes import MatmulShape


def turn(matrices: Array, is_transposed: bool) -> Array:
    """Exchange the last two axes of what is transposed."""
    return np.swapaxes(matrices, -1, -2) if is_transposed else matrices


def matmul_forward(a: Array, b: Array, shape: MatmulShape) -> Array:
    """Multiply A ``(N, ..., T, C)`` by B ``(N, ..., C, M)``, each as the shape has it, to ``(N, ..., T, M)``."""
    require_shape("a", a, shape.input_shape)
    require_shape("b", b, shape.weight_shape)
    output: Array = turn(a, shape.transpose_a) @ turn(b, shape.transpose_b)
    return scale(output, shape)


def matmul_gta(grad_output: Array, b: Array, shape: MatmulShape, mask: BoolArray | None = None) -> Array:
    """Gradient to A, of A's shape, from grad_output ``(N, ..., T, M)``; zero where the mask is not set."""
    require_shape("grad_output", grad_output, shape.output_shape)
    require_shape("b", b, shape.weight_shape)
    gradient: Array = grad_output @ np.swapaxes(turn(b, shape.transpose_b), -1, -2)
    grad_a = np.ascontiguousarray(turn(scale(gradient, shape), shape.transpose_a))
    if mask is not None:
        require_shape("mask", mask, shape.input_shape)
        np.copyto(grad_a, 0, where=~mask)
    return grad_a


def matmul_gtw(a: Array, grad_output: Array, shape: MatmulShape) -> Array:
    """Gradient to B, of B's shape, from A and grad_output ``(N, ..., T, M)``."""
    require_shape("a", a, shape.input_shape)
    require_shape("grad_output", grad_output, shape.output_shape)
    gradient: Array = np.swapaxes(turn(a, shape.transpose_a), -1, -2) @ grad_output
    return np.ascontiguousarray(turn(scale(gradient, shape), shape.transpose_b))


def scale(product: Array, shape: MatmulShape) -> Array:
    """Multiply by the scale, where it is another than 1."""
    if shape.scale != 1:
        product *= product.dtype.type(shape.scale)
    return product
