"""The reference result of a layer's step, from its operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import BoolArray
from workloads.errors import InputError
from workloads.operands import Operands
from workloads.reference.arrays import Array
from workloads.reference.convolution import conv_forward, conv_gta, conv_gtw
from workloads.reference.fully_connected import linear_forward, linear_gta, linear_gtw
from workloads.reference.matmul import matmul_forward, matmul_gta, matmul_gtw
from workloads.reference.threads import fixed_blas_threads
from workloads.shapes import ConvShape, LayerShape, LinearShape, MatmulShape, Step, TransposedConvShape

Kind = TypeVar("Kind", bound=NDArray[Any])


@dataclass(frozen=True, slots=True)
class StepNumerics:
    """The three steps of a geometry, without bias: of (input, weight), of (grad_output, weight), of both tensors."""

    forward: Callable[[Array, Array, Any], Array]
    gta: Callable[[Array, Array, Any, BoolArray | None], Array]
    gtw: Callable[[Array, Array, Any], Array]


def transposed_forward(input: Array, weight: Array, shape: TransposedConvShape) -> Array:
    """Output of a transposed convolution: the gradient to the input of the convolution that it is turned round."""
    return conv_gta(input, weight, shape.conv)


def transposed_gta(
    grad_output: Array, weight: Array, shape: TransposedConvShape, mask: BoolArray | None = None
) -> Array:
    """Gradient to the input of a transposed convolution, zero where the mask is not set."""
    gradient = conv_forward(grad_output, weight, shape.conv)
    if mask is not None:
        np.copyto(gradient, 0, where=~mask)
    return gradient


def transposed_gtw(input: Array, grad_output: Array, shape: TransposedConvShape) -> Array:
    """Gradient to the weight of a transposed convolution."""
    return conv_gtw(grad_output, input, shape.conv)


NUMERICS: dict[type, StepNumerics] = {
    ConvShape: StepNumerics(conv_forward, conv_gta, conv_gtw),
    TransposedConvShape: StepNumerics(transposed_forward, transposed_gta, transposed_gtw),
    LinearShape: StepNumerics(linear_forward, linear_gta, linear_gtw),
    MatmulShape: StepNumerics(matmul_forward, matmul_gta, matmul_gtw),
}


def find_numerics(shape: LayerShape) -> StepNumerics:
    """Give how the steps of a geometry are computed.

    Raises:
        TypeError: the table does not hold it.
    """
    if type(shape) not in NUMERICS:
        raise TypeError(f"no reference computes the steps of a {type(shape).__name__}")
    return NUMERICS[type(shape)]


def run_forward(operands: Operands) -> Array:
    """Output with bias, ``(N, M, P, Q)`` or ``(N, ..., M)``."""
    shape = operands.shape
    with fixed_blas_threads():
        output = find_numerics(shape).forward(operands.input, operands.weight, shape)
    if operands.bias is not None:
        add_bias(output, operands.bias, shape.channel_axis)
    return output


def run_gta(operands: Operands) -> Array:
    """Masked gradient to the input, ``(N, C, H, W)`` or ``(N, ..., C)``."""
    shape = operands.shape
    with fixed_blas_threads():
        return find_numerics(shape).gta(operands.grad_output, operands.weight, shape, operands.mask)


def run_gtw(operands: Operands) -> Array:
    """Gradient to the weight, ``(M, C / G, R, S)`` or ``(M, C)``, or to the second factor of a product."""
    shape = operands.shape
    with fixed_blas_threads():
        return find_numerics(shape).gtw(operands.input, operands.grad_output, shape)


def require_float32(operands: Operands, step: Step, result: Array, part: Sequence[slice] = ()) -> None:
    """Refuse a result of a step, in any precision, that float32 does not hold.

    Args:
        part: Where the result lies in that of the whole step.

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
    """Add the bias ``(M,)`` to an output in place.

    Args:
        axis: That of its channels, 1 or the last, -1.
    """
    output += spread_bias(bias, output.ndim, axis)


def spread_bias(bias: Kind, axes: int, axis: int) -> Kind:
    """Give a bias ``(M,)`` so many axes, all of length 1 but that of the channels."""
    return bias if axis == -1 else cast(Kind, bias.reshape(-1, *(1,) * (axes - 1 - axis)))
