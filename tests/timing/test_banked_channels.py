"""Channels with banks between two clocks: when requests come, when transfers end, and how bursts are dealt out."""

from __future__ import annotations

import pytest
from timing.test_bank_timing import SHORT

from sim.machine.banked_channels import BankedChannels, BankedDram
from sim.machine.dram_layout import Moved, place_pass, place_tensors
from sim.machine.elementwise import run_pass
from sim.machine.surroundings import Surroundings

TIMING = SHORT._replace(rcd=15, cl=17, cwl=14, burst=8)
SIZE = TIMING.burst_bytes
FIRST_DATA = TIMING.rcd + TIMING.cl + TIMING.burst


def make_dram(channels: int = 1, dram_mhz: int = 3, machine_mhz: int = 2) -> BankedDram:
    return BankedDram(channels, TIMING, dram_mhz, machine_mhz)


@pytest.mark.parametrize(("dram_mhz", "machine_mhz"), [(3, 2), (1, 1), (2, 7), (1200, 800)])
@pytest.mark.parametrize("cycle", [0, 1, 5, 77])
def test_a_read_ends_at_the_first_cycle_that_does_not_begin_before_its_data(
    dram_mhz: int, machine_mhz: int, cycle: int
) -> None:
    dram = make_dram(1, dram_mhz, machine_mhz)
    channels = BankedChannels(dram)
    number = channels.request(cycle, [(0, SIZE)], is_write=False)
    end = channels.find_end(number)
    # In clocks x machine_mhz: what is asked for at a cycle comes at the first clock that does not begin before it.
    asked = -(-cycle * dram_mhz // machine_mhz)
    data = asked + FIRST_DATA
    assert (end - 1) * dram_mhz < data * machine_mhz <= end * dram_mhz


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_neighbouring_bursts_lie_in_different_channels(channels: int) -> None:
    unit = BankedChannels(make_dram(channels, 1, 1))
    end = unit.find_end(unit.request(0, [(0, 4 * SIZE)], is_write=False))
    assert end == FIRST_DATA + (4 // channels - 1) * TIMING.burst
    commands = unit.count_commands(end)
    assert (commands.activates, commands.reads, commands.writes) == (channels, 4, 0)
    # One of two ranks of each channel has an open bank from its activate, at clock 0, until now.
    assert (commands.active_clocks, commands.idle_clocks) == (channels * end, channels * end)
    assert unit.count_busy_cycles() == 4 * TIMING.burst // channels


@pytest.mark.parametrize(
    ("first", "size_bytes", "bursts"),
    [(0, 1, 1), (SIZE - 1, 2, 2), (SIZE, SIZE, 1), (1, 3 * SIZE - 1, 3), (1, 3 * SIZE, 4)],
)
def test_every_burst_that_a_run_touches_is_moved_whole(first: int, size_bytes: int, bursts: int) -> None:
    unit = BankedChannels(make_dram(2))
    end = unit.find_end(unit.request(0, [(first, size_bytes)], is_write=True))
    assert unit.count_commands(end).writes == bursts


def test_a_transfer_that_waits_is_worked_up_to_a_later_request() -> None:
    unit = BankedChannels(make_dram(1, 1, 1))
    one = unit.request(0, [(0, SIZE)], is_write=False)
    two = unit.request(100, [(SIZE, SIZE)], is_write=False)
    assert (unit.find_end(one), unit.find_end(two)) == (FIRST_DATA, 100 + TIMING.cl + TIMING.burst)


def test_a_state_that_was_put_back_foretells_the_same() -> None:
    unit = BankedChannels(make_dram(2))
    number = unit.request(3, [(0, 9 * SIZE)], is_write=False)
    kept = unit.keep()
    end = unit.find_end(number)
    unit.put_back(kept)
    assert unit.find_end(number) == end


def test_tensors_begin_rows_of_their_own_in_every_channel() -> None:
    row = TIMING.row_bursts * SIZE
    assert place_tensors([1, row, row + 1, 0, 5], TIMING, channels=1) == [0, row, 2 * row, 4 * row, 4 * row]
    assert place_tensors([1, row, row + 1], TIMING, channels=2) == [0, 2 * row, 4 * row]


def test_a_pass_lays_what_it_reads_twice_at_one_place() -> None:
    row = TIMING.row_bursts * SIZE
    moved = Moved((("a", 10), ("b", 20), ("a", 10), ("none", 0)), (("c", 30), ("a", 10)))
    reads, writes = place_pass(moved, make_dram())
    assert reads == [(0, 10), (row, 20), (0, 10)]
    assert writes == [(2 * row, 30), (0, 10)]


@pytest.mark.parametrize("elements", [1, 10_000])
def test_a_pass_takes_the_longer_of_its_elements_and_its_transfers(elements: int) -> None:
    dram = make_dram(1, 1, 1)
    speeds = Surroundings(elements_per_cycle=1, banked=dram)
    timing = run_pass(elements, Moved((("a", SIZE),), (("b", SIZE),)), 2, speeds)
    # The write's queue is worked when that of reads is empty: its row is opened a clock behind the read.
    write_end = TIMING.rcd + 1 + TIMING.rcd + TIMING.cwl + TIMING.burst
    assert timing.cycles == max(elements // 2, write_end)
    assert timing.commands is not None
    assert (timing.commands.reads, timing.commands.writes, timing.commands.activates) == (1, 1, 2)
    assert timing.dram_busy_cycles == 2 * TIMING.burst
