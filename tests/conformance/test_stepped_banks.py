"""The machine whose DRAM has banks against the cycle-stepped model, on random tasks, timings, clocks and layouts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from banked_channels import draw_streams, draw_timing
from conformance.stepped_pairs import describe_speeds, list_stepped_times, list_times, make_table, make_traffic
from conformance.test_stepped_lists import draw_list
from drawn_cases import thin
from oracle.stepped_dram import Run, SteppedBanks
from oracle.stepped_records import TimedTile
from oracle.stepped_timing import run_tiles

from dataflows.contract.memory import TileStreams
from sim.machine.accelerator import Engine, run_step
from sim.machine.bank_state import BankTiming
from sim.machine.banked_channels import BankedDram

LISTS = 300
Placed = tuple[list[list[Run]], list[list[Run]]]


def place_by_tensor(streams: TileStreams, row_bytes: int) -> Placed:
    """Lay tensors out one behind the other, each from the next multiple of a row of all channels on."""
    addresses, free = [], 0
    for size in streams.tensor_bytes.tolist():
        addresses.append(free)
        while free < addresses[-1] + size:
            free += row_bytes
    runs = [
        [(address + first, size) for address, first, size in zip(addresses, firsts, sizes, strict=True)]
        for firsts, sizes in zip(streams.first_bytes.tolist(), streams.size_bytes.tolist(), strict=True)
    ]
    return (
        [[run for run in one[:-1] if run[1]] for one in runs],
        [[run for run in one[-1:] if run[1]] for one in runs],
    )


def place_in_order(tiles: tuple[TimedTile, ...], row_bytes: int) -> Placed:
    """Lay loads out one behind the other, and behind them write-backs."""
    loads, writes, free = [], [], 0
    for tile in tiles:
        loads.append([(free, tile.load_bytes)] if tile.load_bytes else [])
        free += tile.load_bytes
    free = -(-free // row_bytes) * row_bytes
    for tile in tiles:
        writes.append([(free, tile.write_back_bytes)] if tile.write_back_bytes else [])
        free += tile.write_back_bytes
    return loads, writes


def draw_dram(rng: np.random.Generator) -> tuple[BankedDram, BankTiming]:
    """Draw channels, and clocks of which either is the faster one."""
    timing = draw_timing(rng)
    return BankedDram(int(rng.integers(1, 4)), timing, int(rng.integers(1, 12)), int(rng.integers(1, 12))), timing


@pytest.mark.parametrize("index", thin(range(LISTS)))
def test_every_wait_of_every_group_is_the_stepped_models(index: int) -> None:
    tiles, machine = draw_list(index)
    rng = np.random.default_rng((79, index))
    dram, timing = draw_dram(rng)
    traffic = make_traffic(tiles, machine.pes_per_group)
    row_bytes = timing.row_bursts * timing.burst_bytes * dram.channels
    if index % 2:
        streams = draw_streams(rng, traffic)
        traffic = dataclasses.replace(traffic, streams=streams)
        placed = place_by_tensor(streams, row_bytes)
    else:
        placed = place_in_order(tiles, row_bytes)
    banks = SteppedBanks(timing._asdict(), dram.channels, dram.dram_mhz, dram.machine_mhz, *map(list, placed))
    times = list_stepped_times(run_tiles(tiles, machine, banks))
    speeds = dataclasses.replace(describe_speeds(machine), banked=dram)
    for engine in Engine:
        timing_of_step = run_step(make_table(traffic), machine.groups, speeds, engine)
        assert list_times(timing_of_step, traffic) == times, engine
        commands = timing_of_step.commands
        assert commands is not None
        sent = [one.name for channel in banks.stepped for one in channel.sent]
        counted = [commands.activates, commands.reads, commands.writes, commands.refreshes]
        assert counted == [sent.count(name) for name in ("ACT", "RD", "WR", "REF")]
        assert commands.active_clocks == sum(channel.active_clocks for channel in banks.stepped)
        ranks = timing.ranks * sum(channel.clock for channel in banks.stepped)
        assert commands.active_clocks + commands.idle_clocks == ranks
