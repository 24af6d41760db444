"""General geometry with memory against the cycle-stepped model: every time, every byte and the tiling."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pytest
from conformance.general_cases import draw_general_step
from conformance.stepped_pairs import (
    describe_array,
    describe_layer,
    describe_share,
    describe_speeds,
    list_stepped_times,
    list_times,
)
from drawn_cases import exhaustive, thin
from oracle.stepped_conv_work import ConvWork
from oracle.stepped_lowering import Work
from oracle.stepped_records import Machine
from oracle.stepped_step import lower_step, make_work
from oracle.stepped_timing import run_tiles
from random_layers import ALL_STEPS

from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import TaskTable
from dataflows.sparsetrain.dataflow import RowConvolution
from sim.machine.accelerator import run_step
from workloads.operands import Operands
from workloads.shapes import Step

SEED = 133
CASES = 240
DATAFLOW = RowConvolution()


@dataclass(frozen=True, eq=False)
class Stepped:
    """What the stepped model makes of a step: its lowering, tiles and times, or None where it refuses it."""

    work: Work
    bursts: list[list[tuple[int, tuple[int, ...]]]]
    times: dict[str, object]
    tiling: str


def run_model(operands: Operands, step: Step, machine: Machine) -> Stepped | None:
    """Run a step on the stepped model; None where it refuses it."""
    summed = sum(operands.summed) if operands.summed else None
    try:
        work = make_work(
            describe_layer(operands.shape), step.value, machine, operands.input, operands.weight,
            operands.grad_output, operands.mask, output_is_relu=operands.relu_follows, summed=summed,
            ppu_mask=operands.finish.mask,
        )  # fmt: skip
        tiles, tiling = lower_step(work)
    except ValueError:
        return None
    bursts = [list(task.bursts) for tile in tiles for task in tile.tasks]
    return Stepped(work, bursts, list_stepped_times(run_tiles(tiles, machine)), tiling)


def lower(operands: Operands, step: Step, machine: Machine) -> TaskTable:
    """Lower a step for a machine."""
    return DATAFLOW.lower(StepProblem(operands, step, describe_array(machine), describe_share(machine)))


def list_bursts(traffic: Traffic) -> list[list[tuple[int, tuple[int, ...]]]]:
    """List the bursts of each entry: their bytes, and the cycles of the PEs that own an output."""
    edges = traffic.burst_first.tolist()
    return [
        [
            (int(traffic.burst_bytes[at]), tuple(traffic.burst_cycles[at, : traffic.pes[entry]].tolist()))
            for at in range(edges[entry], edges[entry + 1])
        ]
        for entry in range(len(traffic.pes))
    ]


@cache
def run_case(index: int) -> tuple[Stepped | None, ...]:
    """Run the three steps of a case on the stepped model."""
    operands, machine = draw_general_step(SEED, index)
    return tuple(run_model(operands, step, machine) for step in ALL_STEPS)


def compare(operands: Operands, step: Step, machine: Machine, expected: Stepped | None) -> None:
    """Compare a step with the stepped model's: bursts, times, bytes and tiling, or that both refuse it."""
    if expected is None:
        with pytest.raises(UnmappableLayerError, match="'layer'"):
            lower(operands, step, machine)
        return
    table = lower(operands, step, machine)
    assert table.traffic is not None
    assert table.traffic.tiling == expected.tiling, step
    assert list_bursts(table.traffic) == expected.bursts, step
    timing = run_step(table, machine.groups, describe_speeds(machine))
    assert list_times(timing, table.traffic) == expected.times, step


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_every_burst_time_and_byte_is_the_stepped_models(index: int) -> None:
    operands, machine = draw_general_step(SEED, index)
    for step, expected in zip(ALL_STEPS, run_case(index), strict=True):
        compare(operands, step, machine, expected)


def list_works() -> list[tuple[Step, ConvWork, bool]]:
    """List the steps that the model does not refuse, and whether several tiles hold them."""
    works = []
    for index in range(CASES):
        for step, stepped in zip(ALL_STEPS, run_case(index), strict=True):
            if stepped is not None:
                assert isinstance(stepped.work, ConvWork)
                works.append((step, stepped.work, stepped.times["tiles"] != 1))
    return works


@exhaustive
def test_strips_runs_and_packed_groups_stand_in_one_tile_and_in_several() -> None:
    for step in ALL_STEPS:
        for is_tiled in (False, True):
            works = [work for one, work, tiled in list_works() if one is step and tiled is is_tiled]
            assert sum(len(work.cuts) > 1 for work in works) > 5, (step, is_tiled)
            share = "share_out" if step is Step.FORWARD else "share_in"
            assert any(work.is_packed(getattr(work, share)) for work in works), (step, is_tiled)


@exhaustive
@pytest.mark.parametrize("step", [Step.FORWARD, Step.GTA])
def test_strips_read_raw_and_compressed_rows_and_write_both(step: Step) -> None:
    driver = "input" if step is Step.FORWARD else "grad_output"
    cut = [work.formats for one, work, _ in list_works() if one is step and len(work.cuts) > 1]
    for name in (driver, "written"):
        assert {formats[name] for formats in cut} == {"raw", "bitmask", "offset"}
