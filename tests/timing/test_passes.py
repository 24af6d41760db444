"""An elementwise pass takes the longer of its cycles and its DRAM transfers."""

from __future__ import annotations

import pytest

from sim.machine.accelerator import Surroundings
from sim.machine.dram_layout import Moved
from sim.machine.elementwise import run_pass

BANDWIDTH, LATENCY, RATE, GROUPS = 32, 100, 2, 5
SPEEDS = Surroundings(dram_bytes_per_cycle=BANDWIDTH, dram_latency_cycles=LATENCY, elements_per_cycle=RATE)


def moved(read_bytes: int, write_bytes: int) -> Moved:
    return Moved((("read", read_bytes),), (("written", write_bytes),))


@pytest.mark.parametrize("elements", [1, GROUPS * RATE, GROUPS * RATE + 1, 12345])
def test_elements_are_shared_by_all_units(elements: int) -> None:
    timing = run_pass(elements, moved(0, 0), GROUPS, SPEEDS)
    assert timing.cycles == timing.ppu_cycles == -(-elements // (GROUPS * RATE))
    assert timing.dram_busy_cycles == 0


def test_reads_and_writes_share_the_channel_and_one_latency() -> None:
    read, write = 70, 30
    timing = run_pass(1, moved(read * BANDWIDTH, write * BANDWIDTH), GROUPS, SPEEDS)
    assert timing.cycles == LATENCY + read + write
    assert timing.dram_busy_cycles == read + write


@pytest.mark.parametrize("spare", [-1, 0, 1])
def test_the_longer_of_both_counts(spare: int) -> None:
    transfers = LATENCY + 50 + 50
    elements = (transfers + spare) * GROUPS * RATE
    timing = run_pass(elements, moved(50 * BANDWIDTH, 50 * BANDWIDTH), GROUPS, SPEEDS)
    assert timing.cycles == max(transfers, transfers + spare)
    assert timing.ppu_cycles == transfers + spare


def test_a_pass_on_an_unlimited_machine_takes_no_time() -> None:
    timing = run_pass(1000, moved(1000, 1000), GROUPS, Surroundings())
    assert (timing.cycles, timing.ppu_cycles, timing.dram_busy_cycles) == (0, 0, 0)
