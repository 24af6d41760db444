"""Lowering, tiling and machine against the cycle-stepped model, on random layers and small architectures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from conformance.stepped_cases import draw_case
from conformance.stepped_pairs import (
    describe_array,
    describe_layer,
    describe_share,
    describe_speeds,
    list_stepped_times,
    list_times,
)
from drawn_cases import exhaustive, thin
from oracle.stepped_records import Machine, StepTimes
from oracle.stepped_step import run_step as run_stepped
from random_layers import ALL_STEPS

from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import TaskTable
from dataflows.sparsetrain.dataflow import RowConvolution
from sim.machine.accelerator import Engine, run_step
from workloads.operands import Operands
from workloads.shapes import ConvShape, LinearShape, Step

SEED = 72
LAYERS = 210
DATAFLOW = RowConvolution()


@dataclass(frozen=True, eq=False)
class Compared:
    """One step on both models; each is the refusal's words where it refused the layer.

    times: those of each engine of the machine.
    """

    step: Step
    table: TaskTable | str
    times: tuple[dict[str, Any], ...]
    stepped: StepTimes | str


@cache
def compare_steps(index: int) -> tuple[Compared, ...]:
    """Run the three steps of a case on both models."""
    operands, machine = draw_case(SEED, index)
    return tuple(compare_step(operands, step, machine) for step in ALL_STEPS)


def compare_step(operands: Operands, step: Step, machine: Machine) -> Compared:
    """Run one step on both models."""
    stepped: StepTimes | str
    try:
        stepped = run_stepped(
            describe_layer(operands.shape), step.value, machine, operands.input, operands.weight,
            operands.grad_output, operands.mask, output_is_relu=operands.relu_follows,
        )  # fmt: skip
    except ValueError as error:
        stepped = str(error)
    try:
        table = DATAFLOW.lower(StepProblem(operands, step, describe_array(machine), describe_share(machine)))
    except UnmappableLayerError as error:
        return Compared(step, str(error), (), stepped)
    assert table.traffic is not None
    timings = [run_step(table, machine.groups, describe_speeds(machine), engine) for engine in Engine]
    assert all(timing.executed.all() for timing in timings)
    return Compared(step, table, tuple(list_times(timing, table.traffic) for timing in timings), stepped)


@pytest.mark.parametrize("index", thin(range(LAYERS)))
def test_every_time_and_byte_of_a_step_is_the_stepped_models(index: int) -> None:
    for compared in compare_steps(index):
        if isinstance(compared.stepped, str):
            assert compared.table == translate_refusal(compared.stepped, compared.step)
        else:
            assert not isinstance(compared.table, str), compared.table
            assert compared.times == (list_stepped_times(compared.stepped),) * len(Engine)
            assert compared.table.traffic is not None
            assert compared.table.traffic.tiling == compared.stepped.tiling


def translate_refusal(words: str, step: Step) -> str:
    """Say the stepped model's refusal in the simulator's words, with the same numbers."""
    needed, there = re.findall(r"\d+", words)
    return (
        f"layer 'layer', step {step}: no tiling fits the global buffer; the smallest needs {needed} bytes, "
        f"buffer.capacity_bytes = {there}"
    )


def list_compared() -> list[tuple[Operands, Machine, TaskTable, StepTimes]]:
    """List the steps that both models ran."""
    return [
        (*draw_case(SEED, index), compared.table, compared.stepped)
        for index in range(LAYERS)
        for compared in compare_steps(index)
        if not isinstance(compared.table, str) and not isinstance(compared.stepped, str)
    ]


@exhaustive
def test_the_cases_cover_ports_units_dram_groups_and_cuts() -> None:
    ran = list_compared()
    assert len(ran) >= 2 * LAYERS
    starved = [times for _, machine, _, times in ran if machine.ports == 1]
    assert any(sum(times.wait_operands) > 5 * sum(times.busy) > 0 for times in starved)
    assert any(sum(times.wait_ppu) > sum(times.busy) > 0 for *_, times in ran)
    far_dram = [times for _, machine, _, times in ran if machine.dram_latency_cycles == 60 and times.tiles > 2]
    assert any(sum(times.wait_dram) > sum(times.busy) > 0 for times in far_dram)
    assert {machine.groups for _, machine, _, _ in ran} == {1, 2, 5, 16}
    assert sum(times.tiles > 3 for *_, times in ran) >= 50
    assert any(machine.groups == 1 and times.tiles > 3 for _, machine, _, times in ran)
    assert any(machine.groups == 16 and times.tiles > 3 for _, machine, _, times in ran)


@exhaustive
@pytest.mark.parametrize("form", [ConvShape, LinearShape])
@pytest.mark.parametrize("step", ALL_STEPS)
@pytest.mark.parametrize("skips", [True, False])
def test_reductions_are_cut_in_every_step_of_every_kind_of_layer(step: Step, form: type, skips: bool) -> None:
    cut = []
    for index in range(LAYERS):
        operands, machine = draw_case(SEED, index)
        table = compare_steps(index)[ALL_STEPS.index(step)].table
        if isinstance(operands.shape, form) and machine.skip_zeros is skips and not isinstance(table, str):
            assert table.dispatch is not None
            cut.append(len(table.dispatch) > len(table))
    assert any(cut)
    assert not all(cut)


@exhaustive
def test_layers_too_large_for_a_buffer_are_among_them() -> None:
    refusals = [one.table for index in range(LAYERS) for one in compare_steps(index) if isinstance(one.table, str)]
    assert sum("no tiling fits the global buffer" in words for words in refusals) >= 10
    assert len(refusals) < LAYERS


@exhaustive
def test_items_larger_than_a_half_store_are_fetched_in_segments_somewhere() -> None:
    segmented = 0
    for index in range(LAYERS):
        table = compare_steps(index)[0].table
        if isinstance(draw_case(SEED, index)[0].shape, LinearShape) and not isinstance(table, str):
            assert table.traffic is not None
            # A fully connected task of Forward is one item: more bursts than entries are segments of it.
            segmented += len(table.traffic.burst_bytes) > len(table.traffic.pes)
    assert segmented >= 5
