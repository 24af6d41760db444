"""Row operations that cannot multiply are left out: the ideal machine and the one with memory, on random layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conformance.defined import define_layer, define_step
from conformance.general_cases import draw_general_case, draw_general_step
from conformance.operator_cases import RECORDS, OperatorCase, draw_operator, draw_second_finish
from conformance.stepped_cases import draw_case as draw_stepped_case
from conformance.stepped_pairs import list_stepped_times
from conformance.test_definition import compare_step
from conformance.test_general_layers import compare as compare_with_model
from conformance.test_general_layers import run_model
from conformance.test_operators import compare as compare_operator
from conformance.test_operators import compare_with_definition
from conformance.test_stepped_layers import compare_step as run_both
from conformance.test_stepped_layers import translate_refusal
from drawn_cases import exhaustive, thin
from oracle.definition import StepOracle
from oracle.stepped_records import Machine
from random_layers import ALL_STEPS, draw_case

from dataflows.contract.array import PEArray
from sim.machine.accelerator import Engine
from workloads.operands import Operands
from workloads.shapes import ConvShape, Step

SEED = 142
IDEAL_CASES = 200
GENERAL_CASES = 200
STEPPED_CASES = 150
STEPPED_GENERAL_CASES = 150
OPERATOR_CASES = 60
OPERATORS = [(kind, index) for kind, record in RECORDS.items() if record is not None for index in range(OPERATOR_CASES)]


def empty_rows(operands: Operands, *place: int) -> Operands:
    """Empty, in two of three cases, most rows of input and gradient and most of the mask, as training leaves them."""
    rng = np.random.default_rng(place)
    if rng.random() < 1 / 3:
        return operands
    kept = float(rng.choice([0.1, 0.3, 0.6]))
    input, grad_output = (
        tensor * (rng.random(tensor.shape[:-1]) < kept)[..., None] for tensor in (operands.input, operands.grad_output)
    )
    mask = operands.mask
    if mask is not None:
        mask = mask & (rng.random(mask.shape[:-1]) < kept)[..., None]
    return replace(operands, input=input, grad_output=grad_output, mask=mask)


def draw_ideal_case(index: int) -> tuple[Operands, PEArray]:
    """Draw a layer and an array that leaves rows out: of any kind, or of general geometry."""
    if index < IDEAL_CASES:
        operands, array = draw_case(SEED, index)
    else:
        operands, array = draw_general_case(SEED, index)
    return empty_rows(operands, SEED, index, 1), replace(array, skip_empty_rows=True)


def define(operands: Operands, step: Step, array: PEArray) -> StepOracle | None:
    """Run a step by the definition; None where it refuses the layer."""
    is_conv = isinstance(operands.shape, ConvShape)
    if is_conv and step is Step.GTW and operands.shape.kernel_width > array.accumulators:
        return None
    return define_step(operands, step, array)


@pytest.mark.parametrize("index", thin(range(IDEAL_CASES + GENERAL_CASES)))
def test_cycles_counts_and_values_are_those_of_the_definition(index: int) -> None:
    operands, array = draw_ideal_case(index)
    for step in ALL_STEPS:
        defined = define(operands, step, array)
        if defined is not None:
            compare_step(operands, step, array, defined, effectual_macs=defined.multiplications)


@exhaustive
def test_the_cases_leave_out_and_execute_rows_in_every_step_of_every_kind() -> None:
    left: dict[tuple[str, Step], int] = {}
    for index in range(0, IDEAL_CASES + GENERAL_CASES, 5):
        operands, array = draw_ideal_case(index)
        for step in ALL_STEPS:
            defined = define(operands, step, array)
            if defined is not None:
                key = type(define_layer(operands.shape)).__name__, step
                left[key] = left.get(key, 0) + (0 < defined.row_ops < defined.examined_row_ops)
    assert set(left) == {(kind, step) for kind in ("Conv", "Linear") for step in ALL_STEPS}
    assert min(left.values()) >= 3, left


def draw_stepped(index: int) -> tuple[Operands, Machine]:
    """Draw a small layer and a machine with memory that leaves rows out."""
    operands, machine = draw_stepped_case(SEED, index)
    return empty_rows(operands, SEED, index, 2), replace(machine, skip_empty_rows=True)


@pytest.mark.parametrize("index", thin(range(STEPPED_CASES)))
def test_every_time_and_byte_of_both_engines_is_the_stepped_models(index: int) -> None:
    operands, machine = draw_stepped(index)
    for step in ALL_STEPS:
        compared = run_both(operands, step, machine)
        if isinstance(compared.stepped, str):
            assert compared.table == translate_refusal(compared.stepped, step)
            continue
        assert not isinstance(compared.table, str), compared.table
        assert compared.times == (list_stepped_times(compared.stepped),) * len(Engine)
        assert compared.table.traffic is not None
        assert compared.table.traffic.tiling == compared.stepped.tiling


def draw_stepped_general(index: int) -> tuple[Operands, Machine]:
    """Draw a convolution of general geometry and a machine with memory that leaves rows out."""
    operands, machine = draw_general_step(SEED, index)
    return empty_rows(operands, SEED, index, 3), replace(machine, skip_empty_rows=True)


@pytest.mark.parametrize("index", thin(range(STEPPED_GENERAL_CASES)))
def test_every_burst_of_general_geometry_is_the_stepped_models(index: int) -> None:
    operands, machine = draw_stepped_general(index)
    for step in ALL_STEPS:
        compare_with_model(operands, step, machine, run_model(operands, step, machine))


def draw_operator_case(kind: str, index: int) -> OperatorCase:
    """Draw a layer on tokens, a transposed convolution or a product, and a machine that leaves rows out."""
    case = draw_operator(kind, SEED, index)
    return replace(case, machine=replace(case.machine, skip_empty_rows=True))


@pytest.mark.parametrize(("kind", "index"), thin(OPERATORS))
def test_operators_beside_convolutions_leave_rows_out_too(kind: str, index: int) -> None:
    case = draw_operator_case(kind, index)
    for step in ALL_STEPS:
        compare_with_definition(case, step)
    if kind == "product":
        case = draw_second_finish(case, SEED, index, 1)
    for step in ALL_STEPS:
        compare_operator(case, step)
