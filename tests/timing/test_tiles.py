"""Tiles: loads run two ahead, a write-back is queued before the load it makes room for."""

from __future__ import annotations

import pytest
from timing.machine_runs import run, spent, task, tile

from sim.machine.ledger import State

BANDWIDTH, LATENCY = 4, 20
DRAM = {"dram_bytes_per_cycle": BANDWIDTH, "dram_latency_cycles": LATENCY}


def test_one_tile_is_loaded_worked_and_written_back() -> None:
    load, work, write = 10, 30, 7
    timing = run(tile(task((0, work)), load_bytes=load * BANDWIDTH, write_back_bytes=write * BANDWIDTH), **DRAM)
    assert timing.cycles == LATENCY + load + work + LATENCY + write
    assert spent(timing, State.WAIT_DRAM) == [LATENCY + load]
    assert spent(timing, State.IDLE) == [LATENCY + write]
    assert timing.dram_busy_cycles == load + write
    assert (timing.dram_read_bytes, timing.dram_write_bytes) == (load * BANDWIDTH, write * BANDWIDTH)


@pytest.mark.parametrize("work", [9, 10, 11])
def test_the_second_load_is_hidden_behind_the_first_tiles_work(work: int) -> None:
    load = 10
    tiles = [tile(task((0, work)), load_bytes=load * BANDWIDTH) for _ in range(2)]
    timing = run(*tiles, **DRAM)
    assert timing.cycles == LATENCY + load + max(load, work) + work
    assert spent(timing, State.WAIT_DRAM) == [LATENCY + load + max(0, load - work)]


@pytest.mark.parametrize("work", [29, 30, 31, 100])
def test_the_third_load_is_requested_when_the_first_tile_ends(work: int) -> None:
    load = 10
    tiles = [tile(task((0, work)), load_bytes=load * BANDWIDTH) for _ in range(3)]
    timing = run(*tiles, **DRAM)
    first_end = LATENCY + load + work
    third_start = max(first_end + work, first_end + LATENCY + load)
    assert timing.cycles == third_start + work


def test_a_write_back_goes_before_the_load_that_is_queued_with_it() -> None:
    load, work, write = 10, 50, 40
    tiles = [
        tile(task((0, work)), load_bytes=load * BANDWIDTH, write_back_bytes=write * BANDWIDTH),
        tile(task((0, 1)), load_bytes=load * BANDWIDTH),
        tile(task((0, 1)), load_bytes=load * BANDWIDTH),
    ]
    first_end = LATENCY + load + work
    assert run(*tiles, **DRAM).cycles == first_end + LATENCY + write + load + 1


def test_a_tile_starts_when_the_last_write_of_the_one_before_has_ended() -> None:
    work, elements = 5, 33
    timing = run(tile(task((0, work), elements=elements)), tile(task((0, work))), elements_per_cycle=1)
    assert timing.cycles == work + elements + work
    assert spent(timing, State.WAIT_DRAM) == [elements]


def test_waiting_for_the_tile_begins_when_the_last_task_has_ended_in_all_groups() -> None:
    short, long, load = 3, 20, 100
    tiles = [tile(task((0, short)), task((0, long))), tile(task((0, 1)), load_bytes=load * BANDWIDTH)]
    timing = run(*tiles, groups=2, **DRAM)
    start = LATENCY + load
    assert timing.cycles == start + 1
    assert spent(timing, State.IDLE) == [long - short, 1]
    assert spent(timing, State.WAIT_DRAM) == [start - long, start - long]


def test_no_task_is_handed_over_across_tiles() -> None:
    fetch, work, width = 6, 10, 8
    tiles = [tile(task((fetch * width, work))), tile(task((fetch * width, work)))]
    timing = run(*tiles, ports=1, bytes_per_port_cycle=width, prefetches_next_task=True)
    assert timing.cycles == 2 * (fetch + work)


def test_a_step_ends_with_its_last_write_back() -> None:
    write = 1000
    timing = run(tile(task((0, 1)), write_back_bytes=write * BANDWIDTH), tile(task((0, 1))), **DRAM)
    assert timing.cycles == 1 + LATENCY + write
