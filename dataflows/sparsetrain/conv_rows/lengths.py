"""Forward and GTA of a convolution as tasks of exact length (sections 3 and 4 of the machine's definition)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.array import PEArray
from dataflows.contract.problem import StepProblem
from dataflows.rows.counts import Tally, gather_gradients, tally_partners
from dataflows.rows.cycles import (
    cost_taps,
    count_classes,
    count_partners,
    group_classes,
    multiply_exactly,
    scatter_kernel_rows,
    skips_weights,
)
from dataflows.rows.dealing import Blocks
from dataflows.rows.masked_cycles import list_masked_rows
from dataflows.rows.taps import pair_rows, tabulate_taps
from dataflows.storage.compressed_rows import compress_rows
from workloads.arrays import BoolArray, IntArray
from workloads.operands import Operands
from workloads.shapes import ConvShape, Step


def find_drivers(problem: StepProblem) -> BoolArray:
    """Tell which input elements drive a multiplication in Forward: all of them on a dense machine."""
    shape = problem.conv_shape
    return problem.operands.input != 0 if problem.array.skip_zeros else np.ones(shape.input_shape, dtype=np.bool_)


def deal_forward(problem: StepProblem) -> IntArray:
    """Give the PEs' cycles of Forward's tasks: one for each image, output row p and block of filters."""
    shape = problem.conv_shape
    N, G, Mg, B = shape.batch, shape.groups, shape.group_out_channels, problem.array.pes_per_group
    if skips_weights(problem):
        issued = sum_weighted_rows(problem)[0]
    else:
        costs = cost_taps(tabulate_taps(shape, Step.FORWARD).counts, problem.array).cycles
        rows = multiply_exactly(find_drivers(problem).reshape(-1, shape.in_width), costs[:, None])
        rows = rows.reshape(N, G, shape.group_in_channels, shape.in_height, 1).sum(axis=2)
        issued = np.repeat(scatter_kernel_rows(rows, shape)[:, :, None, :, 0], Mg, axis=2)
    headers = scatter_kernel_rows(np.ones((shape.in_height, 1), dtype=np.int64), shape)[:, 0]
    work = issued + headers * shape.group_in_channels * problem.array.row_overhead_cycles
    pe_cycles = Blocks(Mg, B).deal(np.moveaxis(work, 2, 3))
    return np.moveaxis(pe_cycles, 2, 1).reshape(-1, B)


def tally_forward(problem: StepProblem) -> Tally:
    """Count what Forward's row operations add up to."""
    shape = problem.conv_shape
    row_pairs = (pair_rows(shape) >= 0).sum(axis=1)
    row_ops = shape.batch * shape.out_channels * shape.group_in_channels * int(row_pairs.sum())
    # How often each column drives a row operation of one filter.
    met = row_pairs @ find_drivers(problem).sum(axis=(0, 1))
    drivers = int(met.sum()) * shape.group_out_channels
    if skips_weights(problem):
        _, live, empty = (int(part.sum()) for part in sum_weighted_rows(problem))
        return Tally(row_ops, live, empty, drivers)
    costs = cost_taps(tabulate_taps(shape, Step.FORWARD).counts, problem.array)
    live, empty = (int(met @ part) * shape.group_out_channels for part in (costs.taps, costs.empty(problem.array)))
    return Tally(row_ops, live, empty, drivers)


def sum_weighted_rows(problem: StepProblem) -> tuple[IntArray, IntArray, IntArray]:
    """Sum issue cycles, live taps, empty issue cycles of every output row where zero weights are skipped.

    Returns three int64 ``(N, G, M / G, P)``.
    """
    shape = problem.conv_shape
    N, G, Cg, Mg = shape.batch, shape.groups, shape.group_in_channels, shape.group_out_channels
    classes, members = group_classes(tabulate_taps(shape, Step.FORWARD), shape.kernel_width)
    rows = count_classes(problem.operands.input != 0, members, len(classes))
    rows = rows.reshape(N, G, Cg, shape.in_height, len(classes))
    weights = (problem.operands.weight != 0).reshape(G, Mg, Cg, shape.kernel_height, shape.kernel_width)
    live = multiply_exactly(weights.astype(np.int64), classes.T.astype(np.int64))
    costs = cost_taps(live, problem.array)
    pairs = pair_rows(shape)
    sums = np.zeros((3, N, G, Mg, shape.out_height), dtype=np.int64)
    for r in range(shape.kernel_height):
        h = np.flatnonzero(pairs[:, r] >= 0)
        elements = rows[:, :, :, h, :]
        for part, cost in enumerate((costs.cycles, costs.taps, costs.empty(problem.array))):
            sums[part][..., pairs[h, r]] += np.einsum("ngchx,gmcx->ngmh", elements, cost[:, :, :, r], optimize=True)
    return sums[0], sums[1], sums[2]


