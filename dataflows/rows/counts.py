"""What the row operations of a convolution's step add up to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from dataflows.contract.array import PEArray
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepCounts
from dataflows.rows.cycles import (
    cost_taps,
    count_partners,
    gather_kernel_rows,
)
from dataflows.rows.strips import cut_strips
from dataflows.rows.taps import pair_rows, tabulate_taps
from workloads.arrays import BoolArray, IntArray
from workloads.shapes import ConvShape, Step


@dataclasses.dataclass(frozen=True, slots=True)
class Tally:
    """What the row operations of a step add up to."""

    row_ops: int
    multiplications: int
    empty_issue_cycles: int
    driver_elements: int


def count_dense_macs(shape: ConvShape) -> int:
    """Count the multiplications of one step without those on padding."""
    row_pairs = int((pair_rows(shape) >= 0).sum())
    column_pairs = len(tabulate_taps(shape, Step.FORWARD).tap)
    return shape.batch * shape.out_channels * shape.group_in_channels * row_pairs * column_pairs


def gather_gradients(present: BoolArray, shape: ConvShape) -> IntArray:
    """Count, over the filters of a group, the present grad_output elements that meet input row h: ``(N, G, H, Q)``."""
    N, G, P, Q = shape.batch, shape.groups, shape.out_height, shape.out_width
    filters = present.reshape(N, G, shape.group_out_channels, P, Q).sum(axis=2, dtype=np.int64)
    return gather_kernel_rows(filters, shape)


def tally_partners(
    drivers: IntArray,
    wanted: BoolArray,
    shape: ConvShape,
    array: PEArray,
    window: range | None = None,
    worked: BoolArray | None = None,
) -> tuple[int, int]:
    """Count live taps and empty issue cycles of drivers ``(N, G, H, Q)`` that meet the wanted columns of an input.

    Args:
        window: Of the drivers that are read, where not all of them are.
        worked: Rows of the input that take part, ``(N, G, C / G, H)``; by default all of them.
    """  # fmt: skip
    N, G, Cg = shape.batch, shape.groups, shape.group_in_channels
    costs = cost_taps(count_partners(wanted, shape, window), array)
    by_group = (part.reshape(N, G, Cg, *part.shape[2:]) for part in (costs.taps, costs.empty(array)))
    parts = ((part if worked is None else part * worked[..., None]).sum(axis=2) for part in by_group)
    if window is not None:
        drivers = drivers[..., window.start : window.stop]
    live, empty = (int((drivers * part).sum()) for part in parts)
    return live, empty


def make_counts(problem: StepProblem, tally: Callable[[StepProblem], Tally]) -> StepCounts:
    """Count what the PEs do in one step of a convolution, whose row operations `tally` adds up."""
    done = tally(problem)
    effectual = done.multiplications
    if not problem.array.skip_zeros:
        effectual = tally(problem.skipping_zeros()).multiplications
    shape = problem.conv_shape
    return StepCounts(
        row_ops=done.row_ops,
        multiplications=done.multiplications,
        effectual_macs=effectual,
        dense_macs=count_dense_macs(shape),
        nominal_macs=shape.nominal_macs,
        header_cycles=done.row_ops * problem.array.row_overhead_cycles,
        empty_issue_cycles=done.empty_issue_cycles,
        actions={
            "accumulator_updates": done.multiplications,
            **count_index_actions(problem, done.driver_elements),
        },
    )


def count_index_actions(problem: StepProblem, driver_elements: int) -> dict[str, int]:
    """Count the looks at taps, and those at rows that might be empty; a dense machine takes neither."""
    shape, array, step = problem.conv_shape, problem.array, problem.step
    strips = 1 if step is Step.GTW else len(cut_strips(shape, step, array))
    row_pairs = strips * int((pair_rows(shape) >= 0).sum())
    return {
        "taps_examined": driver_elements * shape.kernel_width * array.skip_zeros,
        "rows_examined": shape.batch
        * shape.out_channels
        * shape.group_in_channels
        * row_pairs
        * array.passes_empty_rows,
    }
