"""Verification: exact for integers, a rounding bound otherwise, the first bad index named."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dataflows.contract.tasks import StepCounts, StepValues, TaskTable
from sim.step.values import check_counts, finish_values
from sim.step.verify import FLOAT32_EXACT, FLOAT32_UNDERFLOW, FLOAT32_UNIT, Verdict, verify_step
from workloads.errors import InputError
from workloads.operands import Operands
from workloads.shapes import ConvShape, LinearShape, Step

SHAPE = LinearShape(batch=2, in_features=3, out_features=2)
INPUT = np.array([[1, 2, 0], [0, 3, 1]], dtype=np.float32)
WEIGHT = np.array([[1, 1, 2], [3, 0, 1]], dtype=np.float32)
BIAS = np.array([5, -5], dtype=np.float32)
GRAD_OUTPUT = np.array([[1, 0], [2, 1]], dtype=np.float32)
OPERANDS = Operands("fc", SHAPE, INPUT, WEIGHT, BIAS, GRAD_OUTPUT, INPUT != 0, tuple(Step))
RIGHT = {
    Step.FORWARD: INPUT @ WEIGHT.T + BIAS,
    Step.GTA: np.where(INPUT != 0, GRAD_OUTPUT @ WEIGHT, 0).astype(np.float32),
    Step.GTW: GRAD_OUTPUT.T @ INPUT,
}


@pytest.mark.parametrize("step", Step)
def test_integers_that_are_equal_are_exact(step: Step) -> None:
    found = verify_step(OPERANDS, step, RIGHT[step])
    assert (found.verdict, found.max_abs_error, found.tolerance, found.message) == (Verdict.EXACT, 0.0, 0.0, "")


@pytest.mark.parametrize("step", Step)
def test_the_first_of_the_wrong_elements_is_named(step: Step) -> None:
    wrong = RIGHT[step].copy()
    wrong[1, 0] += 1
    wrong[1, 1] -= 3
    found = verify_step(OPERANDS, step, wrong)
    assert (found.verdict, found.max_abs_error) == (Verdict.FAILED, 3.0)
    assert found.message == (
        f"layer 'fc', step {step}: output[1, 0] is {wrong[1, 0]:.9g}, the reference says {RIGHT[step][1, 0]:.9g} "
        f"(2 of {wrong.size} elements differ)"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_fails(value: float) -> None:
    wrong = RIGHT[Step.FORWARD].copy()
    wrong[0, 1] = value
    found = verify_step(OPERANDS, Step.FORWARD, wrong)
    assert (found.verdict, found.max_abs_error) == (Verdict.FAILED, np.inf)
    assert found.message.startswith(f"layer 'fc', step forward: output[0, 1] is {value:.9g}, ")


def test_fractions_may_differ_by_their_rounding_bound_and_no_more() -> None:
    scaled = dataclasses.replace(OPERANDS, input=INPUT / np.float32(3), bias=None)
    exact = scaled.input.astype(np.float64) @ WEIGHT.T.astype(np.float64)
    found = verify_step(scaled, Step.FORWARD, exact.astype(np.float32))
    assert found.verdict is Verdict.WITHIN_TOLERANCE
    assert found.tolerance is not None
    # Cauchy-Schwarz bounds the sum of magnitudes; 3 products, the bias and the conversion round.
    magnitude = np.linalg.norm(scaled.input, axis=1).max() * np.linalg.norm(WEIGHT, axis=1).max()
    terms = SHAPE.in_features + 2
    assert 0 < found.tolerance <= magnitude * terms * FLOAT32_UNIT / (1 - terms * FLOAT32_UNIT) * (1 + 1e-6)
    beyond = (exact + 2 * found.tolerance).astype(np.float32)
    assert verify_step(scaled, Step.FORWARD, beyond).verdict is Verdict.FAILED


def test_integers_whose_sums_may_round_are_not_held_to_equality() -> None:
    large = dataclasses.replace(OPERANDS, input=np.full_like(INPUT, FLOAT32_EXACT), bias=None)
    right = (large.input.astype(np.float64) @ WEIGHT.T).astype(np.float32)
    assert verify_step(large, Step.FORWARD, right).verdict is Verdict.WITHIN_TOLERANCE


def test_a_fraction_in_an_operand_that_the_step_does_not_read_leaves_it_exact() -> None:
    fractions = dataclasses.replace(OPERANDS, grad_output=GRAD_OUTPUT / np.float32(3))
    assert verify_step(fractions, Step.FORWARD, RIGHT[Step.FORWARD]).verdict is Verdict.EXACT
    assert verify_step(fractions, Step.GTW, RIGHT[Step.GTW]).verdict is Verdict.FAILED


@pytest.mark.parametrize("step", Step)
def test_products_that_underflow_may_each_err_by_half_the_smallest_subnormal(step: Step) -> None:
    # Factors near 2^-75: each product rounds to a multiple of 2^-149, its magnitude plays no part.
    rng = np.random.default_rng(5)
    shape = LinearShape(batch=3, in_features=4, out_features=5)
    input, weight, gradient = (
        (rng.uniform(1, 2, size) * 2.0**-75).astype(np.float32)
        for size in (shape.input_shape, shape.weight_shape, shape.output_shape)
    )
    operands = Operands("fc", shape, input, weight, None, gradient, None, tuple(Step))
    left, right, products = {
        Step.FORWARD: (input, weight.T, 4), Step.GTA: (gradient, weight, 5), Step.GTW: (gradient.T, input, 3),
    }[step]  # fmt: skip
    exact = left.astype(np.float64) @ right.astype(np.float64)
    rounded = sum((left[:, [k]] * right[[k]] for k in range(products)), start=np.zeros(exact.shape, np.float32))
    found = verify_step(operands, step, rounded)
    assert found.verdict is Verdict.WITHIN_TOLERANCE
    assert found.max_abs_error is not None
    # What is relative alone allows a millionth of this.
    assert found.max_abs_error > 1e4 * products * FLOAT32_UNIT * exact.max()
    assert found.tolerance == pytest.approx(products * FLOAT32_UNDERFLOW, rel=1e-4)
    wrong = rounded + np.float32((products + 1) * 2.0**-149)
    assert verify_step(operands, step, wrong).verdict is Verdict.FAILED


def test_elements_without_a_product_have_no_room_to_underflow() -> None:
    masked = dataclasses.replace(OPERANDS, grad_output=GRAD_OUTPUT / np.float32(3))
    wrong = np.where(masked.mask, (masked.grad_output.astype(np.float64) @ WEIGHT), 2.0**-149).astype(np.float32)
    found = verify_step(masked, Step.GTA, wrong)
    assert found.verdict is Verdict.FAILED
    assert found.message.startswith(
        "layer 'fc', step gta: output[0, 2] is 1.40129846e-45, the reference says 0 (2 of 6"
    )


@pytest.mark.parametrize("step", Step)
def test_a_reference_that_exceeds_float32_is_bad_input(step: Step) -> None:
    name = "weight" if step is Step.GTA else "input"
    tensors = {"input": INPUT.copy(), "weight": WEIGHT.copy()}
    tensors[name][1] = 3e38
    large = dataclasses.replace(OPERANDS, **tensors, bias=None, mask=None)
    place, value = {
        Step.FORWARD: ([1, 0], "1.2e+39"), Step.GTA: ([1, 0], "3e+38"), Step.GTW: ([0, 0], "6e+38"),
    }[step]  # fmt: skip
    if step is Step.GTA:
        large = dataclasses.replace(large, grad_output=GRAD_OUTPUT * 2)
        value = "6e+38"
    with pytest.raises(InputError) as error:
        verify_step(large, step, np.zeros_like(RIGHT[step]))
    assert str(error.value) == (
        f"the reference of layer 'fc', step {step}, exceeds float32 at {place}, where it is {value}; the operands are "
        "too large, or the network they are from has diverged"
    )


def test_a_reference_at_the_end_of_float32_is_none() -> None:
    shape = LinearShape(1, 1, 1)
    one, most = np.ones((1, 1), np.float32), np.full((1, 1), np.finfo(np.float32).max, np.float32)
    operands = Operands("fc", shape, most, one, None, one, None, tuple(Step))
    assert verify_step(operands, Step.FORWARD, most).verdict is Verdict.WITHIN_TOLERANCE
    with np.errstate(over="ignore"):
        fault = most * np.float32(2)
    # A single product of this size cannot have left float32 on its way: the machine is wrong.
    small = dataclasses.replace(operands, input=one)
    assert verify_step(small, Step.FORWARD, fault).verdict is Verdict.FAILED


def test_sums_that_leave_float32_before_they_cancel_are_bad_input() -> None:
    shape = LinearShape(1, 3, 1)
    input = np.array([[3e38, 3e38, -3e38]], np.float32)
    ones = np.ones((1, 3), np.float32)
    operands = Operands("fc", shape, input, ones, None, np.ones((1, 1), np.float32), None, tuple(Step))
    with pytest.raises(InputError) as error:
        verify_step(operands, Step.FORWARD, np.full((1, 1), np.inf, np.float32))
    assert str(error.value) == (
        "the sums of layer 'fc', step forward, exceed float32 before they cancel: magnitudes add up to as much as "
        "9e+38; the operands are too large, or the network they are from has diverged"
    )


TABLE = TaskTable(np.zeros((1, 1), np.int64), ("task",), np.zeros((1, 1), np.int64), StepCounts(7, 20, 0, 0, 0, 0, 0))


@pytest.mark.parametrize(("row_ops", "multiplications"), [(6, 20), (8, 20), (7, 19), (7, 21)])
def test_work_that_was_timed_and_not_done_or_done_and_not_timed_fails(row_ops: int, multiplications: int) -> None:
    found = check_counts(OPERANDS, Step.GTA, TABLE, StepValues(RIGHT[Step.GTA], row_ops, multiplications))
    assert found is not None
    assert found.verdict is Verdict.FAILED
    assert found.message == (
        "layer 'fc', step gta: 7 row operations and 20 multiplications were timed, "
        f"{row_ops} and {multiplications} were done"
    )


def test_counts_that_agree_say_nothing() -> None:
    assert check_counts(OPERANDS, Step.GTA, TABLE, StepValues(RIGHT[Step.GTA], 7, 20)) is None


def test_bias_is_added_to_outputs_alone_and_the_mask_applied_to_input_gradients_alone() -> None:
    shape = ConvShape(1, 2, 1, 2, 2, 1, 1)
    ones = np.ones((1, 2, 1, 2), dtype=np.float32)
    mask = np.array([[[[True, False]], [[False, True]]]])
    operands = Operands("conv", shape, ones, np.ones((2, 2, 1, 1), np.float32), BIAS, ones, mask, tuple(Step))
    values = StepValues(ones, 0, 0)
    np.testing.assert_array_equal(finish_values(operands, Step.FORWARD, values)[0, :, 0], [[6, 6], [-4, -4]])
    np.testing.assert_array_equal(finish_values(operands, Step.GTA, values), mask)
    np.testing.assert_array_equal(finish_values(operands, Step.GTW, values), ones)
