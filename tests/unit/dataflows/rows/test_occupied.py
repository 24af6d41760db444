"""Row operations that can multiply, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dataflows.contract.array import PEArray
from dataflows.contract.problem import StepProblem
from dataflows.rows.occupied import (
    count_kernel_operations,
    count_operations,
    hold_back,
    mark_drivers,
    mark_gradients,
    mark_inputs,
    mark_results,
)
from dataflows.rows.strips import cut_strips
from workloads.operands import Operands
from workloads.shapes import ConvShape, Step

SHAPE = ConvShape(1, 1, 3, 4, 2, 2, 1)
ROWS = np.array([[[[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 2]]]], dtype=np.float32)
GRADIENT = np.array([[[[0, 0, 0, 0], [1, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]]], dtype=np.float32)
OPERANDS = Operands(
    "conv", SHAPE, ROWS, np.ones(SHAPE.weight_shape, np.float32), None, GRADIENT, ROWS != 0, tuple(Step)
)  # fmt: skip
SKIPPING = PEArray(skip_empty_rows=True)


def pose(step: Step, array: PEArray = SKIPPING) -> StepProblem:
    return StepProblem(OPERANDS, step, array)


def whole(step: Step) -> tuple:
    problem = pose(step)
    return problem, cut_strips(SHAPE, step, problem.array)[0]


def test_forward_works_the_input_rows_that_hold_something() -> None:
    problem, strip = whole(Step.FORWARD)
    assert mark_drivers(problem, strip).tolist() == [[[[True, False, True]]]]
    assert mark_results(problem, strip) is None
    # Output row 0 meets input rows 0 and 1, output row 1 rows 1 and 2; both filters alike.
    assert count_operations(problem, strip).tolist() == [[[[1, 1]]]]


def test_a_strip_asks_for_nonzeros_in_its_window() -> None:
    array = replace(SKIPPING, accumulators=2)
    problem = pose(Step.FORWARD, array)
    marked = [mark_drivers(problem, strip).reshape(-1).tolist() for strip in cut_strips(SHAPE, Step.FORWARD, array)]
    assert marked == [[True, False, False], [False, False, True]]


def test_gta_works_driver_rows_into_rows_with_a_mask() -> None:
    problem, strip = whole(Step.GTA)
    wanted = mark_results(problem, strip)
    assert wanted is not None
    assert wanted.tolist() == [[[[True, False, True]]]]
    # Only row 1 of filter 0 holds something; it adds into input rows 1, which is masked, and 2.
    assert count_operations(problem, strip).tolist() == [[[[0, 0, 1]]]]
    assert hold_back(np.full((1, 1, 1, 3), 7), problem, strip).tolist() == [[[[7, 0, 7]]]]


def test_gtw_pairs_rows_that_both_hold_something() -> None:
    problem = pose(Step.GTW)
    assert mark_gradients(problem).tolist() == [[[[False, True], [False, False]]]]
    assert mark_inputs(problem).tolist() == [[[[True, False, True]]]]
    # Gradient row 1 meets input row 1 through kernel row 0, which is empty, and row 2 through kernel row 1.
    assert count_kernel_operations(problem, range(0, 1)).tolist() == [[[0], [0]]]
    assert count_kernel_operations(problem, range(1, 2)).tolist() == [[[1], [0]]]


def test_no_row_is_passed_over_by_a_machine_that_works_empty_rows_or_is_dense() -> None:
    for array in (PEArray(), PEArray(skip_zeros=False, skip_empty_rows=True)):
        problem = pose(Step.GTA, array)
        strip = cut_strips(SHAPE, Step.GTA, array)[0]
        assert mark_drivers(problem, strip).all()
        assert mark_results(problem, strip) is None
        assert count_operations(problem, strip).tolist() == [[[[2, 4, 2]]]]
        assert count_kernel_operations(pose(Step.GTW, array), range(2)).tolist() == [[[4], [4]]]
