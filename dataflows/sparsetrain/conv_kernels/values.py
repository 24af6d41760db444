"""The values of GTW of a convolution, from the tasks that the machine executed."""

from __future__ import annotations

import numpy as np

from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepValues
from dataflows.rows.dealing import Blocks, count_kernels_per_pe
from dataflows.rows.taps import pair_rows, tabulate_taps
from dataflows.rows.values import correlate_osrc_rows
from dataflows.storage.compressed_rows import compress_rows
from workloads.arrays import BoolArray
from workloads.shapes import Step


def execute_gtw(problem: StepProblem, executed: BoolArray) -> StepValues:
    """Sum the OSRC row operations of each executed block of kernels."""
    shape = problem.conv_shape
    blocks = Blocks(shape.group_in_channels, problem.array.pes_per_group, count_kernels_per_pe(shape, problem.array))
    wanted = blocks.spread(executed.reshape(shape.out_channels, blocks.per_group))
    rows = compress_rows(problem.operands.grad_output, keeps_zeros=not problem.array.skip_zeros)
    activation = np.ascontiguousarray(problem.operands.input.transpose(0, 2, 3, 1))
    present = activation != 0 if problem.array.skip_zeros else np.ones(activation.shape, dtype=np.bool_)
    taps = tabulate_taps(shape, Step.GTW)
    output, row_ops, multiplications = correlate_osrc_rows(
        rows, activation, present, wanted, pair_rows(shape),
        taps, shape.kernel_width,
    )  # fmt: skip
    return StepValues(np.ascontiguousarray(output.transpose(0, 3, 1, 2)), int(row_ops), int(multiplications))
