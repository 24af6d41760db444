"""Layers on tokens, transposed convolutions and products of two activations, with and without memory."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from conformance.operator_cases import RECORDS, OperatorCase, draw_operator, draw_second_finish, give_tensor, is_refused
from conformance.stepped_pairs import (
    describe_array,
    describe_share,
    describe_speeds,
    list_stepped_times,
    list_times,
)
from conformance.test_general_layers import list_bursts
from drawn_cases import thin
from ideal_machine import DATAFLOW, lower, run_tasks
from oracle import definition
from oracle.definition_layers import Machine
from oracle.describe_layers import describe
from oracle.stepped_step import lower_step, make_work
from oracle.stepped_timing import run_tiles
from random_layers import ALL_STEPS

from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.problem import StepProblem
from sim.machine.accelerator import run_step
from sim.step.values import finish_values
from workloads.shapes import Step

SEED = 134
CASES = 120
PLACES = [(kind, index) for kind, record in RECORDS.items() if record is not None for index in range(CASES)]


@pytest.mark.parametrize(("kind", "index"), thin(PLACES))
def test_tasks_cycles_and_values_are_those_of_the_definition(kind: str, index: int) -> None:
    case = draw_operator(kind, SEED, index)
    for step in ALL_STEPS:
        compare_with_definition(case, step)


def compare_with_definition(case: OperatorCase, step: Step) -> None:
    """Compare a step on the ideal machine with the definition's: tasks, cycles, counts and values, or the refusal."""
    array = describe_array(case.machine)
    if is_refused(case, step):
        with pytest.raises(UnmappableLayerError, match="'layer'"):
            lower(case.operands, step, array)
        return
    words = Machine(**{field.name: getattr(case.machine, field.name) for field in fields(Machine)})
    defined = definition.run_step(case.layer, step.value, words, **case.tensors)
    table = lower(case.operands, step, array)
    assert table.pe_cycles.tolist() == defined.pe_cycles, step
    counts = table.counts
    assert (counts.row_ops, counts.multiplications) == (defined.row_ops, defined.multiplications), step
    assert counts.actions["taps_examined"] == defined.examined_taps, step
    examined_row_ops = defined.examined_row_ops * words.leaves_rows_out
    assert counts.actions["rows_examined"] == examined_row_ops, step
    timing = run_tasks(table, array.groups)
    assert timing.cycles == defined.cycles
    values = DATAFLOW.execute(StepProblem(case.operands, step, array), timing.executed)
    assert (values.row_ops, values.multiplications) == (defined.row_ops, defined.multiplications), step
    output = finish_values(case.operands, step, values)
    result = {Step.FORWARD: "grad_output", Step.GTA: "input", Step.GTW: "weight"}[step]
    np.testing.assert_array_equal(output, give_tensor(case.operands.shape, result, defined.output))


@pytest.mark.parametrize(("kind", "index"), thin(PLACES))
def test_every_burst_time_and_byte_is_the_stepped_models(kind: str, index: int) -> None:
    case = draw_operator(kind, SEED, index)
    if kind == "product":
        case = draw_second_finish(case, SEED, index, 1)
    for step in ALL_STEPS:
        compare(case, step)


def compare(case: OperatorCase, step: Step) -> None:
    """Compare a step on both models: bursts, times, bytes and tiling, or that both refuse it."""
    machine = case.machine
    problem = StepProblem(case.operands, step, describe_array(machine), describe_share(machine))
    try:
        work = make_work(
            describe(case.layer), step.value, machine, **case.tensors, output_is_relu=case.operands.relu_follows,
            ppu_mask=case.second_mask if step is Step.GTW else None,
            summed=case.second_summed if step is Step.GTW else None,
        )  # fmt: skip
        tiles, tiling = lower_step(work)
    except ValueError:
        with pytest.raises(UnmappableLayerError, match="'layer'"):
            DATAFLOW.lower(problem)
        return
    table = DATAFLOW.lower(problem)
    assert table.traffic is not None
    assert table.traffic.tiling == tiling, step
    assert list_bursts(table.traffic) == [list(task.bursts) for tile in tiles for task in tile.tasks], step
    timing = run_step(table, machine.groups, describe_speeds(machine))
    assert list_times(timing, table.traffic) == list_stepped_times(run_tiles(tiles, machine)), step
