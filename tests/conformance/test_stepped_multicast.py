"""The machine against the cycle-stepped model where groups share reads, on lists of tasks with drawn driver rows."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from conformance.stepped_cases import draw_one
from conformance.stepped_pairs import describe_speeds, list_stepped_times, list_times, make_table, make_traffic
from conformance.test_engines import list_numbers
from conformance.test_stepped_lists import draw_list
from drawn_cases import exhaustive, thin
from oracle.stepped_records import Machine, StepTimes, TimedTask, TimedTile
from oracle.stepped_timing import run_tiles

from sim.machine.accelerator import Engine, run_step
from sim.machine.tile_timing import describe_work, find_alike

SEED = 72
LISTS = 300
# What equal driver rows take: none, less and more than a port moves in a cycle.
ROW_BYTES = (0, 5, 16, 40, 130)


def draw_rows(rng: np.random.Generator, task: TimedTask, kinds: int) -> TimedTask:
    """Give a task's bursts driver rows of few kinds, so that groups often ask for equal ones."""
    drawn = [int(rng.integers(0, kinds)) for _ in task.bursts]
    bursts = tuple(
        (size + ROW_BYTES[rows % len(ROW_BYTES)], cycles)
        for (size, cycles), rows in zip(task.bursts, drawn, strict=True)
    )
    return replace(task, bursts=bursts, drivers=tuple((ROW_BYTES[rows % len(ROW_BYTES)], rows) for rows in drawn))


def draw_shared(index: int) -> tuple[tuple[TimedTile, ...], Machine]:
    """Draw tiles with driver rows, some of them twice so that tiles may be alike, and a machine that shares reads."""
    tiles, machine = draw_list(index)
    rng = np.random.default_rng([SEED, index])
    kinds = draw_one(rng, (2, 3, 7))
    shared = [replace(tile, tasks=tuple(draw_rows(rng, task, kinds) for task in tile.tasks)) for tile in tiles]
    if rng.random() < 0.3:
        shared.append(shared[0])
    return tuple(shared), replace(machine, multicast=draw_one(rng, (2, 2, 3, 5, 100)))


@cache
def step_shared(index: int) -> StepTimes:
    """Run a drawn list on the stepped model."""
    return run_tiles(*draw_shared(index))


@pytest.mark.parametrize("index", thin(range(LISTS)))
def test_shared_reads_take_what_the_stepped_model_says(index: int) -> None:
    tiles, machine = draw_shared(index)
    traffic = make_traffic(tiles, machine.pes_per_group)
    timings = [run_step(make_table(traffic), machine.groups, describe_speeds(machine), engine) for engine in Engine]
    for timing in timings:
        assert list_times(timing, traffic) == list_stepped_times(step_shared(index))
        assert timing.executed.all()
        assert timing.spent.sum(axis=1).tolist() == [timing.cycles] * machine.groups
    assert list_numbers(timings[0]) == list_numbers(timings[1])


@pytest.mark.parametrize("index", thin(range(0, LISTS, 3)))
def test_told_driver_rows_change_nothing_where_nobody_shares(index: int) -> None:
    tiles, machine = draw_shared(index)
    alone = replace(machine, multicast=1)
    untold = [replace(tile, tasks=tuple(replace(task, drivers=()) for task in tile.tasks)) for tile in tiles]
    times = [run_tiles(work, alone) for work in (tiles, untold)]
    assert times[0] == times[1]
    told = make_traffic(tiles, machine.pes_per_group)
    for engine in Engine:
        timing = run_step(make_table(told), machine.groups, describe_speeds(alone), engine)
        assert list_times(timing, told) == list_stepped_times(times[0])
        assert timing.shared_bytes == timing.shared_cycles == 0


@exhaustive
def test_the_lists_share_much_and_little_and_some_tiles_are_alike() -> None:
    drawn = [(*draw_shared(index), step_shared(index)) for index in range(LISTS)]
    assert sum(times.shared_bytes > 0 for _, _, times in drawn) > LISTS // 4
    assert any(4 * times.shared_bytes > times.buffer_read_bytes for _, _, times in drawn)
    busy = [times for _, machine, times in drawn if machine.ports == 1 and times.shared_bytes]
    assert any(times.ports_busy > 0.9 * times.cycles for times in busy)
    alike = 0
    for tiles, machine, times in drawn:
        traffic = make_traffic(tiles, machine.pes_per_group)
        found = find_alike(traffic.tile_first, describe_work(traffic, describe_speeds(machine)))
        alike += bool((found != np.arange(len(found))).any() and times.shared_bytes)
    assert alike > 3
