"""Tiles on the compiled engine, each on its own, and the step that they make with the DRAM channel between them.

No task is handed over across tiles and DRAM transfers use no port of the buffer, so the time of a tile depends on its
own tasks alone: tiles with equal work take equal times and are executed once, and a step follows from its tiles'
cycles and the bytes that are loaded and written back between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataflows.contract.entries import sum_spans
from dataflows.contract.memory import Traffic
from sim.machine.banked_channels import BankedDram, DramCommands
from sim.machine.banked_step import start_banked_tiles
from sim.machine.clock import DeadlockError
from sim.machine.compiled import run_events
from sim.machine.compiled_state import (
    EVENTS,
    NOW,
    SHARED_BYTES,
    SHARED_CYCLES,
    UNTIL,
    WAITING_SINCE,
    Work,
    make_machine,
    open_tile,
)
from sim.machine.dram_layout import TileRuns
from sim.machine.ledger import State
from sim.machine.recurrence import UNLIMITED, start_tiles
from sim.machine.surroundings import Surroundings
from workloads.arrays import IntArray
from workloads.kernel import kernel


@dataclass(frozen=True, eq=False)
class TileTimings:
    """What executing each tile took, in cycles from its start; all int64.

    Attributes:
        cycles: ``(tiles,)``; until the last result was written.
        working: ``(tiles,)``; until the last task had ended in its PEs.
        until: ``(tiles, groups)``; what `spent` ``(tiles, groups, states)`` of each group accounts for. events
            ``(tiles,)``.
        shared_bytes: ``(tiles,)``; of fetches that another group's access served.
        shared_cycles: ``(tiles,)``; of ports, that these would have taken.
        alike: ``(tiles,)``; the first tile with the same work, whose execution stands for this one's.
    """

    cycles: IntArray
    working: IntArray
    until: IntArray
    spent: IntArray
    events: IntArray
    shared_bytes: IntArray
    shared_cycles: IntArray
    alike: IntArray

    @property
    def idle_until(self) -> IntArray:
        """Until when groups are idle behind their last task, ``(tiles, groups)``: all tasks of the tile have ended."""
        return np.maximum(self.until, self.working[:, None])


@dataclass(frozen=True, eq=False)
class Composed:
    """A step made of tiles: its cycles, each group's states ``(groups, states)``, cycles the DRAM channel was busy.

    Attributes:
        commands: Of DRAM with banks.
    """

    cycles: int
    spent: IntArray
    dram_busy_cycles: int
    commands: DramCommands | None = None


NO_DRIVERS = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)


def describe_work(traffic: Traffic, surroundings: Surroundings) -> Work:
    """Turn bytes and elements into cycles."""
    width, elements = surroundings.bytes_per_port_cycle, surroundings.elements_per_cycle

    def transfer(size_bytes: IntArray) -> IntArray:
        cycles = np.zeros_like(size_bytes) if width is None else -(-size_bytes // width)
        return np.where(size_bytes > 0, cycles, -1).astype(np.int64)

    drivers = describe_drivers(traffic) if surroundings.shares_reads(traffic) else NO_DRIVERS
    others = traffic.burst_bytes - drivers[0] if len(drivers[0]) else traffic.burst_bytes
    process = np.zeros_like(traffic.ppu_elements) if elements is None else -(-traffic.ppu_elements // elements)
    return Work(
        burst_first=np.ascontiguousarray(traffic.burst_first, dtype=np.int64),
        fetch_cycles=transfer(others),
        burst_cycles=np.ascontiguousarray(traffic.burst_cycles, dtype=np.int64),
        pes=np.ascontiguousarray(traffic.pes, dtype=np.int64),
        read_cycles=transfer(traffic.ppu_read_bytes),
        process_cycles=np.where(traffic.passes_ppu, process, -1).astype(np.int64),
        write_cycles=transfer(traffic.ppu_write_bytes),
        driver_cycles=transfer(drivers[0]),
        driver_bytes=drivers[0],
        driver_rows=drivers[1],
    )


def describe_drivers(traffic: Traffic) -> tuple[IntArray, IntArray]:
    """Give the bytes of each burst's driver rows, and numbers of what these are, from 0 on in each tile: ``(bursts,)``.

    Numbers by appearance make tiles alike in which the same bursts fetch the same rows, whichever these are.
    """
    assert traffic.driver_bytes is not None
    assert traffic.driver_rows is not None
    edges = traffic.burst_first[traffic.tile_first]
    rows = np.where(traffic.driver_bytes > 0, traffic.driver_rows, -1)
    numbers = np.zeros(len(rows), dtype=np.int64)
    for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        _, appears, number_of = np.unique(rows[first:end], return_index=True, return_inverse=True)
        numbers[first:end] = np.argsort(np.argsort(appears))[number_of.reshape(-1)]
    return np.ascontiguousarray(traffic.driver_bytes, dtype=np.int64), numbers


def find_alike(tile_first: IntArray, work: Work) -> IntArray:
    """Give, for each tile, the first one whose entries have the same bursts and results: ``(tiles,)``."""
    tiles = len(tile_first) - 1
    alike = np.arange(tiles, dtype=np.int64)
    if tiles == 1:
        return alike
    known: dict[tuple[int, ...], list[int]] = {}
    for tile, key in enumerate(zip(*summarize_tiles(tile_first, work), strict=True)):
        for other in known.setdefault(key, []):
            if is_alike(tile_first, work, tile, other):
                alike[tile] = other
                break
        else:
            known[key].append(tile)
    return alike


def summarize_tiles(tile_first: IntArray, work: Work) -> list[list[int]]:
    """Sum up each tile, so that few that differ need to be compared: sizes, sums, and sums weighted by position."""
    edges = work.burst_first[tile_first]

    cycles, places = work.burst_cycles.sum(axis=1), np.arange(len(work.fetch_cycles))
    columns = (work.fetch_cycles, cycles)
    sums = [sum_spans(one, edges) for one in columns]
    # Sums that overflow wrap around alike in equal tiles.
    weighted = [sum_spans(places * one, edges) - edges[:-1] * added for one, added in zip(columns, sums, strict=True)]
    return [column.tolist() for column in (np.diff(tile_first), np.diff(edges), *sums, *weighted)]


@kernel
def is_alike(tile_first: IntArray, work: Work, tile: int, other: int) -> bool:
    """Tell whether two tiles of as many entries and bursts have equal work."""
    first, second = tile_first[tile], tile_first[other]
    base, other_base = work.burst_first[first], work.burst_first[second]
    for entry in range(tile_first[tile + 1] - first):
        one, two = first + entry, second + entry
        if (
            work.burst_first[one + 1] - base != work.burst_first[two + 1] - other_base
            or work.pes[one] != work.pes[two]
            or work.read_cycles[one] != work.read_cycles[two]
            or work.process_cycles[one] != work.process_cycles[two]
            or work.write_cycles[one] != work.write_cycles[two]
        ):
            return False
    for burst in range(work.burst_first[tile_first[tile + 1]] - base):
        if work.fetch_cycles[base + burst] != work.fetch_cycles[other_base + burst]:
            return False
        if len(work.driver_rows) and (
            work.driver_rows[base + burst] != work.driver_rows[other_base + burst]
            or work.driver_bytes[base + burst] != work.driver_bytes[other_base + burst]
        ):
            return False
        for pe in range(work.burst_cycles.shape[1]):
            if work.burst_cycles[base + burst, pe] != work.burst_cycles[other_base + burst, pe]:
                return False
    return True


def time_tiles(
    tile_first: IntArray, work: Work, groups: int, surroundings: Surroundings
) -> tuple[TileTimings, IntArray]:
    """Execute every tile on a machine of so many groups; also give the group that finished each entry.

    Raises:
        DeadlockError: nothing is scheduled while work is left.
    """
    tiles = len(tile_first) - 1
    machine = make_machine(groups, work.burst_cycles.shape[1], len(work.pes), surroundings)
    timings = TileTimings(
        cycles=np.zeros(tiles, dtype=np.int64),
        working=np.zeros(tiles, dtype=np.int64),
        until=np.zeros((tiles, groups), dtype=np.int64),
        spent=np.zeros((tiles, groups, len(State)), dtype=np.int64),
        events=np.zeros(tiles, dtype=np.int64),
        shared_bytes=np.zeros(tiles, dtype=np.int64),
        shared_cycles=np.zeros(tiles, dtype=np.int64),
        alike=find_alike(tile_first, work),
    )
    for tile, other in enumerate(timings.alike):
        first, end = int(tile_first[tile]), int(tile_first[tile + 1])
        if other < tile:
            for column in (
                timings.cycles, timings.working, timings.until, timings.spent, timings.events, timings.shared_bytes,
                timings.shared_cycles,
            ):  # fmt: skip
                column[tile] = column[other]
            start = int(tile_first[other])
            machine.finished_by[first:end] = machine.finished_by[start : start + end - first]
            continue
        open_tile(machine, first, end)
        if not run_events(machine, work):
            raise DeadlockError(
                f"deadlock at cycle {machine.counts[NOW]} of tile {tile}: work is left, and nothing is scheduled"
            )
        timings.cycles[tile] = machine.counts[NOW]
        timings.working[tile] = machine.counts[WAITING_SINCE]
        timings.until[tile] = machine.groups[:, UNTIL]
        timings.spent[tile] = machine.spent
        timings.events[tile] = machine.counts[EVENTS]
        timings.shared_bytes[tile] = machine.counts[SHARED_BYTES]
        timings.shared_cycles[tile] = machine.counts[SHARED_CYCLES]
    return timings, machine.finished_by


def compose_step(
    timings: TileTimings, load_bytes: IntArray, write_back_bytes: IntArray, surroundings: Surroundings
) -> Composed:
    """Put the tiles of a step one after the other, with their loads two ahead and their write-backs behind them.

    Args:
        load_bytes: int64 ``(tiles,)``.
        write_back_bytes: int64 ``(tiles,)``.
    """
    width = surroundings.dram_bytes_per_cycle
    starts, total, busy = start_tiles(
        timings.cycles, load_bytes, write_back_bytes, UNLIMITED if width is None else width,
        surroundings.dram_latency_cycles,
    )  # fmt: skip
    return Composed(int(total), spread_waits(timings, starts, int(total)), int(busy))


def compose_banked_step(timings: TileTimings, runs: TileRuns, dram: BankedDram) -> Composed:
    """Put the tiles of a step likewise where DRAM has banks, whose transfers lie where they lie."""
    starts, total, busy, commands = start_banked_tiles(timings.cycles, runs, dram)
    return Composed(total, spread_waits(timings, starts, total), busy, commands)


def spread_waits(timings: TileTimings, starts: IntArray, total: int) -> IntArray:
    """Add up each group's states: between two tiles it is idle until all have ended, then it waits for the DRAM."""
    groups = timings.until.shape[1]
    spent: IntArray = timings.spent.sum(axis=0)
    until = np.concatenate([np.zeros((1, groups), dtype=np.int64), timings.until + starts[:, None]])
    idle_until = np.concatenate([np.zeros((1, groups), dtype=np.int64), timings.idle_until + starts[:, None]])
    spent[:, State.IDLE] += (idle_until - until)[:-1].sum(axis=0) + total - until[-1]
    spent[:, State.WAIT_DRAM] += (starts[:, None] - idle_until[:-1]).sum(axis=0)
    return spent
