"""Forward and GTA of a convolution as tasks of exact length (sections 3 and 4 of the machine's definition)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
from dataflows.rows.dealing import deal_outputs
from dataflows.rows.masked_cycles import list_masked_rows
from dataflows.rows.occupied import count_operations, hold_back, mark_results
from dataflows.rows.strips import Strip, cut_strips, tabulate_strip
from dataflows.rows.taps import pair_rows
from dataflows.sparsetrain.conv_rows.masked_outputs import find_output_mask, sum_masked_outputs
from dataflows.storage.compressed_rows import compress_rows
from workloads.arrays import BoolArray, IntArray
from workloads.shapes import ConvShape, Step


def find_drivers(problem: StepProblem) -> BoolArray:
    """Tell which input elements drive a multiplication in Forward: all of them on a dense machine."""
    shape = problem.conv_shape
    return problem.operands.input != 0 if problem.array.skip_zeros else np.ones(shape.input_shape, dtype=np.bool_)


def deal_rows(work: IntArray, problem: StepProblem) -> IntArray:
    """Deal what every output of a group works, ``(strips, N, G, outputs, X)``, to the PEs of the tasks, in order."""
    blocks = deal_outputs(problem.conv_shape, problem.step, problem.array)
    by_place = work.transpose(1, 4, 0, 2, 3)
    return blocks.deal(by_place).reshape(-1, problem.array.pes_per_group)


def deal_forward(problem: StepProblem) -> IntArray:
    """Give the PEs' cycles of Forward's tasks: one for each image, output row p, strip and block of filters."""
    shape = problem.conv_shape
    strips = cut_strips(shape, Step.FORWARD, problem.array)
    return deal_rows(np.stack([sum_work(issue_forward(problem, strip), problem, strip) for strip in strips]), problem)


def sum_work(issued: IntArray, problem: StepProblem, strip: Strip) -> IntArray:
    """Add the headers of a strip's row operations to their issue cycles ``(N, G, outputs, X)``."""
    held = hold_back(issued, problem, strip)
    return held + count_operations(problem, strip) * problem.array.row_overhead_cycles


def issue_forward(problem: StepProblem, strip: Strip) -> IntArray:
    """Sum the issue cycles of every output's row operations on a strip: ``(N, G, M / G, P)``."""
    shape, mask = problem.conv_shape, find_output_mask(problem)
    if mask is not None:
        return sum_masked_outputs(problem, mask, strip)[0]
    if skips_weights(problem):
        return sum_weighted_rows(problem, strip)[0]
    costs = cost_taps(strip.cut_drivers(tabulate_strip(shape, Step.FORWARD, strip).counts), problem.array).cycles
    count = shape.batch * shape.in_channels * shape.in_height
    rows = multiply_exactly(strip.cut_drivers(find_drivers(problem)).reshape(count, len(costs)), costs[:, None])
    rows = rows.reshape(shape.batch, shape.groups, shape.group_in_channels, shape.in_height, 1).sum(axis=2)
    issued = scatter_kernel_rows(rows, shape)[:, :, None, :, 0]
    return np.repeat(issued, shape.group_out_channels, axis=2)


def tally_forward(problem: StepProblem) -> Tally:
    """Count what Forward's row operations add up to."""
    shape = problem.conv_shape
    strips = cut_strips(shape, Step.FORWARD, problem.array)
    row_pairs = (pair_rows(shape) >= 0).sum(axis=1)
    # How often each column drives a row operation of one filter.
    met = row_pairs @ find_drivers(problem).sum(axis=(0, 1))
    mask = find_output_mask(problem)
    row_ops = drivers = live = empty = 0
    for strip in strips:
        row_ops += count_all_operations(problem, strip)
        drivers += count_examined(problem, strip, met)
        if mask is not None:
            parts = [
                int(hold_back(part, problem, strip).sum()) for part in sum_masked_outputs(problem, mask, strip)[1:]
            ]
        elif skips_weights(problem):
            parts = [int(part.sum()) for part in sum_weighted_rows(problem, strip)[1:]]
        else:
            costs = cost_taps(strip.cut_drivers(tabulate_strip(shape, Step.FORWARD, strip).counts), problem.array)
            counts = costs.taps, costs.empty(problem.array)
            parts = [int(strip.cut_drivers(met) @ part) * shape.group_out_channels for part in counts]
        live, empty = live + parts[0], empty + parts[1]
    return Tally(row_ops, live, empty, drivers)


def count_all_operations(problem: StepProblem, strip: Strip) -> int:
    """Count the row operations on a strip of all result rows."""
    counted = count_operations(problem, strip)
    outputs = problem.conv_shape.group_out_channels
    if problem.step is Step.GTA:
        outputs = problem.conv_shape.group_in_channels
    return int(counted.sum()) * (outputs if counted.shape[2] == 1 else 1)


