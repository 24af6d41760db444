"""Tensors that stay in the buffer: tiles, bursts, times and tilings are those of the cycle-stepped model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conformance.operator_cases import RECORDS, draw_operator, draw_second_finish
from conformance.stepped_cases import draw_case, draw_one
from conformance.stepped_pairs import (
    describe_array,
    describe_layer,
    describe_share,
    describe_speeds,
    list_stepped_times,
    list_times,
)
from conformance.test_general_layers import list_bursts
from drawn_cases import thin
from oracle.describe_layers import describe
from oracle.stepped_lowering import Work
from oracle.stepped_records import Machine
from oracle.stepped_step import lower_step, make_work
from oracle.stepped_timing import run_tiles
from random_layers import ALL_STEPS, draw_tensor

from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import Kept, Tiling
from dataflows.contract.problem import StepProblem
from dataflows.sparsetrain.dataflow import RowConvolution
from sim.machine.accelerator import Engine, run_step
from workloads.operands import Operands
from workloads.shapes import Step

SEED, LAYERS, OPERATORS = 141, 150, 50
DATAFLOW = RowConvolution()
READ = {Step.FORWARD: ("input",), Step.GTA: ("grad_output",), Step.GTW: ("input", "grad_output")}
PLACES = [(kind, index) for kind, record in RECORDS.items() if record is not None for index in range(OPERATORS)]


def draw_kept(rng: np.random.Generator, step: Step, *, has_factors: bool) -> Kept:
    """Draw what stays: operands, some of them raw, gradients that are added, and the result."""
    names = [*READ[step], *(["weight"] if has_factors and step is not Step.GTW else [])]
    operands = frozenset(name for name in names if rng.random() < 0.6)
    raw = frozenset(name for name in operands if name != "weight" and rng.random() < 0.3)
    writes = has_factors or step is not Step.GTW
    return Kept(
        operands, raw, frozenset([0]) if rng.random() < 0.5 else frozenset(), bool(writes and rng.random() < 0.5)
    )


def name_kept(kept: Kept) -> dict[str, frozenset[str]]:
    """Say what stays in the stepped model's words."""
    summed, written = ["summed"] * bool(kept.summed), ["written"] * kept.has_result
    return {"kept": kept.operands | {*summed, *written}, "raw": kept.raw}


def compare(operands: Operands, step: Step, machine: Machine, kept: Kept, work: Work | str) -> int:
    """Compare a step on both models, or that both refuse it; give the bytes that were not moved."""
    share = replace(describe_share(machine), kept=kept)
    array = replace(describe_array(machine), skip_empty_rows=machine.skip_empty_rows)
    problem = StepProblem(operands, step, array, share)
    try:
        if isinstance(work, str):
            raise ValueError(work)
        tiles, tiling = lower_step(work)
    except ValueError:
        with pytest.raises(UnmappableLayerError):
            DATAFLOW.lower(problem)
        return 0
    traffic = DATAFLOW.lower(problem).traffic
    assert traffic is not None
    assert traffic.tiling == tiling
    assert list_bursts(traffic) == [list(task.bursts) for tile in tiles for task in tile.tasks]
    expected = list_stepped_times(run_tiles(tiles, machine))
    for engine in Engine:
        timing = run_step(DATAFLOW.lower(problem), machine.groups, describe_speeds(machine), engine)
        assert list_times(timing, traffic) == expected
    return check_saved(problem, traffic.kept_bytes)


def check_saved(problem: StepProblem, saved: int) -> int:
    """Compare the bytes that were not moved with those of the same tiles without residency."""
    table = DATAFLOW.lower(problem)
    assert table.traffic is not None
    tasks, reductions = (tuple(map(int, part.split("x"))) for part in table.traffic.tiling.split("|"))
    share = replace(problem.share, capacity_bytes=None, tiling=Tiling(tasks, reductions))
    kept = DATAFLOW.lower(replace(problem, memory=share)).traffic
    none = DATAFLOW.lower(replace(problem, memory=replace(share, kept=Kept(raw=share.kept.raw)))).traffic
    assert kept is not None
    assert none is not None
    moved = [int(one.tile_load_bytes.sum() + one.tile_write_back_bytes.sum()) for one in (kept, none)]
    assert saved == moved[1] - moved[0] >= 0
    return saved


@pytest.mark.parametrize("index", thin(range(LAYERS)))
def test_what_stays_is_not_moved(index: int) -> None:
    operands, machine = draw_case(SEED, index)
    rng = np.random.default_rng((SEED, index, 1))
    machine = replace(machine, skip_empty_rows=bool(rng.random() < 0.4), accumulators=draw_one(rng, (16, 3, 256)))
    summed = draw_tensor(rng, operands.shape.input_shape, 0.4)
    for step in ALL_STEPS:
        kept = draw_kept(rng, step, has_factors=False)
        has_summed = step is Step.GTA and bool(kept.summed)
        seen = replace(operands, summed=(summed,)) if has_summed else operands
        work: Work | str
        try:
            work = make_work(
                describe_layer(operands.shape), step.value, machine, operands.input, operands.weight,
                operands.grad_output, operands.mask, output_is_relu=operands.relu_follows,
                summed=summed if has_summed else None, **name_kept(kept),
            )  # fmt: skip
        except ValueError as error:
            work = str(error)
        compare(seen, step, machine, kept, work)


@pytest.mark.parametrize(("kind", "index"), thin(PLACES))
def test_what_stays_of_other_operators_is_not_moved(kind: str, index: int) -> None:
    case = draw_operator(kind, SEED, index)
    rng = np.random.default_rng((SEED, index, 2))
    if kind == "product":
        case = draw_second_finish(case, SEED, index, 1)
    for step in ALL_STEPS:
        is_second = step is Step.GTW
        kept = draw_kept(rng, step, has_factors=kind == "product")
        work: Work | str
        try:
            work = make_work(
                describe(case.layer), step.value, case.machine, **case.tensors,
                output_is_relu=case.operands.relu_follows, ppu_mask=case.second_mask if is_second else None,
                summed=case.second_summed if is_second else None, **name_kept(kept),
            )  # fmt: skip
        except ValueError as error:
            work = str(error)
        compare(case.operands, step, case.machine, kept, work)


def test_residency_saves_bytes_in_every_step() -> None:
    saved = dict.fromkeys(ALL_STEPS, 0)
    for index in range(40):
        operands, machine = draw_case(SEED, index)
        for step in ALL_STEPS:
            share = replace(describe_share(machine), capacity_bytes=None, kept=Kept(frozenset(READ[step])))
            traffic = DATAFLOW.lower(StepProblem(operands, step, describe_array(machine), share)).traffic
            assert traffic is not None
            saved[step] += traffic.kept_bytes > 0
    assert min(saved.values()) > 20
