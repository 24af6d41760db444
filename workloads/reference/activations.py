"""Activations beside ReLU, of arrays of any shape: each function, and its derivative from its input or its output.

At the border of two pieces the derivative is that of the left one for leaky ReLU, as torch has it, and zero for what is
clipped. Results have the dtype of what is given.
"""

from __future__ import annotations

from math import erfc, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import BoolArray
from workloads.reference.arrays import Array

# D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units (GELUs)", arXiv 1606.08415, section 2.
GELU_CUBIC = 0.044715
# Elements for which one erfc is computed at a time: bounds the memory of Python's numbers.
ERFC_BLOCK = 2**16
_ERFC = np.frompyfunc(erfc, 1, 1)


def select_slope(grad_output: Array, flags: BoolArray, slopes: tuple[float, float]) -> Array:
    """Multiply the gradient by the second slope where the flag is set, else by the first."""
    first, second = (grad_output.dtype.type(slope) for slope in slopes)
    handed: Array = grad_output * np.where(flags, second, first)
    return handed


def leaky_relu(input: Array, negative_slope: float) -> Array:
    """Give x where it is positive, else negative_slope x."""
    return np.where(input > 0, input, input * negative_slope)


def sigmoid(input: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow at either end."""
    decay = np.exp(-np.abs(input))
    found: Array = np.where(input >= 0, 1, decay) / (1 + decay)
    return found


def sigmoid_slope(output: Array) -> Array:
    """Derivative of the sigmoid from its output."""
    return output * (1 - output)


def tanh_slope(output: Array) -> Array:
    """Derivative of the hyperbolic tangent from its output."""
    return 1 - np.square(output)


def hard_sigmoid(input: Array) -> Array:
    """min(max(x + 3, 0), 6) / 6."""
    return np.clip(input + 3, 0, 6) / 6


def hard_swish(input: Array) -> Array:
    """Compute x min(max(x + 3, 0), 6) / 6."""
    return input * hard_sigmoid(input)


def hard_swish_slope(input: Array) -> Array:
    """Derivative of hard swish from its input: 0 up to -3, 1 from 3 on, between them x / 3 + 1 / 2."""
    return np.where(input <= -3, 0, np.where(input >= 3, 1, input / 3 + 0.5)).astype(input.dtype, copy=False)


def silu(input: Array) -> Array:
    """Compute x sigmoid(x)."""
    return input * sigmoid(input)


def silu_slope(input: Array) -> Array:
    """Derivative of SiLU from its input."""
    gate = sigmoid(input)
    return gate * (1 + input * (1 - gate))


def normal_probability(input: Array) -> NDArray[np.float64]:
    """Phi(x), the probability that a standard normal number is at most x, to some units in the last place of float64.

    It is erfc(-x / sqrt 2) / 2 by the system's mathematical library, whose erfc is within one unit in the last place;
    unlike 1 + erf it keeps its relative accuracy far below zero, where only the rounding of the argument is magnified.
    """
    arguments = np.asarray(input, np.float64).reshape(-1) * -sqrt(0.5)
    found = np.empty(arguments.shape)
    for start in range(0, arguments.size, ERFC_BLOCK):
        span = slice(start, start + ERFC_BLOCK)
        found[span] = _ERFC(arguments[span])
    return found.reshape(input.shape) * 0.5


def gelu(input: Array) -> Array:
    """Compute x Phi(x), in float64 until the end."""
    return (input * normal_probability(input)).astype(input.dtype, copy=False)


def gelu_slope(input: Array) -> Array:
    """Derivative of GELU from its input: Phi(x) plus x times the normal density."""
    density = np.exp(-0.5 * np.square(input, dtype=np.float64)) / sqrt(2 * pi)
    return (normal_probability(input) + input * density).astype(input.dtype, copy=False)


def gelu_tanh(input: Array) -> Array:
    """GELU's approximation x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2."""
    found: Array = 0.5 * input * (1 + _gelu_tangent(input))
    return found


def gelu_tanh_slope(input: Array) -> Array:
    """Derivative of GELU's approximation from its input."""
    tangent = _gelu_tangent(input)
    inner = sqrt(2 / pi) * (1 + 3 * GELU_CUBIC * np.square(input))
    slope: Array = 0.5 * (1 + tangent) + 0.5 * input * (1 - np.square(tangent)) * inner
    return slope


def prelu_backward(grad_output: Array, input: Array, slope: Array) -> tuple[Array, Array]:
    """Gradients to the input ``(N, C, ...)`` and to the slopes, ``(1,)`` or ``(C,)`` along the second axis."""
    is_positive = input > 0
    grad_input = np.where(is_positive, grad_output, grad_output * spread_slope(slope, input))
    by_channel = np.multiply(grad_output, input).sum(
        axis=(0, *range(2, input.ndim)), dtype=np.float64, where=~is_positive
    )
    grad_slope = by_channel if slope.size == input.shape[1] else by_channel.sum(keepdims=True)
    return grad_input, grad_slope.astype(input.dtype)


def spread_slope(slope: Array, input: NDArray[Any]) -> Array:
    """Shape slopes, ``(1,)`` or ``(C,)``, so that they broadcast over ``(N, C, ...)``."""
    return slope.reshape(-1, *(1,) * (input.ndim - 2))


def softmax(input: Array, axis: int) -> Array:
    """exp(x) over its sum along an axis, the largest x subtracted before."""
    exponentials: Array = np.exp(input - input.max(axis=axis, keepdims=True))
    exponentials /= exponentials.sum(axis=axis, keepdims=True, dtype=np.float64).astype(input.dtype)
    return exponentials


def softmax_backward(grad_output: Array, output: Array, axis: int) -> Array:
    """Gradient to what a softmax read, from its output."""
    inner = np.multiply(grad_output, output).sum(axis=axis, keepdims=True, dtype=np.float64)
    handed: Array = output * (grad_output - inner.astype(output.dtype))
    return handed


def _gelu_tangent(input: Array) -> Array:
    found: Array = np.tanh(sqrt(2 / pi) * (input + GELU_CUBIC * input * np.square(input)))
    return found
