"""Steps on machines whose groups share reads, against the cycle-stepped model: driver rows, times, bytes and tiling."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from conformance.general_cases import draw_general_step
from conformance.operator_cases import OperatorCase, draw_operator, draw_second_finish
from conformance.stepped_cases import draw_case, draw_one
from conformance.stepped_pairs import (
    describe_array,
    describe_layer,
    describe_share,
    describe_speeds,
    list_stepped_times,
    list_times,
)
from drawn_cases import exhaustive, thin
from oracle.describe_layers import describe
from oracle.stepped_records import Machine, TimedTile
from oracle.stepped_step import lower_step, make_work
from oracle.stepped_timing import run_tiles
from random_layers import ALL_STEPS

from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.traffic_laws import check_traffic
from dataflows.sparsetrain.dataflow import RowConvolution
from sim.machine.accelerator import Engine, run_step
from workloads.operands import Operands
from workloads.shapes import Step

SEED = 140
CASES = 200
OPERATORS = 60
DATAFLOW = RowConvolution()


def draw_shared(index: int) -> tuple[Operands, Machine]:
    """Draw a layer of simple or of general geometry, and a machine that shares reads."""
    draw = draw_case if index % 2 else draw_general_step
    operands, machine = draw(SEED, index)
    rng = np.random.default_rng([SEED, index, 1])
    skips = bool(rng.random() < 0.5)
    return operands, replace(machine, multicast=draw_one(rng, (2, 2, 3, 16)), skip_empty_rows=skips)


@cache
def step_shared(index: int) -> tuple[tuple[list[TimedTile], str] | None, ...]:
    """Lower the three steps of a case on the stepped model; None where it refuses one."""
    operands, machine = draw_shared(index)
    summed = sum(operands.summed) if operands.summed else None
    lowered: list[tuple[list[TimedTile], str] | None] = []
    for step in ALL_STEPS:
        try:
            work = make_work(
                describe_layer(operands.shape), step.value, machine, operands.input, operands.weight,
                operands.grad_output, operands.mask, output_is_relu=operands.relu_follows, summed=summed,
                ppu_mask=operands.finish.mask,
            )  # fmt: skip
            lowered.append(lower_step(work))
        except ValueError:
            lowered.append(None)
    return tuple(lowered)


def compare(operands: Operands, step: Step, machine: Machine, lowered: tuple[list[TimedTile], str]) -> int:
    """Compare a step with the stepped model's lowering of it; give the bytes that were shared."""
    tiles, tiling = lowered
    problem = StepProblem(operands, step, describe_array(machine), describe_share(machine))
    table = DATAFLOW.lower(problem)
    traffic = table.traffic
    assert traffic is not None
    assert traffic.tiling == tiling
    assert list(check_traffic(table, machine.pes_per_group, problem.share, masked=operands.mask is not None)) == []
    compare_drivers(traffic, tiles)
    times = run_tiles(tiles, machine)
    for engine in Engine:
        timing = run_step(table, machine.groups, describe_speeds(machine), engine)
        assert list_times(timing, traffic) == list_stepped_times(times), engine
    return times.shared_bytes


def compare_drivers(traffic: Traffic, tiles: list[TimedTile]) -> None:
    """Ask whether in each tile the same bursts as the stepped model's fetch as many bytes of equal driver rows."""
    assert traffic.driver_bytes is not None
    assert traffic.driver_rows is not None
    edges = traffic.burst_first[traffic.tile_first].tolist()
    for first, end, tile in zip(edges[:-1], edges[1:], tiles, strict=True):
        named = [driver for task in tile.tasks for driver in task.drivers]
        assert traffic.driver_bytes[first:end].tolist() == [size for size, _ in named]
        told = [rows for rows, size in zip(traffic.driver_rows[first:end].tolist(), named, strict=True) if size[0]]
        names = [rows for size, rows in named if size]
        # One to one: as many different pairs as there are names, and as numbers.
        assert len(set(zip(told, names, strict=True))) == len(set(told)) == len(set(names))


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_what_groups_share_and_when_is_the_stepped_models(index: int) -> None:
    operands, machine = draw_shared(index)
    for step, lowered in zip(ALL_STEPS, step_shared(index), strict=True):
        if lowered is None:
            with pytest.raises(UnmappableLayerError, match="'layer'"):
                DATAFLOW.lower(StepProblem(operands, step, describe_array(machine), describe_share(machine)))
        else:
            compare(operands, step, machine, lowered)


@pytest.mark.parametrize("kind", ["transposed", "product"])
@pytest.mark.parametrize("index", thin(range(OPERATORS)))
def test_operators_share_as_the_stepped_model_says(kind: str, index: int) -> None:
    case = share_operator(kind, index)
    for step in ALL_STEPS:
        lowered = lower_operator(case, step)
        if lowered is not None:
            compare(case.operands, step, case.machine, lowered)


def share_operator(kind: str, index: int) -> OperatorCase:
    """Draw a transposed convolution or a product of activations, and a machine that shares reads."""
    case = draw_operator(kind, SEED, index)
    if kind == "product":
        case = draw_second_finish(case, SEED, index, 1)
    return replace(case, machine=replace(case.machine, multicast=2 + index % 3, skip_empty_rows=bool(index % 2)))


def lower_operator(case: OperatorCase, step: Step) -> tuple[list[TimedTile], str] | None:
    """Lower a step of an operator on the stepped model; None where it refuses it."""
    try:
        work = make_work(
            describe(case.layer), step.value, case.machine, **case.tensors, output_is_relu=case.operands.relu_follows,
            ppu_mask=case.second_mask if step is Step.GTW else None,
            summed=case.second_summed if step is Step.GTW else None,
        )  # fmt: skip
        return lower_step(work)
    except ValueError:
        return None


def count_sharing() -> dict[str, int]:
    """Count the steps in which groups shared reads, by kind of layer and step, and those that fetch in segments."""
    counted: dict[str, int] = {}
    for index in range(CASES):
        operands, machine = draw_shared(index)
        for step, lowered in zip(ALL_STEPS, step_shared(index), strict=True):
            if lowered is None or not run_tiles(lowered[0], machine).shared_bytes:
                continue
            tasks = [task for tile in lowered[0] for task in tile.tasks]
            has_segments = any(rows[1].start for task in tasks for size, (_, rows) in task.drivers if size)
            for key in (f"{type(operands.shape).__name__} {step}", *(["segments"] if has_segments else [])):
                counted[key] = counted.get(key, 0) + 1
    return counted


@exhaustive
def test_the_cases_share_in_every_step_of_every_kind_of_layer_and_in_segments() -> None:
    counted = count_sharing()
    assert len(counted) == 7
    assert min(counted.values()) >= 3, counted
