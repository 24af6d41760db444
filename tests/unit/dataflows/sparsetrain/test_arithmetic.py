"""A cut reduction is executed part by part, integers in float64 and in units of the accumulator."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dataflows.contract.arithmetic import Arithmetic
from dataflows.contract.array import PEArray
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepValues
from dataflows.sparsetrain.arithmetic import compute, cut_reduction
from workloads.operands import Operands
from workloads.shapes import ConvShape, Step

SHAPE = ConvShape(3, 4, 5, 2, 6, 3, 1, (1, 1), (1, 0, 1, 0), (1, 1), 2)
RNG = np.random.default_rng(0)
OPERANDS = Operands(
    "conv", SHAPE, *(RNG.integers(1, 9, size).astype(np.float32) for size in (SHAPE.input_shape, SHAPE.weight_shape)),
    None, RNG.integers(1, 9, SHAPE.output_shape).astype(np.float32), None, tuple(Step),
)  # fmt: skip


def pose(step: Step, *runs: int, skip_zeros: bool = True) -> StepProblem:
    """Give a step whose reduction is cut into runs."""
    array = PEArray(skip_zeros=skip_zeros)
    return StepProblem(OPERANDS, step, array, arithmetic=Arithmetic(reduction_runs=runs))


def test_a_reduction_that_is_whole_has_no_parts() -> None:
    assert list(cut_reduction(pose(Step.FORWARD))) == []
    assert list(cut_reduction(pose(Step.FORWARD, 2))) == []
    assert list(cut_reduction(pose(Step.GTW, 3, 5))) == []


def test_parts_of_forward_have_some_channels_of_each_group() -> None:
    parts = [part.operands for part in cut_reduction(pose(Step.FORWARD, 1))]
    assert [part.shape.input_shape for part in parts] == [(3, 2, 5, 2)] * 2
    assert np.array_equal(parts[1].input, OPERANDS.input[:, [1, 3]])
    assert np.array_equal(parts[1].weight, OPERANDS.weight[:, 1:])


def test_parts_of_gta_have_some_filters_of_each_group_the_last_fewer() -> None:
    parts = [part.operands for part in cut_reduction(pose(Step.GTA, 2))]
    assert [part.shape.output_shape[1] for part in parts] == [4, 2]
    assert np.array_equal(parts[0].grad_output, OPERANDS.grad_output[:, [0, 1, 3, 4]])
    assert np.array_equal(parts[1].weight, OPERANDS.weight[[2, 5]])


def test_parts_of_gtw_have_some_images_and_input_rows_and_the_gradients_that_meet_them() -> None:
    parts = [part.operands for part in cut_reduction(pose(Step.GTW, 2, 3))]
    assert [part.shape.batch for part in parts] == [2, 2, 1, 1]
    assert not parts[1].input[:, :, :3].any()
    assert np.array_equal(parts[1].input[:, :, 3:], OPERANDS.input[:2, :, 3:])
    # Input row 3 meets output rows from 2 on.
    assert not parts[1].grad_output[:, :, :2].any()
    assert np.array_equal(parts[1].grad_output[:, :, 2:], OPERANDS.grad_output[:2, :, 2:])
    assert np.array_equal(parts[3].grad_output[:, :, 2:], OPERANDS.grad_output[2:, :, 2:])


@pytest.mark.parametrize("skip_zeros", [True, False])
def test_counts_are_those_of_the_whole_and_values_the_sum_of_the_parts(skip_zeros: bool) -> None:
    seen: list[bool] = []

    def execute(_: StepProblem, keeps_zeros: bool) -> StepValues:
        seen.append(keeps_zeros)
        return StepValues(np.full(1, 2.0 ** (24 * (len(seen) % 2)), dtype=np.float32), len(seen), 10)

    values = compute(pose(Step.GTA, 1, skip_zeros=skip_zeros), execute)
    assert (values.row_ops, values.multiplications) == (1, 10)
    # Parts of 1, 2^24 and 1: each sum is rounded, and loses a 1 to the even one.
    assert values.output.tolist() == [2.0**24]
    assert seen == [not skip_zeros, False, False, False]


def test_integers_are_executed_in_units_of_the_accumulator() -> None:
    unit = 0.5
    problem = dataclasses.replace(pose(Step.FORWARD), arithmetic=Arithmetic(unit))

    def execute(problem: StepProblem, keeps_zeros: bool) -> StepValues:
        assert not keeps_zeros
        assert problem.operands.input.dtype == problem.operands.weight.dtype == np.float64
        product = problem.operands.input[0, 0, 0, 0] * problem.operands.weight[0, 0, 0, 0]
        assert product * unit == OPERANDS.input[0, 0, 0, 0] * OPERANDS.weight[0, 0, 0, 0]
        return StepValues(np.array([2.0**25 + 3, np.nan]), 1, 2)

    values = compute(problem, execute)
    assert values.output.dtype == np.float32
    assert values.output[0] == np.float32((2.0**25 + 3) * unit)
    assert np.isnan(values.output[1])
