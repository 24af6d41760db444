"""The values of a layer step, from the tasks that the machine executed."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.array import PEArray
from dataflows.contract.kernel import freeze, kernel
from dataflows.contract.tasks import StepValues
from dataflows.rows.dealing import Blocks, count_kernels_per_pe
from dataflows.rows.taps import pair_rows, tabulate_taps
from dataflows.rows.values import convolve_msrc_rows, convolve_src_rows, correlate_osrc_rows
from dataflows.storage.compressed_rows import compress_rows
from workloads.arrays import BoolArray
from workloads.operands import Operands
from workloads.shapes import ConvShape, LinearShape, Step

# Rows and columns of a square of a matrix that is transposed at a time.
SQUARE = 32
LAID_OUT_WEIGHTS = 2**22


def execute_conv(operands: Operands, step: Step, array: PEArray, executed: BoolArray) -> StepValues:
    """Compute what the executed tasks of a convolution step compute."""
    assert isinstance(operands.shape, ConvShape)
    run = {Step.FORWARD: execute_forward, Step.GTA: execute_gta, Step.GTW: execute_gtw}[step]
    return run(operands, operands.shape, array, executed)


def execute_forward(operands: Operands, shape: ConvShape, array: PEArray, executed: BoolArray) -> StepValues:
    """Sum the SRC row operations of each executed block of filters."""
    blocks = Blocks(shape.group_out_channels, array.pes_per_group)
    flags = executed.reshape(shape.batch, shape.out_height, shape.groups, blocks.per_group)
    wanted = blocks.spread(flags).reshape(shape.batch, shape.out_height, shape.out_channels)
    rows = compress_rows(operands.input, keeps_zeros=not array.skip_zeros)
    taps = tabulate_taps(shape, Step.FORWARD)
    # The large weights of a fully connected layer are laid out for some filters at a time.
    run = shape.out_channels if shape.groups > 1 else max(1, LAID_OUT_WEIGHTS // operands.weight[0].size)
    parts, row_ops, multiplications = [], 0, 0
    for start in range(0, shape.out_channels, run):
        span = slice(start, min(shape.out_channels, start + run))
        part = dataclasses.replace(shape, out_channels=span.stop - start)
        output, operations, products = convolve_src_rows(
            rows.first, rows.position, rows.value, order_weight_for_src(operands.weight[span], part),
            np.ascontiguousarray(wanted[..., span]), array.skip_zeros and array.skip_weights, pair_rows(shape),
            taps.first, taps.tap, taps.partner, shape.out_width,
        )  # fmt: skip
        parts.append(np.ascontiguousarray(output.transpose(0, 3, 1, 2)))
        row_ops, multiplications = row_ops + int(operations), multiplications + int(products)
    return StepValues(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1), row_ops, multiplications)


def order_weight_for_src(weight: NDArray[np.float32], shape: ConvShape) -> NDArray[np.float32]:
    """Lay the filters last: ``(M, C / G, R, S)`` to ``(C, R, S, M / G)``."""
    if shape.groups == shape.kernel_height == shape.kernel_width == 1:
        turned: NDArray[np.float32] = transpose_matrix(weight[:, :, 0, 0])
        return turned[:, None, None, :]
    grouped = weight.reshape(shape.groups, shape.group_out_channels, *weight.shape[1:])
    ordered = grouped.transpose(0, 2, 3, 4, 1)
    return np.ascontiguousarray(ordered).reshape(shape.in_channels, *weight.shape[2:], shape.group_out_channels)


def transpose_matrix(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Transpose a matrix, which is faster than numpy where it is large, as the weights of a fully connected layer."""
    turned = np.empty(matrix.shape[::-1], dtype=matrix.dtype)
    fill_transposed(freeze(matrix), turned)
    return turned


@kernel
def fill_transposed(matrix: NDArray[np.float32], turned: NDArray[np.float32]) -> None:
    """Transpose a matrix in squares that stay in the cache."""
    rows, columns = matrix.shape
    for row in range(0, rows, SQUARE):
        for column in range(0, columns, SQUARE):
            for place in range(column, min(columns, column + SQUARE)):
                for other in range(row, min(rows, row + SQUARE)):
                    turned[place, other] = matrix[other, place]