def find_gradients(problem: StepProblem) -> tuple[BoolArray, BoolArray]:
    """Tell which grad_output elements drive a multiplication in GTA, and which grad_input elements are wanted."""
    shape = problem.conv_shape
    if not problem.array.skip_zeros:
        return np.ones(shape.output_shape, dtype=np.bool_), np.ones(shape.input_shape, dtype=np.bool_)
    wanted = np.ones(shape.input_shape, dtype=np.bool_) if problem.operands.mask is None else problem.operands.mask
    return problem.operands.grad_output != 0, wanted


def sum_masked_rows(problem: StepProblem) -> IntArray:
    """Sum issue cycles, live taps and empty issue cycles where zero weights are skipped: ``(N, G, C / G, H, 3)``."""
    shape = problem.conv_shape
    N, G, Cg, H = shape.batch, shape.groups, shape.group_in_channels, shape.in_height
    _, wanted = find_gradients(problem)
    sums = np.zeros((N, G, Cg, H, 3), dtype=np.int64)
    for n in range(N):
        for h in range(H):
            operations = weigh_masked_rows(problem.operands, shape, problem.array, wanted, n, h)
            sums[n, :, :, h] = operations.sum(axis=(1, 2)).reshape(G, Cg, 3)
    return sums


def deal_gta(problem: StepProblem) -> IntArray:
    """Give the PEs' cycles of GTA's tasks: one for each image, input row h and block of input channels."""
    shape = problem.conv_shape
    N, G, Cg, H, B = shape.batch, shape.groups, shape.group_in_channels, shape.in_height, problem.array.pes_per_group
    if skips_weights(problem):
        issued = sum_masked_rows(problem)[..., 0]
    else:
        present, wanted = find_gradients(problem)
        costs = cost_taps(count_partners(wanted, shape).reshape(N, G, Cg, H, -1), problem.array).cycles
        issued = np.einsum("nghq,ngchq->ngch", gather_gradients(present, shape), costs)
    headers = (pair_rows(shape) >= 0).sum(axis=1) * shape.group_out_channels
    work = issued + headers * problem.array.row_overhead_cycles
    pe_cycles = Blocks(Cg, B).deal(np.moveaxis(work, 2, 3))
    return np.moveaxis(pe_cycles, 1, 2).reshape(-1, B)


def tally_gta(problem: StepProblem) -> Tally:
    """Count what GTA's row operations add up to."""
    shape = problem.conv_shape
    present, wanted = find_gradients(problem)
    row_ops = shape.batch * shape.in_channels * int((pair_rows(shape) >= 0).sum()) * shape.group_out_channels
    drivers = gather_gradients(present, shape)
    elements = int(drivers.sum()) * shape.group_in_channels
    if skips_weights(problem):
        _, live, empty = (int(part) for part in sum_masked_rows(problem).sum(axis=(0, 1, 2, 3)))
    else:
        live, empty = tally_partners(drivers, wanted, shape, problem.array)
    return Tally(row_ops, live, empty, elements)


def weigh_masked_rows(
    operands: Operands, shape: ConvShape, array: PEArray, allowed: NDArray[np.bool_], n: int, h: int
) -> IntArray:
    """List issue cycles, live taps and empty issue cycles of the row operations that add into one grad_input row.

    Returns int64 ``(C, M / G, R, 3)``.
    """
    rows = compress_rows(operands.grad_output[n])
    allowed_row = np.ascontiguousarray(allowed[n, :, h])
    listed: IntArray = list_masked_rows(rows, allowed_row, operands.weight != 0, pair_rows(shape)[h], shape, array)
    return listed
