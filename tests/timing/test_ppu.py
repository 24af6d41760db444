"""The post-processing unit: one task's results in process, one task's may wait, the next task's group is stalled."""

from __future__ import annotations

import pytest
from timing.machine_runs import run, spent, task, tile

from sim.machine.accelerator import Engine
from sim.machine.ledger import State

WIDTH = 8


@pytest.mark.parametrize("elements", [1, 3, 4, 5, 40])
def test_results_are_processed_at_the_units_rate_rounded_up(elements: int) -> None:
    rate, work = 4, 10
    cycles = -(-elements // rate)
    timing = run(task((0, work), elements=elements), elements_per_cycle=rate)
    assert timing.cycles == work + cycles
    assert timing.ppu_busy_cycles == cycles
    assert spent(timing, State.IDLE) == [cycles]


def test_reading_processing_and_writing_follow_one_another() -> None:
    work, read, elements, write = 6, 3, 11, 5
    timing = run(
        task((0, work), ppu_read_bytes=read * WIDTH, elements=elements, write_bytes=write * WIDTH),
        ports=4, bytes_per_port_cycle=WIDTH, elements_per_cycle=1,
    )  # fmt: skip
    assert timing.cycles == work + read + elements + write
    assert (timing.ppu_busy_cycles, timing.ports_busy_cycles) == (elements, read + write)


def test_a_task_without_bursts_still_passes_its_unit() -> None:
    assert run(task(elements=9), elements_per_cycle=1).cycles == 9


@pytest.mark.parametrize("prefetches", [True, False])
@pytest.mark.parametrize("engine", list(Engine))
def test_a_task_that_hands_nothing_over_needs_no_place_in_its_unit(engine: Engine, prefetches: bool) -> None:
    # The first two tasks take both places; those that hand nothing over end between them, and the last one works.
    work, elements = 2, 50
    tasks = [*[task((0, work), elements=elements)] * 2, *[task()] * 40, task((0, work), elements=elements)]
    timing = run(*tasks, engine=engine, elements_per_cycle=1, prefetches_next_task=prefetches)
    assert spent(timing, State.BUSY) == [3 * work]
    assert spent(timing, State.WAIT_PPU) == [elements - 2 * work]
    assert timing.cycles == work + 3 * elements
    assert timing.executed.all()
    assert timing.ppu_busy_cycles == 3 * elements


@pytest.mark.parametrize("engine", list(Engine))
def test_a_tile_of_tasks_that_hand_nothing_over_ends_when_it_starts(engine: Engine) -> None:
    tiles = [tile(*[task()] * 5, load_bytes=8, write_back_bytes=24), tile(task((0, 3), elements=1), load_bytes=8)]
    timing = run(*tiles, groups=2, engine=engine, dram_bytes_per_cycle=8, elements_per_cycle=1)
    # Loads of one cycle each; the second tile starts behind its load and is over before the write-back is.
    assert timing.cycles == 2 + 3 + 1
    assert (timing.dram_write_bytes, timing.ppu_busy_cycles) == (24, 1)
    assert timing.executed.all()


@pytest.mark.parametrize("work", [1, 5, 10, 19, 20, 21, 30])
def test_the_third_task_is_stalled_just_until_a_place_is_free(work: int) -> None:
    # Task 1 is in process from `work` on, task 2 waits, task 3 ends at 3 x work and finds a place at work + elements.
    elements = 40
    timing = run(*[task((0, work), elements=elements)] * 3, elements_per_cycle=1)
    stall = max(0, work + elements - 3 * work)
    assert spent(timing, State.WAIT_PPU) == [stall]
    assert timing.cycles == work + 3 * max(elements, work) if elements >= work else 3 * work + elements


def test_two_tasks_never_stall_their_group() -> None:
    timing = run(*[task((0, 1), elements=1000)] * 2, elements_per_cycle=1)
    assert spent(timing, State.WAIT_PPU) == [0]
    assert timing.cycles == 1 + 2 * 1000


def test_a_stalled_group_is_not_free_for_a_new_task() -> None:
    work, elements, tasks = 2, 50, 5
    timing = run(*[task((0, work), elements=elements)] * tasks, elements_per_cycle=1)
    # Each task from the fourth on starts when the one before it found a place, and works while the unit is busy.
    assert timing.cycles == work + tasks * elements
    assert timing.spent[0, State.BUSY] == tasks * work
    assert spent(timing, State.WAIT_PPU) == [(tasks - 2) * (elements - work) - work]


def test_a_write_keeps_its_place_until_it_has_ended() -> None:
    work, write = 1, 30
    timing = run(*[task((0, work), write_bytes=write * WIDTH)] * 3, ports=8, bytes_per_port_cycle=WIDTH)
    assert spent(timing, State.WAIT_PPU) == [work + write - 3 * work]
    assert timing.cycles == work + 3 * write


def test_every_group_has_a_unit_of_its_own() -> None:
    timing = run(*[task((0, 1), elements=20)] * 3, groups=3, elements_per_cycle=1)
    assert (timing.cycles, timing.ppu_busy_cycles) == (1 + 20, 3 * 20)
