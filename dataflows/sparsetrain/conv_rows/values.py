"""The values of Forward and GTA of a convolution, from the tasks that the machine executed."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepValues
from dataflows.rows.dealing import deal_outputs
from dataflows.rows.occupied import count_operations
from dataflows.rows.strips import Strip, cut_strips, tabulate_strip
from dataflows.rows.taps import pair_rows
from dataflows.rows.values import convolve_msrc_rows, convolve_src_rows
from dataflows.sparsetrain.arithmetic import compute
from dataflows.sparsetrain.conv_rows.masked_outputs import find_output_mask
from dataflows.storage.compressed_rows import compress_rows
from workloads.arrays import BoolArray
from workloads.kernel import freeze, kernel
from workloads.shapes import ConvShape, Step

# Rows and columns of a square of a matrix that is transposed at a time.
SQUARE = 32


LAID_OUT_WEIGHTS = 2**22


def execute_forward(problem: StepProblem, executed: BoolArray) -> StepValues:
    """Sum the SRC row operations of each executed strip and block of filters, in the step's arithmetic."""
    return compute(problem, lambda part, keeps_zeros: sum_src_rows(part, executed, keeps_zeros))


def sum_src_rows(problem: StepProblem, executed: BoolArray, keeps_zeros: bool) -> StepValues:
    """Sum the SRC row operations of each executed strip and block of filters, from the first to the last."""
    shape, strips = problem.conv_shape, cut_strips(problem.conv_shape, Step.FORWARD, problem.array)
    wanted = spread_tasks(problem, executed, shape.out_height, len(strips))
    rows = compress_rows(problem.operands.input, keeps_zeros=keeps_zeros)
    pairs, skips = pair_rows(shape), problem.array.skip_zeros and problem.array.skip_weights
    # The large weights of a fully connected layer are laid out for some filters at a time.
    run = shape.out_channels if shape.groups > 1 else max(1, LAID_OUT_WEIGHTS // problem.operands.weight[0].size)
    mask = find_output_mask(problem)
    parts, row_ops, multiplications = [], 0, 0
    for start in range(0, shape.out_channels, run):
        span = slice(start, min(shape.out_channels, start + run))
        part = dataclasses.replace(shape, out_channels=span.stop - start)
        weight = order_weight_for_src(problem.operands.weight[span], part)
        for place, strip in enumerate(strips):
            output, operations, products = convolve_src_rows(
                rows, weight, np.ascontiguousarray(wanted[:, :, place, span]), skips, pairs,
                tabulate_strip(shape, Step.FORWARD, strip), len(strip.columns), cut_mask(mask, span, strip),
            )  # fmt: skip
            parts.append(np.ascontiguousarray(output.transpose(0, 3, 1, 2)))
            row_ops, multiplications = row_ops + int(operations), multiplications + int(products)
    whole = [join(parts[at : at + len(strips)], axis=3) for at in range(0, len(parts), len(strips))]
    return StepValues(join(whole, axis=1), pass_empty_rows(problem, wanted, row_ops), multiplications)


def cut_mask(mask: BoolArray | None, filters: slice, strip: Strip) -> BoolArray | None:
    """Give the mask ``(N, M, P, Q)`` of some filters and a strip, filters last: ``(N, P, columns, filters)``."""
    if mask is None:
        return None
    return np.ascontiguousarray(mask[:, filters, :, strip.columns.start : strip.columns.stop].transpose(0, 2, 3, 1))


def spread_tasks(problem: StepProblem, executed: BoolArray, rows: int, strips: int) -> BoolArray:
    """Tell of every output of Forward or GTA whether its task was executed: ``(N, rows, strips, outputs)``."""
    blocks = deal_outputs(problem.conv_shape, problem.step, problem.array)
    return blocks.spread(executed.reshape(problem.conv_shape.batch, rows, strips, blocks.count))


def join(parts: list[NDArray[np.float32]], axis: int) -> NDArray[np.float32]:
    """Join parts of a tensor; one part is not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)


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


def execute_gta(problem: StepProblem, executed: BoolArray) -> StepValues:
    """Sum the MSRC row operations of each executed strip and block of channels, in the step's arithmetic.

    A dense machine computes all of dI.
    """
    return compute(problem, lambda part, keeps_zeros: sum_msrc_rows(part, executed, keeps_zeros))


def sum_msrc_rows(problem: StepProblem, executed: BoolArray, keeps_zeros: bool) -> StepValues:
    """Sum the MSRC row operations of each executed strip and block of channels, from the first to the last."""
    shape, strips = problem.conv_shape, cut_strips(problem.conv_shape, Step.GTA, problem.array)
    wanted = spread_tasks(problem, executed, shape.in_height, len(strips))
    sparse, operands = problem.array.skip_zeros, problem.operands
    mask = problem.mask if sparse and problem.mask is not None else np.ones(shape.input_shape, dtype=np.bool_)
    mask = np.ascontiguousarray(mask.transpose(0, 2, 3, 1))
    rows = compress_rows(operands.grad_output, keeps_zeros=keeps_zeros)
    weight, pairs = np.ascontiguousarray(operands.weight.transpose(0, 2, 3, 1)), pair_rows(shape)
    parts, row_ops, multiplications = [], 0, 0
    for place, strip in enumerate(strips):
        output, operations, products = convolve_msrc_rows(
            rows, weight, np.ascontiguousarray(mask[:, :, strip.columns.start : strip.columns.stop]),
            np.ascontiguousarray(wanted[:, :, place]), sparse and problem.array.skip_weights, pairs,
            tabulate_strip(shape, Step.GTA, strip),
        )  # fmt: skip
        parts.append(np.ascontiguousarray(output.transpose(0, 3, 1, 2)))
        row_ops, multiplications = row_ops + int(operations), multiplications + int(products)
    return StepValues(join(parts, axis=3), pass_empty_rows(problem, wanted, row_ops), multiplications)


def pass_empty_rows(problem: StepProblem, wanted: BoolArray, row_ops: int) -> int:
    """Give the row operations of the executed tasks, of which those with an empty row may be none.

    Args:
        wanted: Of every output whether its task was executed, ``(N, rows, strips, outputs)``.
        row_ops: All of them, empty or not.
    """
    if not problem.array.passes_empty_rows:
        return row_ops
    shape, done = problem.conv_shape, 0
    for place, strip in enumerate(cut_strips(shape, problem.step, problem.array)):
        flags = wanted[:, :, place].transpose(0, 2, 1)
        grouped = flags.reshape(shape.batch, shape.groups, -1, flags.shape[2])
        done += int((grouped * count_operations(problem, strip)).sum())
    return done
