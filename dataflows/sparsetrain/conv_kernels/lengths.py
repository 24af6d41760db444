"""GTW of a convolution as tasks of exact length (sections 3 and 4 of the machine's definition)."""

from __future__ import annotations

import numpy as np

from dataflows.contract.problem import StepProblem
from dataflows.rows.counts import Tally, gather_gradients, tally_partners
from dataflows.rows.cycles import (
    cost_taps,
    count_partners,
    gather_kernel_rows,
    multiply_exactly,
)
from dataflows.rows.dealing import deal_kernels
from dataflows.rows.occupied import count_kernel_operations, mark_inputs
from dataflows.rows.strips import cut_kernel
from workloads.arrays import BoolArray, IntArray


def find_pairs(problem: StepProblem) -> tuple[BoolArray, BoolArray]:
    """Tell which elements of grad_output and of the input take part in GTW: all of them on a dense machine."""
    shape = problem.conv_shape
    if problem.array.skip_zeros:
        return problem.operands.grad_output != 0, problem.operands.input != 0
    return np.ones(shape.output_shape, dtype=np.bool_), np.ones(shape.input_shape, dtype=np.bool_)


def deal_gtw(problem: StepProblem) -> IntArray:
    """Give the PEs' cycles of GTW's tasks, in order."""
    shape = problem.conv_shape
    N, G, Cg, Mg = shape.batch, shape.groups, shape.group_in_channels, shape.group_out_channels
    present, allowed = find_pairs(problem)
    costs = cost_taps(count_partners(allowed, shape), problem.array).cycles
    costs = costs * mark_inputs(problem).reshape(N, shape.in_channels, shape.in_height, 1)
    right = np.moveaxis(costs.reshape(N, G, Cg, -1), 0, 2).reshape(G, Cg, -1)
    runs, counted = cut_kernel(shape, problem.array), present.astype(np.int64)
    work = np.zeros((len(runs), G, Mg, Cg), dtype=np.int64)
    for place, run in enumerate(runs):
        drivers = gather_kernel_rows(counted, shape, run)
        left = np.moveaxis(drivers.reshape(N, G, Mg, -1), 0, 2).reshape(G, Mg, -1)
        headers = count_kernel_operations(problem, run) * problem.array.row_overhead_cycles
        work[place] = multiply_exactly(left, np.swapaxes(right, 1, 2)) + headers
    return deal_kernels(shape, problem.array).deal(work).reshape(-1, problem.array.pes_per_group)


def tally_gtw(problem: StepProblem) -> Tally:
    """Count what GTW's row operations add up to."""
    shape = problem.conv_shape
    present, allowed = find_pairs(problem)
    drivers, worked = gather_gradients(present, shape), mark_inputs(problem)
    live, empty = tally_partners(drivers, allowed, shape, problem.array, worked=worked)
    row_ops = int(count_kernel_operations(problem, range(shape.kernel_height)).sum())
    return Tally(row_ops, live, empty, int((drivers.sum(axis=-1) * worked.sum(axis=2)).sum()))
