"""Values of fp16, bf16 and int16 are, bit for bit, those that plain loops over the definition find."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from conformance.general_cases import draw_array, draw_geometry
from conformance.operator_cases import draw_transposed_shape
from drawn_cases import thin
from ideal_machine import DATAFLOW, lower
from oracle.stored_values import sum_floats, sum_integers

from dataflows.contract.arithmetic import Arithmetic, choose_arithmetic, find_shift
from dataflows.contract.array import PEArray
from dataflows.contract.problem import StepProblem
from workloads.operands import Operands
from workloads.reference import sum_length
from workloads.rounding import round_operands
from workloads.shapes import LinearShape, MatmulShape, Step
from workloads.value_formats import ValueFormat, find_exponent

CASES = 40
FLOATS = (ValueFormat.FP16, ValueFormat.BF16)


def draw_shape(kind: str, rng: np.random.Generator) -> Any:
    """Draw a small layer of a kind."""
    if kind == "linear":
        return LinearShape(*(int(size) for size in rng.integers(1, (4, 20, 20))))
    if kind == "transposed":
        return draw_transposed_shape(rng)[1]
    if kind == "matmul":
        N, T, C, M = (int(size) for size in rng.integers(1, (3, 5, 9, 9)))
        turned = rng.random(2) < 0.5
        return MatmulShape(N, T, C, M, (2,), bool(turned[0]), bool(turned[1]), float(rng.choice([1, 0.3])))
    return draw_geometry(rng, 6, 9, int(rng.choice([1, 1, 2, 3])))


def draw_values(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Draw numbers of many magnitudes, some of them zero, some so small that they become zero."""
    values = rng.normal(size=shape) * 2.0 ** rng.integers(-12, 3, shape)
    values[rng.random(shape) < rng.choice([0, 0.3, 0.8])] = 0
    values[rng.random(shape) < 0.1] *= 2.0**-20
    return values.astype(np.float32)


def draw_case(kind: str, form: ValueFormat, place: int) -> tuple[Operands, PEArray, np.random.Generator]:
    """Draw a layer, rounded, and an array that may cut its rows; one of two skips no zeros."""
    rng = np.random.default_rng((place, list(ValueFormat).index(form), len(kind)))
    shape, array = draw_shape(kind, rng), draw_array(rng)
    width = max(shape.weight_shape[-1] if len(shape.weight_shape) == 4 else 1, array.accumulators)
    skips = rng.random(2) < 0.5
    array = dataclasses.replace(
        array, accumulators=width, skip_zeros=bool(skips[0]), skip_empty_rows=bool(skips.all())
    )  # fmt: skip
    tensors = [draw_values(rng, size) for size in (shape.input_shape, shape.weight_shape, shape.output_shape)]
    mask = rng.random(shape.input_shape) < 0.6 if rng.random() < 0.5 else None
    operands = Operands("layer", shape, tensors[0], tensors[1], None, tensors[2], mask, tuple(Step))
    return round_operands(operands, form), array, rng


def execute(operands: Operands, step: Step, array: PEArray, arithmetic: Arithmetic) -> Any:
    """Execute all tasks of a step, and apply the mask as the PPU does where the PEs know none."""
    executed = np.ones(len(lower(operands, step, array)), dtype=np.bool_)
    values = DATAFLOW.execute(StepProblem(operands, step, array, arithmetic=arithmetic), executed)
    assert values.output.dtype == np.float32
    return mask_result(operands, step, values.output)


def mask_result(operands: Operands, step: Step, result: Any) -> Any:
    """Clear what the mask of GTA excludes."""
    if step is Step.GTA and operands.mask is not None:
        return np.where(operands.mask, result, np.float32(0))
    return result


def give_tensors(operands: Operands) -> dict[str, Any]:
    """Name the tensors of a layer as the oracle does."""
    return {name: getattr(operands, name) for name in ("input", "weight", "grad_output")}


KINDS = ("conv", "linear", "matmul", "transposed")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FLOATS)
@pytest.mark.parametrize("place", thin(range(CASES)))
def test_sums_of_rounded_operands_are_added_in_the_order_of_a_pe(kind: str, form: ValueFormat, place: int) -> None:
    operands, array, rng = draw_case(kind, form, place)
    for step in Step:
        runs = tuple(
            int(run) for run in rng.integers(1, 5, 2 if step is Step.GTW and kind not in ("linear", "matmul") else 1)
        )
        arithmetic = choose_arithmetic(operands, step, 32, runs)
        found = execute(operands, step, array, arithmetic)
        expected = mask_result(operands, step, sum_floats(operands.shape, step, give_tensors(operands), runs))
        assert np.array_equal(found, expected), (step, runs)
        whole = mask_result(operands, step, sum_floats(operands.shape, step, give_tensors(operands)))
        assert np.array_equal(execute(operands, step, array, Arithmetic()), whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("acc_bits", [20, 24, 32, 48])
@pytest.mark.parametrize("place", thin(range(CASES // 4)))
def test_integers_are_shifted_and_added_one_by_one(kind: str, acc_bits: int, place: int) -> None:
    operands, array, _ = draw_case(kind, ValueFormat.INT16, 100 * acc_bits + place)
    tensors = give_tensors(operands)
    exponents = {name: find_exponent(tensor) for name, tensor in tensors.items()}
    for step in Step:
        shift = find_shift(sum_length(operands.shape, step), acc_bits)
        found = execute(operands, step, array, choose_arithmetic(operands, step, acc_bits))
        expected = sum_integers(operands.shape, step, tensors, exponents, shift, acc_bits)
        assert np.array_equal(found, mask_result(operands, step, expected)), step
