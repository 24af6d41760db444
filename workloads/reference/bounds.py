"""How large a step's sums can be: what a tolerance for their rounding is derived from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import IntArray
from workloads.operands import EXCHANGED, Operands, exchange_roles
from workloads.reference.arrays import Array
from workloads.reference.matmul import turn
from workloads.shapes import ConvShape, LayerShape, MatmulShape, Step, TransposedConvShape

Float64Array = NDArray[np.float64]

# Covers the rounding of the bound's own float64 sums up to some millions of terms.
ROUNDING_MARGIN = 1 + 1e-9


def sum_length(shape: LayerShape, step: Step) -> int:
    """Number of products in the longest sum of a step's output elements; the bias is not counted."""
    if isinstance(shape, TransposedConvShape):
        return sum_length(shape.conv, EXCHANGED[step])
    if isinstance(shape, MatmulShape):
        return {Step.FORWARD: shape.in_features, Step.GTA: shape.out_features, Step.GTW: shape.rows}[step]
    if not isinstance(shape, ConvShape):
        return {Step.FORWARD: shape.in_features, Step.GTA: shape.out_features, Step.GTW: shape.rows}[step]
    inputs = np.arange(shape.out_height)[:, None] * shape.stride_height - shape.pad_top
    rows = _longest_axis_sum(inputs + np.arange(shape.kernel_height) * shape.dilation_height, shape.in_height, step)
    inputs = np.arange(shape.out_width)[:, None] * shape.stride_width - shape.pad_left
    columns = _longest_axis_sum(inputs + np.arange(shape.kernel_width) * shape.dilation_width, shape.in_width, step)
    repeats = {Step.FORWARD: shape.group_in_channels, Step.GTA: shape.group_out_channels, Step.GTW: shape.batch}
    return repeats[step] * rows * columns


def bound_forward(operands: Operands) -> Float64Array:
    """Upper bound of |bias| + sum |input| |weight| of each output element, ``(N, M, P, Q)`` or ``(N, M)``.

    By Cauchy-Schwarz: the norm of the element's window times the norm of its filter.
    """
    shape = operands.shape
    if isinstance(shape, TransposedConvShape):
        bound = bound_gta(exchange_roles(operands))
        if operands.bias is not None:
            bound += np.abs(operands.bias).reshape(-1, 1, 1)
        return bound
    if isinstance(shape, MatmulShape):
        rows, columns = turn(operands.input, shape.transpose_a), turn(operands.weight, shape.transpose_b)
        return _product_norm(_energy(rows, (-1,)), _energy(columns, (-2,)), shape)
    filters = _energy(operands.weight, tuple(range(1, operands.weight.ndim)))
    if isinstance(shape, ConvShape):
        windows = _window_sums(_group_energy(operands.input, shape.groups), shape)
        bound = _outer_norm(windows[:, :, None], filters.reshape(shape.groups, -1, 1, 1)).reshape(shape.output_shape)
    else:
        bound = _outer_norm(_energy(operands.input, (-1,))[..., None], filters)
    if operands.bias is not None:
        axes = (1,) * (bound.ndim - 1 - shape.channel_axis % bound.ndim)
        bound += np.abs(operands.bias).reshape(-1, *axes)
    return bound


def bound_gta(operands: Operands) -> Float64Array:
    """Upper bound of sum |grad_output| |weight| of each input element, 0 where masked; the input's shape."""
    shape = operands.shape
    if isinstance(shape, TransposedConvShape):
        bound = bound_forward(exchange_roles(operands))
    elif isinstance(shape, ConvShape):
        G, Mg, Cg = shape.groups, shape.group_out_channels, shape.group_in_channels
        kernels = _energy(operands.weight.reshape(G, Mg, Cg, -1), (1, 3))
        reached = _spread_sums(_group_energy(operands.grad_output, G), shape)
        bound = _outer_norm(reached[:, :, None], kernels[:, :, None, None]).reshape(shape.input_shape)
    elif isinstance(shape, MatmulShape):
        factor = _energy(turn(operands.weight, shape.transpose_b), (-1,))
        bound = _turn_bound(_product_norm(_energy(operands.grad_output, (-1,)), factor, shape), shape.transpose_a)
    else:
        bound = _outer_norm(_energy(operands.grad_output, (-1,))[..., None], _energy(operands.weight, (0,)))
    if operands.mask is not None:
        np.copyto(bound, 0.0, where=~operands.mask)
    return bound


