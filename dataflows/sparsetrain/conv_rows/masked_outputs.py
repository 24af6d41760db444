"""SRC under a mask of its outputs, as in GTA of a transposed convolution: a tap is live where its output is set."""

from __future__ import annotations

import numpy as np

from dataflows.contract.problem import StepProblem
from dataflows.rows.cycles import TapCosts, cost_taps, multiply_exactly, scatter_kernel_rows, skips_weights
from dataflows.rows.strips import Strip
from dataflows.rows.taps import pair_rows, tabulate_taps
from workloads.arrays import BoolArray, IntArray
from workloads.shapes import ConvShape, Step


def find_output_mask(problem: StepProblem) -> BoolArray | None:
    """Give the mask of the outputs of SRC, ``(N, M, P, Q)``, where the PEs know one."""
    return problem.mask if problem.array.skip_zeros and problem.step is Step.FORWARD else None


def mark_outputs(shape: ConvShape) -> IntArray:
    """Tell which output each column meets through each tap: 0 or 1, ``(W, S, Q)``."""
    taps = tabulate_taps(shape, Step.FORWARD)
    reached = np.zeros((shape.in_width, shape.kernel_width, shape.out_width), dtype=np.int64)
    reached[np.repeat(np.arange(shape.in_width), taps.counts), taps.tap, taps.partner] = 1
    return reached


def cost_columns(problem: StepProblem, mask: BoolArray, strip: Strip) -> TapCosts:
    """Cost each driver element of a strip's window by the taps whose output is set: ``(N, G, M / G, P, window)``."""
    shape = problem.conv_shape
    meets = strip.cut_drivers(mark_outputs(shape).sum(axis=1).T)
    live = multiply_exactly(strip.limit(mask), meets)
    by_group = shape.batch, shape.groups, shape.group_out_channels, shape.out_height, len(strip.window)
    return cost_taps(live.reshape(by_group), problem.array)


def sum_masked_outputs(problem: StepProblem, mask: BoolArray, strip: Strip) -> tuple[IntArray, IntArray, IntArray]:
    """Sum issue cycles, live taps, empty issue cycles of a strip of every output row under a mask.

    Returns:
        Three int64 ``(N, G, M / G, P)``.
    """
    shape, array = problem.conv_shape, problem.array
    N, G, Mg, P = shape.batch, shape.groups, shape.group_out_channels, shape.out_height
    if skips_weights(problem):
        sums = np.zeros((N, shape.out_channels, P, 3), dtype=np.int64)
        for n, p in np.ndindex(N, P):
            sums[n, :, p] = weigh_masked_outputs(problem, mask, (n, p), strip).sum(axis=(1, 2))
        by_group = sums.reshape(N, G, Mg, P, 3)
        return by_group[..., 0], by_group[..., 1], by_group[..., 2]
    present = (problem.operands.input != 0).reshape(N, G, -1, shape.in_height, shape.in_width)
    drivers = strip.cut_drivers(scatter_kernel_rows(present.sum(axis=2, dtype=np.int64), shape))
    costs = cost_columns(problem, mask, strip)
    cycles, live, empty = (
        np.einsum("ngpw,ngmpw->ngmp", drivers, part) for part in (costs.cycles, costs.taps, costs.empty(array))
    )
    return cycles, live, empty


def weigh_masked_outputs(problem: StepProblem, mask: BoolArray, place: tuple[int, int], strip: Strip) -> IntArray:
    """List issue cycles, live taps and empty issue cycles of the row operations of a strip of one masked output row.

    Args:
        place: Image and row.

    Returns:
        int64 ``(M, C / G, R, 3)``.
    """
    (n, p), shape, operands = place, problem.conv_shape, problem.operands
    G, Cg, Mg, R = shape.groups, shape.group_in_channels, shape.group_out_channels, shape.kernel_height
    # Of filter m and column w, the taps whose output is wanted.
    outputs = strip.limit(mask[n, :, p]).astype(np.int64)
    wanted = np.einsum("wsq,mq->mws", mark_outputs(shape), outputs).reshape(G, Mg, shape.in_width, -1)
    present = (operands.weight != 0).reshape(G, Mg, Cg, R, shape.kernel_width).astype(np.int64)
    drivers = strip.limit_drivers(operands.input[n] != 0).reshape(G, Cg, shape.in_height, shape.in_width)
    listed = np.zeros((G, Mg, Cg, R, 3), dtype=np.int64)
    for h, r in zip(*np.nonzero(pair_rows(shape) == p), strict=True):
        costs = cost_taps(np.einsum("gmws,gmcs->gmcw", wanted, present[:, :, :, r]), problem.array)
        for kind, part in enumerate((costs.cycles, costs.taps, costs.empty(problem.array))):
            listed[:, :, :, r, kind] = np.einsum("gmcw,gcw->gmc", part, drivers[:, :, h])
    return listed.reshape(shape.out_channels, Cg, R, 3)
