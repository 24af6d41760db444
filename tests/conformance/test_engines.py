"""The compiled engine equals SimPy's in every number, for long runs between events and for tiles that are alike."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from conformance.stepped_pairs import make_table

from dataflows.contract.memory import Traffic
from sim.machine.accelerator import Engine, StepTiming, run_step
from sim.machine.surroundings import Surroundings
from sim.machine.tile_timing import describe_work, find_alike, time_tiles

NARROW = Surroundings(
    ports=2, bytes_per_port_cycle=16, dram_bytes_per_cycle=8, dram_latency_cycles=50, elements_per_cycle=1,
    prefetches_next_task=True,
)  # fmt: skip
MACHINES = {
    "narrow": NARROW,
    "without look-ahead": dataclasses.replace(NARROW, prefetches_next_task=False),
    "unlimited": Surroundings(),
}


def make_traffic(seed: int, longest_cycles: int, tiles: int = 4, entries_per_tile: int = 7, pes: int = 3) -> Traffic:
    """Draw a step; every second tile has the entries of the one before."""
    random = np.random.default_rng(seed)
    drawn = [
        [int(random.integers(0, 4)) for _ in range(entries_per_tile)] for _ in range(-(-tiles // 2))
    ]  # fmt: skip
    counts = [count for tile in range(tiles) for count in drawn[tile // 2]]
    first = np.append(0, np.cumsum(counts)).astype(np.int64)
    per_tile = [int(first[(tile + 1) * entries_per_tile] - first[tile * entries_per_tile]) for tile in range(tiles)]
    sizes = [random.integers(0, 2000, per_tile[2 * pair]) for pair in range(len(drawn))]
    cycles = [random.integers(0, longest_cycles, (per_tile[2 * pair], pes)) for pair in range(len(drawn))]
    results = [random.integers(0, 300, (3, entries_per_tile)) for _ in drawn]
    whole = [tile // 2 for tile in range(tiles)]
    read, elements, write = (np.concatenate([results[pair][part] for pair in whole]) for part in range(3))
    return Traffic(
        tile_first=np.arange(tiles + 1) * entries_per_tile,
        tile_load_bytes=random.integers(0, 3000, tiles),
        tile_write_back_bytes=random.integers(0, 3000, tiles),
        burst_first=first,
        burst_bytes=np.concatenate([sizes[pair] for pair in whole]),
        burst_cycles=np.concatenate([cycles[pair] for pair in whole]),
        pes=np.full(tiles * entries_per_tile, pes),
        ppu_read_bytes=read,
        ppu_elements=elements,
        ppu_write_bytes=write,
        store_writes=np.zeros(tiles * entries_per_tile, dtype=np.int64),
        footprint_bytes=0,
        tiling="",
    )


def list_numbers(timing: StepTiming) -> dict[str, object]:
    """Give every number of a timing as plain data."""
    fields = {field.name: getattr(timing, field.name) for field in dataclasses.fields(timing)}
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in fields.items()}


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("longest_cycles", [1, 60, 5000, 200_000])
@pytest.mark.parametrize("seed", range(5))
def test_both_engines_give_the_same_numbers(name: str, longest_cycles: int, seed: int) -> None:
    table = make_table(make_traffic(seed, longest_cycles))
    simpy, compiled = (run_step(table, 3, MACHINES[name], engine) for engine in (Engine.SIMPY, Engine.COMPILED))
    assert list_numbers(compiled) == list_numbers(simpy)


def test_tiles_with_equal_work_are_alike_wherever_they_stand() -> None:
    traffic = make_traffic(1, 60, tiles=6)
    assert find_alike(traffic.tile_first, describe_work(traffic, NARROW)).tolist() == [0, 0, 2, 2, 4, 4]


@pytest.mark.parametrize("column", ["burst_bytes", "burst_cycles", "pes", "ppu_read_bytes", "ppu_elements"])
def test_one_number_more_makes_a_tile_another_one(column: str) -> None:
    traffic = make_traffic(1, 60, tiles=2)
    changed = getattr(traffic, column).copy()
    changed[-1] += 16
    other = dataclasses.replace(traffic, **{column: changed})
    assert find_alike(traffic.tile_first, describe_work(traffic, NARROW)).tolist() == [0, 0]
    assert find_alike(other.tile_first, describe_work(other, NARROW)).tolist() == [0, 1]


def test_a_tile_takes_its_time_on_its_own_whatever_came_before() -> None:
    traffic = make_traffic(3, 60, tiles=6)
    work = describe_work(traffic, NARROW)
    together, _ = time_tiles(traffic.tile_first, work, 3, NARROW)
    for tile in range(6):
        alone, _ = time_tiles(traffic.tile_first[tile : tile + 2], work, 3, NARROW)
        assert alone.cycles[0] == together.cycles[tile]
        assert alone.spent[0].tolist() == together.spent[tile].tolist()
