"""The reference result of a layer's step, from its operands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from workloads.errors import InputError
from workloads.operands import Operands
from workloads.reference.arrays import Array
from workloads.reference.convolution import conv_forward, conv_gta, conv_gtw
from workloads.reference.fully_connected import linear_forward, linear_gta, linear_gtw
from workloads.reference.matmul import matmul_forward, matmul_gta, matmul_gtw
from workloads.reference.threads import STEP_BLAS_THREADS, fixed_blas_threads
from workloads.shapes import ConvShape, MatmulShape, Step, TransposedConvShape

Kind = TypeVar("Kind", bound=NDArray[Any])


def run_forward(operands: Operands) -> Array:
    """Output with bias, ``(N, M, P, Q)`` or ``(N, ..., M)``."""
    shape = operands.shape
    with fixed_blas_threads(STEP_BLAS_THREADS):
        if isinstance(shape, ConvShape):
            output = conv_forward(operands.input, operands.weight, shape)
        elif isinstance(shape, TransposedConvShape):
            output = conv_gta(operands.input, operands.weight, shape.conv)
        elif isinstance(shape, MatmulShape):
            output = matmul_forward(operands.input, operands.weight, shape)
        else:
            output = linear_forward(operands.input, operands.weight, shape)
    if operands.bias is not None:
        add_bias(output, operands.bias, shape.channel_axis)
    return output


def run_gta(operands: Operands) -> Array:
    """Masked gradient to the input, ``(N, C, H, W)`` or ``(N, ..., C)``."""
    shape = operands.shape
    with fixed_blas_threads(STEP_BLAS_THREADS):
        if isinstance(shape, ConvShape):
            return conv_gta(operands.grad_output, operands.weight, shape, operands.mask)
        if isinstance(shape, TransposedConvShape):
            gradient = conv_forward(operands.grad_output, operands.weight, shape.conv)
            if operands.mask is not None:
                np.copyto(gradient, 0, where=~operands.mask)
            return gradient
        if isinstance(shape, MatmulShape):
            return matmul_gta(operands.grad_output, operands.weight, shape, operands.mask)
        return linear_gta(operands.grad_output, operands.weight, shape, operands.mask)


def run_gtw(operands: Operands) -> Array:
    """Gradient to the weight, ``(M, C / G, R, S)`` or ``(M, C)``, or to the second factor of a product."""
    shape = operands.shape
    with fixed_blas_threads(STEP_BLAS_THREADS):
        if isinstance(shape, ConvShape):
            return conv_gtw(operands.input, operands.grad_output, shape)
        if isinstance(shape, TransposedConvShape):
            return conv_gtw(operands.grad_output, operands.input, shape.conv)
        if isinstance(shape, MatmulShape):
            return matmul_gtw(operands.input, operands.grad_output, shape)
        return linear_gtw(operands.input, operands.grad_output, shape)


def require_float32(operands: Operands, step: Step, result: Array, part: Sequence[slice] = ()) -> None:
    """Refuse a result of a step, in any precision, that float32 does not hold.

    part: where the result lies in that of the whole step.

    Raises:
        InputError: an element rounds to infinity in float32, or is no number; names the first of them.
    """
    with np.errstate(over="ignore"):
        is_bad = ~np.isfinite(result.astype(np.float32, copy=False))
    if not is_bad.any():
        return
    within = [int(place) for place in np.unravel_index(int(np.argmax(is_bad)), is_bad.shape)]
    starts = [span.start or 0 for span in part] + [0] * (len(within) - len(part))
    place = [start + index for start, index in zip(starts, within, strict=True)]
    value = float(result[tuple(within)])
    where = f"{place}, where it is {value:.4g}" if np.isfinite(value) else f"{place}"
    raise InputError(
        f"the reference of layer '{operands.layer}', step {step}, exceeds float32 at {where}; the operands are too "
        "large, or the network they are from has diverged"
    )


def add_bias(output: Array, bias: Array, axis: int) -> None:
    """Add the bias ``(M,)`` to an output in place; axis: that of its channels, 1 or the last, -1."""
    output += spread_bias(bias, output.ndim, axis)


def spread_bias(bias: Kind, axes: int, axis: int) -> Kind:
    """Give a bias ``(M,)`` so many axes, all of length 1 but that of the channels."""
    return bias if axis == -1 else cast(Kind, bias.reshape(-1, *(1,) * (axes - 1 - axis)))
