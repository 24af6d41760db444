"""Operands as they are stored: rounded tensors, the zeros and the masks that follow, gradients scaled."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from workloads.operands import GradientFinish, Operands
from workloads.pruning import PruningKey, prune
from workloads.rounding import count_rounding, round_operands
from workloads.shapes import LinearShape, MatmulShape, Step
from workloads.value_formats import ValueFormat, round_values

SHAPE = LinearShape(batch=1, in_features=4, out_features=2)
# In half precision the second element is zero, the last the largest; the third was zero before.
INPUT = np.array([[1 / 3, 1e-9, 0, 1e6]], dtype=np.float32)
MASK = np.array([[True, True, True, False]])
WEIGHT = np.array([[1, 2, 3, 4], [0.1, 1e-10, 0, -7e4]], dtype=np.float32)
GRADIENT = np.array([[2.0**-26, 1]], dtype=np.float32)
SUMMED = np.array([[2.0**-26, 0, 1, 2]], dtype=np.float32)
BIAS = np.array([1 / 3, 0], dtype=np.float32)
KEY = PruningKey(1, "fc", 0)
OPERANDS = Operands(
    "fc", SHAPE, INPUT, WEIGHT, BIAS, GRADIENT, MASK, tuple(Step), finish=GradientFinish(None, 0.5, KEY),
    summed=(SUMMED,),
)  # fmt: skip


def test_float32_gives_the_operands_themselves() -> None:
    assert round_operands(OPERANDS, ValueFormat.FLOAT32) is OPERANDS
    assert OPERANDS.form is ValueFormat.FLOAT32
    assert count_rounding(OPERANDS, Step.FORWARD) is None


def test_every_stored_tensor_is_rounded_and_the_bias_is_not() -> None:
    rounded = round_operands(OPERANDS, ValueFormat.FP16)
    assert rounded.form is ValueFormat.FP16
    assert rounded.rounding is not None
    assert rounded.rounding.given is OPERANDS
    for name in ("input", "weight", "grad_output"):
        assert np.array_equal(getattr(rounded, name), round_values(getattr(OPERANDS, name), ValueFormat.FP16))
    assert rounded.bias is BIAS
    assert np.array_equal(rounded.summed[0], [[0, 0, 1, 2]])


def test_a_mask_is_clear_where_an_input_becomes_zero_and_stays_where_it_was_zero() -> None:
    rounded = round_operands(OPERANDS, ValueFormat.FP16)
    assert np.array_equal(rounded.mask, [[True, False, True, False]])
    late = dataclasses.replace(OPERANDS, mask=None, finish=GradientFinish(MASK))
    assert np.array_equal(round_operands(late, ValueFormat.FP16).finish.mask, [[True, False, True, False]])


def test_a_loss_scale_is_that_of_gradients_and_thresholds() -> None:
    rounded = round_operands(OPERANDS, ValueFormat.FP16, 8)
    assert np.array_equal(rounded.grad_output, [[2.0**-23, 8]])
    assert np.array_equal(rounded.summed[0], [[2.0**-23, 0, 8, 16]])
    assert rounded.finish.tau == 4
    assert rounded.finish.key is KEY
    assert np.array_equal(rounded.weight, round_values(WEIGHT, ValueFormat.FP16))


def test_what_vanishes_and_what_saturates_is_counted_by_step() -> None:
    rounded = round_operands(OPERANDS, ValueFormat.FP16)
    found = [count_rounding(rounded, step) for step in Step]
    # In GTA both gradients, a weight, and the element of the mask whose input is gone.
    assert [(one.vanished, one.saturated) for one in found if one] == [(2, 2), (3 + 1, 1), (2, 1)]
    scaled = [count_rounding(round_operands(OPERANDS, ValueFormat.FP16, 2**17), step) for step in Step]
    # The scale saves both small gradients, and takes the 1 and the 2 beyond the format.
    assert [(one.vanished, one.saturated) for one in scaled if one] == [(2, 2), (1 + 1, 1 + 3), (1, 1 + 1)]


@pytest.mark.parametrize("form", [ValueFormat.FP16, ValueFormat.BF16, ValueFormat.INT16])
def test_the_second_factor_of_a_product_has_a_mask_of_its_own(form: ValueFormat) -> None:
    rng = np.random.default_rng(0)
    shape = MatmulShape(1, 2, 3, 2)
    second = rng.normal(size=shape.weight_shape).astype(np.float32)
    second.reshape(-1)[:2] = 1e-42, 0
    operands = Operands(
        "product", shape, rng.normal(size=shape.input_shape).astype(np.float32), second, None,
        rng.normal(size=shape.output_shape).astype(np.float32), None, tuple(Step),
        weight_finish=GradientFinish(np.ones(shape.weight_shape, dtype=np.bool_), 0.25, KEY),
        weight_summed=(np.full(shape.weight_shape, 1 / 3, dtype=np.float32),),
    )  # fmt: skip
    rounded = round_operands(operands, form, 2)
    assert rounded.weight_finish.mask is not None
    assert rounded.weight_finish.mask.reshape(-1)[:2].tolist() == [False, True]
    assert rounded.weight_finish.tau == 0.5
    assert np.array_equal(rounded.weight_summed[0], round_values(operands.weight_summed[0] * 2, form))


@pytest.mark.parametrize("place", range(20))
def test_what_is_pruned_does_not_change_with_a_loss_scale(place: int) -> None:
    rng = np.random.default_rng(place)
    gradient, scale = rng.normal(size=(2, 50)).astype(np.float32), np.float32(2.0 ** rng.integers(1, 20))
    tau = float(np.float32(rng.random()))
    assert np.array_equal(prune(gradient * scale, tau * float(scale), KEY), prune(gradient, tau, KEY) * scale)
