"""The values of GTW of a convolution, from the tasks that the machine executed."""

from __future__ import annotations

import numpy as np

from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepValues
from dataflows.rows.dealing import deal_kernels
from dataflows.rows.occupied import count_kernel_operations
from dataflows.rows.strips import cut_kernel
from dataflows.rows.taps import pair_rows, tabulate_taps
from dataflows.rows.values import correlate_osrc_rows
from dataflows.sparsetrain.arithmetic import compute
from dataflows.storage.compressed_rows import compress_rows
from workloads.arrays import BoolArray
from workloads.shapes import Step


def execute_gtw(problem: StepProblem, executed: BoolArray, kernels_per_pe: int | None = None) -> StepValues:
    """Sum the OSRC row operations of each executed block and run of kernels, in the step's arithmetic.

    Args:
        kernels_per_pe: K, where the tasks were dealt with another than the shape's own.
    """
    return compute(
        problem, lambda part, keeps_zeros: sum_osrc_rows(part, executed, kernels_per_pe, keeps_zeros)
    )  # fmt: skip


def sum_osrc_rows(
    problem: StepProblem, executed: BoolArray, kernels_per_pe: int | None, keeps_zeros: bool
) -> StepValues:
    """Sum the OSRC row operations of each executed block and run of kernels, from the first to the last."""
    shape, runs = problem.conv_shape, cut_kernel(problem.conv_shape, problem.array)
    tasks = deal_kernels(shape, problem.array, kernels_per_pe)
    wanted = tasks.spread(executed.reshape(*tasks.limits, len(runs)))
    rows = compress_rows(problem.operands.grad_output, keeps_zeros=keeps_zeros)
    activation = np.ascontiguousarray(problem.operands.input.transpose(0, 2, 3, 1))
    present = activation != 0 if problem.array.skip_zeros else np.ones(activation.shape, dtype=np.bool_)
    taps, pairs = tabulate_taps(shape, Step.GTW), pair_rows(shape)
    parts, row_ops, multiplications = [], 0, 0
    for place, run in enumerate(runs):
        output, operations, products = correlate_osrc_rows(
            rows, activation, present, np.ascontiguousarray(wanted[:, :, place]),
            np.ascontiguousarray(pairs[:, run.start : run.stop]), taps, shape.kernel_width,
        )  # fmt: skip
        parts.append(np.ascontiguousarray(output.transpose(0, 3, 1, 2)))
        if problem.array.passes_empty_rows:
            by_filter = wanted[:, :, place].reshape(shape.groups, shape.group_out_channels, -1)
            operations = int((count_kernel_operations(problem, run) * by_filter).sum())
        row_ops, multiplications = row_ops + int(operations), multiplications + int(products)
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
    return StepValues(whole, row_ops, multiplications)