def bound_gtw(operands: Operands) -> Float64Array:
    """Upper bound of sum |grad_output| |input| of each weight, ``(M, C / G, 1, 1)`` or ``(M, C)``."""
    shape = operands.shape
    if isinstance(shape, TransposedConvShape):
        return bound_gtw(exchange_roles(operands))
    if isinstance(shape, MatmulShape):
        factor = _energy(turn(operands.input, shape.transpose_a), (-2,))
        return _turn_bound(_product_norm(factor, _energy(operands.grad_output, (-2,)), shape), shape.transpose_b)
    channels = shape.channel_axis % operands.input.ndim
    every_axis_but_channels = tuple(axis for axis in range(operands.input.ndim) if axis != channels)
    outputs = _energy(operands.grad_output, every_axis_but_channels)
    inputs = _energy(operands.input, every_axis_but_channels)
    if not isinstance(shape, ConvShape):
        return _outer_norm(outputs[:, None], inputs)
    bound = _outer_norm(outputs.reshape(shape.groups, -1, 1), inputs.reshape(shape.groups, 1, -1))
    return bound.reshape(shape.out_channels, shape.group_in_channels, 1, 1)


def _longest_axis_sum(met: IntArray, size: int, step: Step) -> int:
    """Products along one axis in the longest sum.

    Args:
        met: The input that (output position, tap) meet, or one outside.
    """
    inside = (met >= 0) & (met < size)
    if step is Step.GTA:
        return int(np.bincount(met[inside], minlength=1).max())
    return int(inside.sum(axis=1 if step is Step.FORWARD else 0).max())


def _energy(array: NDArray[Any], axes: tuple[int, ...]) -> Float64Array:
    """Sum of squares over the axes."""
    squares: Float64Array = np.square(array, dtype=np.float64).sum(axis=axes)
    return squares


def _outer_norm(first_energy: Float64Array, second_energy: Float64Array) -> Float64Array:
    return np.sqrt(first_energy) * np.sqrt(second_energy) * ROUNDING_MARGIN


def _turn_bound(bound: Float64Array, is_transposed: bool) -> Float64Array:
    return np.ascontiguousarray(np.swapaxes(bound, -1, -2)) if is_transposed else bound


def _product_norm(rows: Float64Array, columns: Float64Array, shape: MatmulShape) -> Float64Array:
    """Bound the elements of products of matrices from the energies of their rows and columns."""
    return abs(shape.scale) * _outer_norm(rows[..., :, None], columns[..., None, :])


def _group_energy(images: Array, groups: int) -> Float64Array:
    """Sum of squares over the channels of each group: ``(N, C, H, W)`` to ``(N, G, H, W)``."""
    N, C, H, W = images.shape
    energy = np.empty((N, groups, H, W))
    for n in range(N):
        energy[n] = _energy(images[n].reshape(groups, C // groups, H, W), (1,))
    return energy


def _window_sums(energy: Float64Array, shape: ConvShape) -> Float64Array:
    """Sum over each window: ``(N, G, H, W)`` to ``(N, G, P, Q)``; rows first, then columns."""
    N, G, _, W = energy.shape
    top, left, bottom, right = shape.padding
    padded = np.pad(energy, ((0, 0), (0, 0), (top, bottom), (left, right)))
    rows = np.zeros((N, G, shape.out_height, left + W + right))
    for r in range(shape.kernel_height):
        rows += padded[:, :, shape.met_rows(r)]
    sums = np.zeros((N, G, shape.out_height, shape.out_width))
    for s in range(shape.kernel_width):
        sums += rows[:, :, :, shape.met_columns(s)]
    return sums


def _spread_sums(energy: Float64Array, shape: ConvShape) -> Float64Array:
    """Sum over the outputs that reach each input position: ``(N, G, P, Q)`` to ``(N, G, H, W)``."""
    N, G, _, Q = energy.shape
    H, W, (top, left, bottom, right) = shape.in_height, shape.in_width, shape.padding
    rows = np.zeros((N, G, top + H + bottom, Q))
    for r in range(shape.kernel_height):
        rows[:, :, shape.met_rows(r)] += energy
    spread = np.zeros((N, G, H, left + W + right))
    for s in range(shape.kernel_width):
        spread[:, :, :, shape.met_columns(s)] += rows[:, :, top : top + H]
    return spread[:, :, :, left : left + W]