def count_examined(problem: StepProblem, strip: Strip, met: IntArray) -> int:
    """Count the driver elements of Forward's row operations on a strip.

    Args:
        met: How many elements of each column meet one filter, ``(W,)``.
    """
    shape, wanted = problem.conv_shape, mark_results(problem, strip)
    if wanted is None:
        return int(met[strip.window.start : strip.window.stop].sum()) * shape.group_out_channels
    present = strip.cut_drivers(find_drivers(problem)).sum(axis=-1, dtype=np.int64)
    by_group = present.reshape(shape.batch, shape.groups, -1, shape.in_height).sum(axis=2)
    drivers = scatter_kernel_rows(by_group[..., None], shape)[:, :, None, :, 0]
    return int((drivers * wanted).sum())


def sum_weighted_rows(problem: StepProblem, strip: Strip) -> tuple[IntArray, IntArray, IntArray]:
    """Sum issue cycles, live taps, empty issue cycles of a strip of every output row where zero weights are skipped.

    Returns:
        Three int64 ``(N, G, M / G, P)``.
    """
    shape = problem.conv_shape
    N, G, Cg, Mg = shape.batch, shape.groups, shape.group_in_channels, shape.group_out_channels
    classes, members = group_classes(tabulate_strip(shape, Step.FORWARD, strip), shape.kernel_width)
    rows = count_classes(strip.limit_drivers(problem.operands.input != 0), members, len(classes))
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
    wanted = np.ones(shape.input_shape, dtype=np.bool_) if problem.mask is None else problem.mask
    return problem.operands.grad_output != 0, wanted


def sum_masked_rows(problem: StepProblem, strip: Strip) -> IntArray:
    """Sum issue cycles, live taps and empty issue cycles where zero weights are skipped: ``(N, G, C / G, H, 3)``."""
    shape = problem.conv_shape
    N, G, Cg, H = shape.batch, shape.groups, shape.group_in_channels, shape.in_height
    _, wanted = find_gradients(problem)
    wanted = strip.limit(wanted)
    sums = np.zeros((N, G, Cg, H, 3), dtype=np.int64)
    for n in range(N):
        for h in range(H):
            operations = weigh_masked_rows(problem, shape, wanted, (n, h), strip)
            sums[n, :, :, h] = operations.sum(axis=(1, 2)).reshape(G, Cg, 3)
    return sums


def deal_gta(problem: StepProblem) -> IntArray:
    """Give the PEs' cycles of GTA's tasks: one for each image, input row h, strip and block of input channels."""
    shape = problem.conv_shape
    strips = cut_strips(shape, Step.GTA, problem.array)
    if skips_weights(problem):
        issued = [sum_masked_rows(problem, strip)[..., 0] for strip in strips]
    else:
        present, wanted = find_gradients(problem)
        gathered = gather_gradients(present, shape)
        issued = [issue_gta(gathered, wanted, problem, strip) for strip in strips]
    work = [sum_work(part, problem, strip) for part, strip in zip(issued, strips, strict=True)]
    return deal_rows(np.stack(work), problem)


def issue_gta(gathered: IntArray, wanted: BoolArray, problem: StepProblem, strip: Strip) -> IntArray:
    """Sum the issue cycles of every output's row operations on a strip: ``(N, G, C / G, H)``."""
    shape = problem.conv_shape
    costs = cost_taps(count_partners(strip.limit(wanted), shape, strip.window), problem.array).cycles
    grouped = costs.reshape(shape.batch, shape.groups, shape.group_in_channels, shape.in_height, len(strip.window))
    issued: IntArray = np.einsum("nghq,ngchq->ngch", strip.cut_drivers(gathered), grouped)
    return issued


def tally_gta(problem: StepProblem) -> Tally:
    """Count what GTA's row operations add up to."""
    shape = problem.conv_shape
    strips = cut_strips(shape, Step.GTA, problem.array)
    present, wanted = find_gradients(problem)
    drivers = gather_gradients(present, shape)
    row_ops = elements = live = empty = 0
    for strip in strips:
        row_ops += count_all_operations(problem, strip)
        worked = mark_results(problem, strip)
        in_window = strip.cut_drivers(drivers).sum(axis=-1)
        if worked is None:
            elements += int(in_window.sum()) * shape.group_in_channels
        else:
            elements += int((in_window * worked.sum(axis=2)).sum())
        if skips_weights(problem):
            sums = sum_masked_rows(problem, strip)
            parts = [int(hold_back(sums[..., place], problem, strip).sum()) for place in (1, 2)]
        else:
            parts = list(tally_partners(drivers, strip.limit(wanted), shape, problem.array, strip.window, worked))
        live, empty = live + parts[0], empty + parts[1]
    return Tally(row_ops, live, empty, elements)


def weigh_masked_rows(
    problem: StepProblem, shape: ConvShape, allowed: NDArray[np.bool_], place: tuple[int, int], strip: Strip
) -> IntArray:
    """List issue cycles, live taps and empty issue cycles of the row operations that add into a strip of grad_input.

    Args:
        allowed: Of the strip's columns alone.
        place: Image and row.

    Returns:
        int64 ``(C, M / G, R, 3)``.
    """
    (n, h), operands = place, problem.operands
    rows = compress_rows(operands.grad_output[n])
    allowed_row = np.ascontiguousarray(allowed[n, :, h])
    listed: IntArray = list_masked_rows(
        rows, allowed_row, operands.weight != 0, pair_rows(shape)[h], shape, problem.array, strip.window
    )  # fmt: skip
    return listed
