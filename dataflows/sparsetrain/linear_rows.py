"""What the mappings of fully connected layers share: their counts, and the convolution whose products they are."""

from __future__ import annotations

import dataclasses

import numpy as np

from dataflows.contract.array import PEArray
from dataflows.contract.entries import SUMMED_ENTRIES, sum_spans
from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepCounts
from workloads.arrays import IntArray
from workloads.operands import Operands
from workloads.shapes import ConvShape


def make_linear_counts(
    problem: StepProblem, products: tuple[int, int], multiplications: int, effectual_macs: int, updates: int
) -> StepCounts:
    """Fill in the counts of a step; a row without taps of its own has no issue that is empty.

    Args:
        products: Those of a row with something that are done, and those of which it was looked up.
        updates: Of accumulators.
    """
    (row_ops, examined), shape, array = products, problem.linear_shape, problem.array
    return StepCounts(
        row_ops=row_ops,
        multiplications=multiplications,
        effectual_macs=effectual_macs,
        dense_macs=shape.nominal_macs,
        nominal_macs=shape.nominal_macs,
        header_cycles=row_ops * array.row_overhead_cycles,
        empty_issue_cycles=0,
        actions={
            "accumulator_updates": updates,
            "taps_examined": multiplications * array.skip_zeros,
            "rows_examined": examined * array.passes_empty_rows,
        },
    )


def add_headers(counts: StepCounts, uncut: IntArray, cut: IntArray) -> StepCounts:
    """Count the headers of pieces among the headers: the cycles that cutting added to those of the uncut tasks."""
    added = int(cut.sum() - uncut.sum())
    return dataclasses.replace(counts, header_cycles=counts.header_cycles + added)


def count_issues(counts: StepCounts, traffic: Traffic, array: PEArray) -> StepCounts:
    """Count an update of an accumulator for each issue of dot products whose rows may be cut.

    An entry is one piece of one product on each of its PEs: what its cycles are without a header.
    """
    if array.multipliers_per_pe == 1:
        return counts
    issues = 0
    for start in range(0, len(traffic.burst_first) - 1, SUMMED_ENTRIES):
        edges = traffic.burst_first[start : start + SUMMED_ENTRIES + 1]
        cycles = sum_spans(traffic.burst_cycles[edges[0] : edges[-1]], edges - edges[0])
        issues += int(cycles.sum()) - array.row_overhead_cycles * int(np.count_nonzero(cycles))
    return dataclasses.replace(counts, actions={**counts.actions, "accumulator_updates": issues})


def view_as_convolution(problem: StepProblem) -> StepProblem:
    """Give the convolution with 1 x 1 kernels on 1 x 1 maps that has the products of a fully connected layer."""
    shape, operands = problem.linear_shape, problem.operands
    as_conv = ConvShape(shape.batch, shape.in_features, 1, 1, shape.out_features, 1, 1)
    wrapped = Operands(
        operands.layer, as_conv, operands.input[:, :, None, None], operands.weight[:, :, None, None], operands.bias,
        operands.grad_output[:, :, None, None], None if operands.mask is None else operands.mask[:, :, None, None],
        operands.steps,
    )  # fmt: skip
    array = dataclasses.replace(problem.array, skip_weights=False)
    return StepProblem(wrapped, problem.step, array, arithmetic=problem.arithmetic)
