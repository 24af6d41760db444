from __future__ import annotations

import numpy as np
from conformance.stepped_pairs import make_table
from numpy.typing import NDArray

from dataflows.contract.memory import Traffic
from sim.machine.accelerator import Engine, run_step
from sim.machine.recurrence import UNLIMITED, compose_tiles
from sim.machine.surroundings import Surroundings

IntArray = NDArray[np.int64]

LATENCY, WIDTH = 7, 4


def test_a_tile_between_its_transfers_takes_their_sum() -> None:
    load, work, back = 40, 100, 24
    columns = (np.array([value], dtype=np.int64) for value in (work, load, back))
    start = LATENCY + load // WIDTH
    assert compose_tiles(*columns, WIDTH, LATENCY) == (
        start + work + LATENCY + back // WIDTH, start, load // WIDTH + back // WIDTH,
    )  # fmt: skip


def test_without_bytes_tiles_follow_each_other() -> None:
    durations, none = np.array([5, 0, 9], dtype=np.int64), np.zeros(3, dtype=np.int64)
    assert compose_tiles(durations, none, none, WIDTH, LATENCY) == (14, 5, 0)


def test_unlimited_bandwidth_leaves_the_latency() -> None:
    one = np.ones(2, dtype=np.int64)
    assert compose_tiles(10 * one, one, 0 * one, UNLIMITED, LATENCY) == (LATENCY + 20, LATENCY + 10, 0)


def test_steps_are_those_of_the_simpy_machine() -> None:
    rng = np.random.default_rng(6)
    for _ in range(200):
        tiles = int(rng.integers(1, 12))
        durations, loads, backs = (
            rng.integers(0, 60, tiles) * (rng.random(tiles) < 0.8) for _ in range(3)
        )  # fmt: skip
        width = None if rng.random() < 0.1 else int(rng.integers(1, 5))
        speeds = Surroundings(dram_bytes_per_cycle=width, dram_latency_cycles=int(rng.integers(0, 20)))
        executed = run_step(make_table(make_traffic(durations, loads, backs)), 1, speeds, Engine.SIMPY)
        cycles, _, busy = compose_tiles(
            durations, loads, backs, UNLIMITED if width is None else width, speeds.dram_latency_cycles
        )
        assert (cycles, busy) == (executed.cycles, executed.dram_busy_cycles)


def make_traffic(durations: IntArray, loads: IntArray, backs: IntArray) -> Traffic:
    """Make tiles of one task each, whose one burst is there at once and takes the tile's duration."""
    tiles, nothing = len(durations), np.zeros(len(durations), dtype=np.int64)
    return Traffic(
        tile_first=np.arange(tiles + 1),
        tile_load_bytes=loads,
        tile_write_back_bytes=backs,
        burst_first=np.arange(tiles + 1),
        burst_bytes=nothing,
        burst_cycles=durations[:, None],
        pes=nothing + 1,
        ppu_read_bytes=nothing,
        ppu_elements=nothing,
        ppu_write_bytes=nothing,
        store_writes=nothing,
        footprint_bytes=0,
        tiling="",
    )
