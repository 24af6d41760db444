"""The machine against the cycle-stepped model on lists of tasks whose bytes and cycles are drawn at random."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from conformance.stepped_cases import draw_one
from conformance.stepped_pairs import describe_speeds, list_stepped_times, list_times, make_table, make_traffic
from drawn_cases import exhaustive, thin
from oracle.stepped_records import Machine, StepTimes, TimedTask, TimedTile
from oracle.stepped_timing import run_tiles

from sim.machine.accelerator import Engine, run_step

SEED = 71
LISTS = 300


def draw_task(rng: np.random.Generator, pes_per_group: int) -> TimedTask:
    """Draw a task of up to five bursts; bursts, reads and writes of no bytes and work of no cycles are among them."""
    pes = int(rng.integers(1, pes_per_group + 1))
    bursts = tuple(
        (
            draw_one(rng, (0, 0, 1, 5, 16, 17, 40, 100)),
            tuple(int(rng.integers(0, draw_one(rng, (1, 3, 12, 30)))) for _ in range(pes)),
        )
        for _ in range(int(rng.integers(0, 6)))
    )
    return TimedTask(
        bursts,
        ppu_read_bytes=draw_one(rng, (0, 0, 8, 50)),
        elements=draw_one(rng, (0, 1, 7, 20, 150)),
        write_bytes=draw_one(rng, (0, 3, 16, 60)),
    )


def draw_list(index: int) -> tuple[tuple[TimedTile, ...], Machine]:
    """Draw up to four tiles of up to eleven tasks, empty tiles among them, and a machine."""
    rng = np.random.default_rng([SEED, index])
    machine = Machine(
        groups=draw_one(rng, (1, 1, 2, 3, 5, 8, 24)),
        pes_per_group=draw_one(rng, (1, 2, 3, 4)),
        ports=draw_one(rng, (None, 1, 1, 2, 3, 8)),
        bytes_per_port_cycle=draw_one(rng, (None, 1, 4, 16)),
        prefetch_next_task=bool(rng.random() < 0.6),
        dram_bytes_per_cycle=draw_one(rng, (None, 1, 4, 32)),
        dram_latency_cycles=draw_one(rng, (0, 1, 7, 100)),
        elements_per_cycle=draw_one(rng, (None, 1, 2, 8)),
    )
    tiles = tuple(
        TimedTile(
            tuple(draw_task(rng, machine.pes_per_group) for _ in range(int(rng.integers(0, 12)))),
            load_bytes=draw_one(rng, (0, 10, 100, 400)),
            write_back_bytes=draw_one(rng, (0, 10, 100, 300)),
        )
        for _ in range(int(rng.integers(1, 5)))
    )
    return tiles, machine


@cache
def step_list(index: int) -> StepTimes:
    """Run a drawn list on the stepped model."""
    return run_tiles(*draw_list(index))


@pytest.mark.parametrize("index", thin(range(LISTS)))
def test_every_wait_of_every_group_is_the_stepped_models(index: int) -> None:
    tiles, machine = draw_list(index)
    traffic = make_traffic(tiles, machine.pes_per_group)
    for engine in Engine:
        timing = run_step(make_table(traffic), machine.groups, describe_speeds(machine), engine)
        assert list_times(timing, traffic) == list_stepped_times(step_list(index)), engine
        assert timing.executed.all()
        assert timing.spent.sum(axis=1).tolist() == [timing.cycles] * machine.groups


@exhaustive
@pytest.mark.parametrize("wait", ["wait_operands", "wait_dram", "wait_ppu", "idle", "busy"])
def test_every_state_is_the_largest_of_some_list(wait: str) -> None:
    states = ("wait_operands", "wait_dram", "wait_ppu", "idle", "busy")
    largest = [max(states, key=lambda state: sum(getattr(step_list(index), state))) for index in range(LISTS)]
    assert largest.count(wait) >= 3


@exhaustive
def test_the_lists_cover_starved_ports_slow_units_and_few_and_many_groups() -> None:
    drawn = [(*draw_list(index), step_list(index)) for index in range(LISTS)]
    starved = [times for _, machine, times in drawn if machine.ports == 1 and sum(times.wait_operands) > 100]
    assert any(times.ports_busy > 0.95 * times.cycles for times in starved)
    slow_ppu = [times for _, machine, times in drawn if machine.elements_per_cycle == 1]
    assert any(sum(times.wait_ppu) > sum(times.busy) for times in slow_ppu)
    far_dram = [times for _, machine, times in drawn if machine.dram_latency_cycles == 100]
    assert any(sum(times.wait_dram) > sum(times.busy) for times in far_dram)
    assert {machine.groups for _, machine, _ in drawn} == {1, 2, 3, 5, 8, 24}
    assert any(len(tiles) > 2 and machine.groups == 24 for tiles, machine, _ in drawn)
    assert any(len(tiles) > 1 and not all(tile.tasks for tile in tiles) for tiles, _, _ in drawn)
    assert {machine.prefetch_next_task for _, machine, _ in drawn} == {False, True}
    tasks = [task for tiles, _, _ in drawn for tile in tiles for task in tile.tasks]
    assert any(not task.bursts for task in tasks)
    assert any(size == 0 and max(cycles) > 0 for task in tasks for size, cycles in task.bursts)
    assert any(task.write_bytes == 0 for task in tasks)
    assert any(task.ppu_read_bytes > 0 for task in tasks)