def execute_gta(operands: Operands, shape: ConvShape, array: PEArray, executed: BoolArray) -> StepValues:
    """Sum the MSRC row operations of each executed block of input channels; a dense machine computes all of dI."""
    blocks = Blocks(shape.group_in_channels, array.pes_per_group)
    flags = executed.reshape(shape.batch, shape.in_height, shape.groups, blocks.per_group)
    wanted = blocks.spread(flags).reshape(shape.batch, shape.in_height, shape.in_channels)
    sparse = array.skip_zeros
    mask = operands.mask if sparse and operands.mask is not None else np.ones(shape.input_shape, dtype=np.bool_)
    rows = compress_rows(operands.grad_output, keeps_zeros=not sparse)
    taps = tabulate_taps(shape, Step.GTA)
    output, row_ops, multiplications = convolve_msrc_rows(
        rows.first, rows.position, rows.value, np.ascontiguousarray(operands.weight.transpose(0, 2, 3, 1)),
        np.ascontiguousarray(mask.transpose(0, 2, 3, 1)), wanted, sparse and array.skip_weights, pair_rows(shape),
        taps.first, taps.tap, taps.partner,
    )  # fmt: skip
    return StepValues(np.ascontiguousarray(output.transpose(0, 3, 1, 2)), int(row_ops), int(multiplications))


def execute_gtw(operands: Operands, shape: ConvShape, array: PEArray, executed: BoolArray) -> StepValues:
    """Sum the OSRC row operations of each executed block of kernels."""
    blocks = Blocks(shape.group_in_channels, array.pes_per_group, count_kernels_per_pe(shape, array))
    wanted = blocks.spread(executed.reshape(shape.out_channels, blocks.per_group))
    rows = compress_rows(operands.grad_output, keeps_zeros=not array.skip_zeros)
    activation = np.ascontiguousarray(operands.input.transpose(0, 2, 3, 1))
    present = activation != 0 if array.skip_zeros else np.ones(activation.shape, dtype=np.bool_)
    taps = tabulate_taps(shape, Step.GTW)
    output, row_ops, multiplications = correlate_osrc_rows(
        rows.first, rows.position, rows.value, activation, present, wanted, pair_rows(shape),
        taps.first, taps.tap, taps.partner, shape.kernel_width,
    )  # fmt: skip
    return StepValues(np.ascontiguousarray(output.transpose(0, 3, 1, 2)), int(row_ops), int(multiplications))


def execute_linear(operands: Operands, step: Step, array: PEArray, executed: BoolArray) -> StepValues:
    """Compute what the executed tasks of a fully connected step compute.

    The products are those of a convolution with 1 x 1 kernels on 1 x 1 maps; row operations are counted as the
    machine defines them for fully connected layers, one for each output, image and PE that has work.
    """
    assert isinstance(operands.shape, LinearShape)
    shape = operands.shape
    as_conv = ConvShape(shape.batch, shape.in_features, 1, 1, shape.out_features, 1, 1)
    wrapped = Operands(
        operands.layer, as_conv, operands.input[:, :, None, None], operands.weight[:, :, None, None], operands.bias,
        operands.grad_output[:, :, None, None],
        None if operands.mask is None else operands.mask[:, :, None, None], operands.steps,
    )  # fmt: skip
    without_weight_skipping = dataclasses.replace(array, skip_weights=False)
    values = execute_conv(wrapped, step, without_weight_skipping, executed)
    return StepValues(
        values.output[:, :, 0, 0], count_linear_row_ops(operands, step, array, executed), values.multiplications
    )


def count_linear_row_ops(operands: Operands, step: Step, array: PEArray, executed: BoolArray) -> int:
    """Count the row operations of the executed tasks of a fully connected layer."""
    assert isinstance(operands.shape, LinearShape)
    shape = operands.shape
    if step is Step.GTW:
        blocks = Blocks(shape.in_features, array.pes_per_group, count_kernels_per_pe(shape, array))
        owners = (blocks.deal(np.ones(shape.in_features, dtype=np.int64)) > 0).sum(axis=1)
        images = np.full(shape.out_features, shape.batch)
        if array.skip_zeros:
            images = (operands.grad_output != 0).sum(axis=0)
        return int((executed.reshape(shape.out_features, -1) * owners).sum(axis=1) @ images)
    outputs = shape.out_features if step is Step.FORWARD else shape.in_features
    wanted = Blocks(outputs, array.pes_per_group).spread(executed.reshape(shape.batch, -1))
    if step is Step.GTA and array.skip_zeros and operands.mask is not None:
        wanted = wanted & operands.mask
    return int(wanted.sum())
