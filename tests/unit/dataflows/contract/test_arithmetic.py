"""The arithmetic that a step's operands ask for: float32, or integers shifted so far that no sum overflows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dataflows.contract.arithmetic import (
    FLOAT32_SUMS,
    Arithmetic,
    choose_arithmetic,
    find_exponents,
    find_shift,
    round_shifted,
)
from workloads.operands import Operands
from workloads.rounding import round_operands
from workloads.shapes import LinearShape, Step
from workloads.value_formats import INT16_LARGEST, ValueFormat

SHAPE = LinearShape(batch=2, in_features=3, out_features=1)
OPERANDS = Operands(
    "fc", SHAPE, np.array([[32767, 1, 2], [3, 4, 5]], dtype=np.float32), np.array([[1, 2, 3]], dtype=np.float32) * 64,
    None, np.ones((2, 1), dtype=np.float32), None, tuple(Step),
)  # fmt: skip


def test_a_shift_rounds_to_the_even_one_of_two() -> None:
    assert [round_shifted(value, 1) for value in (0, 1, 2, 3, 5, -1, -3)] == [0, 0, 1, 2, 2, 0, -2]
    assert [round_shifted(value, 2) for value in (5, 6, 7, 10)] == [1, 2, 2, 2]
    assert round_shifted(7, 0) == 7


@pytest.mark.parametrize("acc_bits", [16, 20, 24, 32, 40, 48])
@pytest.mark.parametrize("products", [1, 2, 3, 9, 4608, 65536, 2**18])
def test_the_shift_is_the_least_with_which_no_sum_overflows(products: int, acc_bits: int) -> None:
    shift, largest = find_shift(products, acc_bits), 2 ** (acc_bits - 1) - 1
    assert products * round_shifted(INT16_LARGEST**2, shift) <= largest
    if shift:
        assert products * round_shifted(INT16_LARGEST**2, shift - 1) > largest


def test_a_single_product_needs_no_shift_in_32_bits() -> None:
    assert [find_shift(products, 32) for products in (1, 2, 3, 4, 5, 4608)] == [0, 0, 1, 1, 2, 12]


def test_float32_has_the_default_and_narrower_floats_the_cut_of_the_reduction() -> None:
    assert choose_arithmetic(OPERANDS, Step.FORWARD, 32, (2,)) is FLOAT32_SUMS
    half = round_operands(OPERANDS, ValueFormat.FP16)
    assert choose_arithmetic(half, Step.FORWARD, 32, (2,)) == Arithmetic(reduction_runs=(2,))


def test_integers_count_in_the_product_of_both_scales_and_the_shift() -> None:
    operands = round_operands(OPERANDS, ValueFormat.INT16)
    # 32767 has the scale 1, 192 has 2^-7 and 1 has 2^-14.
    assert [find_exponents(operands, step) for step in Step] == [(0, -7), (-14, -7), (-14, 0)]
    assert choose_arithmetic(operands, Step.FORWARD, 32) == Arithmetic(2.0 ** (-7 + 1), 2.0**-7)
    assert choose_arithmetic(operands, Step.GTA, 32) == Arithmetic(2.0**-21, 0.0)
    wider = dataclasses.replace(choose_arithmetic(operands, Step.FORWARD, 48))
    assert wider == Arithmetic(2.0**-7, 0.0)
