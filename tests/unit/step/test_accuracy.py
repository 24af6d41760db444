"""A step that stores rounded values is compared with float32's, on operands that were never rounded."""

from __future__ import annotations

import numpy as np
import pytest

from sim.step.accuracy import Accuracy, measure_accuracy
from sim.step.values import Comparison
from workloads.operands import GradientFinish, Operands
from workloads.pruning import PruningKey
from workloads.reference import run_forward, run_gta, run_gtw
from workloads.rounding import round_operands
from workloads.shapes import LinearShape, Step
from workloads.value_formats import ValueFormat

SHAPE = LinearShape(batch=1, in_features=2, out_features=1)
OPERANDS = Operands(
    "fc", SHAPE, np.array([[1 + 2.0**-12, 1e-9]], dtype=np.float32), np.array([[2, 1]], dtype=np.float32), None,
    np.array([[2.0**-25]], dtype=np.float32), np.array([[True, True]]), tuple(Step),
    finish=GradientFinish(None, 1.0, PruningKey(0, "fc", 0)),
)  # fmt: skip
RUN = {Step.FORWARD: run_forward, Step.GTA: run_gta, Step.GTW: run_gtw}


def measure(step: Step, loss_scale: float = 1.0) -> Accuracy:
    """Measure a step whose sums are the reference's, in half precision."""
    operands = round_operands(OPERANDS, ValueFormat.FP16, loss_scale)
    return measure_accuracy(Comparison(operands, step), np.asarray(RUN[step](operands), dtype=np.float32))


def test_float32_has_nothing_to_tell() -> None:
    assert measure_accuracy(Comparison(OPERANDS, Step.FORWARD), np.zeros((1, 1), dtype=np.float32)) == Accuracy()


def test_the_difference_is_that_of_the_stored_result() -> None:
    # 2 (1 + 2^-12) + 1e-9 in float32, 2 in half precision.
    exact = np.float32(2 * (1 + 2.0**-12) + 1e-9)
    assert measure(Step.FORWARD) == Accuracy(1, 0, float(exact - 2), pytest.approx(float(exact - 2) / exact))


def test_a_gradient_that_vanishes_is_all_of_the_error_until_it_is_scaled() -> None:
    # Both elements of the gradient to the input are lost: 2^-25 is half of the least subnormal.
    lost = measure(Step.GTA)
    assert lost == Accuracy(1 + 1, 0, 2.0**-24, 1.0)
    scaled = measure(Step.GTA, 2.0**10)
    # The second input vanished, and its mask with it: that gradient is lost whatever the scale.
    assert scaled == Accuracy(1, 0, 2.0**-25, pytest.approx(1 / 5**0.5))
    assert measure(Step.GTW).relative_error == 1.0
    assert measure(Step.GTW, 2.0**10).relative_error == pytest.approx(2.0**-12, rel=1e-3)


def test_without_values_only_operands_are_told_of() -> None:
    operands = round_operands(OPERANDS, ValueFormat.FP16)
    assert measure_accuracy(Comparison(operands, Step.FORWARD), None) == Accuracy(1, 0)


def test_a_result_that_is_zero_has_no_relative_error() -> None:
    zero = Operands("fc", SHAPE, OPERANDS.input, np.zeros_like(OPERANDS.weight), None, OPERANDS.grad_output, None, ())
    operands = round_operands(zero, ValueFormat.BF16)
    found = measure_accuracy(Comparison(operands, Step.FORWARD), np.zeros((1, 1), dtype=np.float32))
    assert found == Accuracy(0, 0, 0.0, None)


def test_what_float32_gives_is_computed_once_for_all_machines() -> None:
    operands = round_operands(OPERANDS, ValueFormat.FP16)
    comparison = Comparison(operands, Step.FORWARD)
    sums = np.asarray(run_forward(operands), dtype=np.float32)
    first = measure_accuracy(comparison, sums)
    kept = comparison.single
    assert kept is not None
    assert measure_accuracy(comparison, sums) == first
    assert comparison.single is kept
