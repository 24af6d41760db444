from __future__ import annotations

import numpy as np

from sim.machine.ledger import State
from sim.machine.surroundings import Surroundings
from sim.machine.tile_timing import TileTimings, compose_step
from sim.sampling.recurrence import UNLIMITED, compose_tiles

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


def test_steps_are_those_of_the_engine() -> None:
    rng = np.random.default_rng(6)
    for _ in range(200):
        tiles = int(rng.integers(1, 12))
        durations, loads, backs = (
            rng.integers(0, 60, tiles) * (rng.random(tiles) < 0.8) for _ in range(3)
        )  # fmt: skip
        width = None if rng.random() < 0.1 else int(rng.integers(1, 5))
        speeds = Surroundings(dram_bytes_per_cycle=width, dram_latency_cycles=int(rng.integers(0, 20)))
        nothing = np.zeros((tiles, 1), dtype=np.int64)
        states = np.zeros((tiles, 1, len(State)), dtype=np.int64)
        events = np.zeros(tiles, dtype=np.int64)
        timings = TileTimings(durations, durations, nothing, states, events, np.arange(tiles))
        composed = compose_step(timings, loads, backs, speeds)
        cycles, _, busy = compose_tiles(
            durations, loads, backs, UNLIMITED if width is None else width, speeds.dram_latency_cycles
        )
        assert (cycles, busy) == (composed.cycles, composed.dram_busy_cycles)
