"""The reference result of a layer's step, from its operands."""

from __future__ import annotations

from workloads.operands import Operands
from workloads.reference.arrays import Array
from workloads.reference.convolution import conv_forward, conv_gta, conv_gtw
from workloads.reference.fully_connected import linear_forward, linear_gta, linear_gtw
from workloads.reference.threads import STEP_BLAS_THREADS, fixed_blas_threads
from workloads.shapes import ConvShape


def run_forward(operands: Operands) -> Array:
    """Output with bias, ``(N, M, P, Q)`` or ``(N, M)``."""
    shape = operands.shape
    with fixed_blas_threads(STEP_BLAS_THREADS):
        if isinstance(shape, ConvShape):
            output = conv_forward(operands.input, operands.weight, shape)
        else:
            output = linear_forward(operands.input, operands.weight, shape)
    if operands.bias is not None:
        add_bias(output, operands.bias)
    return output


def run_gta(operands: Operands) -> Array:
    """Masked gradient to the input, ``(N, C, H, W)`` or ``(N, C)``."""
    shape = operands.shape
    with fixed_blas_threads(STEP_BLAS_THREADS):
        if isinstance(shape, ConvShape):
            return conv_gta(operands.grad_output, operands.weight, shape, operands.mask)
        return linear_gta(operands.grad_output, operands.weight, shape, operands.mask)


def run_gtw(operands: Operands) -> Array:
    """Gradient to the weight, ``(M, C / G, R, S)`` or ``(M, C)``."""
    shape = operands.shape
    with fixed_blas_threads(STEP_BLAS_THREADS):
        if isinstance(shape, ConvShape):
            return conv_gtw(operands.input, operands.grad_output, shape)
        return linear_gtw(operands.input, operands.grad_output, shape)


def add_bias(output: Array, bias: Array) -> None:
    """Add the bias ``(M,)`` to an output ``(N, M, ...)`` in place."""
    output += bias.reshape(-1, *(1,) * (output.ndim - 2))
