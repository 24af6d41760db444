"""Whether every row that a burst reads lies in the buffer: judged from rows listed apart from the simulator's code.

A tile's operands are brought in by its one load, row after row of an independent listing, as far as the transferred
bytes go, and evicted when the tile ends. Of a cut reduction's output tile there is one at a time, as the definition
counts it; otherwise an output tile stays from its tile's start to the end of its write-back.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from oracle.stepped_linear import LinearWork
from oracle.stepped_lowering import Row, Tile, Work
from oracle.stepped_records import divide_up
from oracle.stepped_tiling import list_tiles
from residency.execution_log import ExecutionLog

from dataflows.contract.tasks import TaskTable
from sim.machine.accelerator import StepTiming

Rows = dict[Row, int]


@dataclass(frozen=True, slots=True)
class Stay:
    """When a tile's operands and outputs are in the buffer, in cycles, and what they take."""

    load_requested: int
    load_ended: int
    tile_ended: int
    write_back_ended: int
    load_bytes: int
    output_bytes: int


def find_faults(table: TaskTable, work: Work, timing: StepTiming, log: ExecutionLog) -> list[str]:
    """List what is wrong with an execution, one sentence each; nothing where all rows were there in time."""
    assert table.traffic is not None
    tiles = read_tiles(table, work)
    is_cut = any(not tile.is_last_part for tile in tiles)
    faults = check_transfers(tiles, work, timing, log)
    if faults:
        return faults
    stays = list_stays(tiles, work, log, is_cut)
    return [
        *check_live_tiles(stays),
        *check_footprint(stays, is_cut, work.machine.capacity_bytes),
        *check_reads(table, work, tiles, stays, log),
    ]


def read_tiles(table: TaskTable, work: Work) -> list[Tile]:
    """List the tiles that the traffic's run lengths make, and hold its dispatch against their tasks."""
    assert table.traffic is not None
    assert table.dispatch is not None
    tasks, parts = (tuple(int(size) for size in words.split("x")) for words in table.traffic.tiling.split("|"))
    tiles = list(list_tiles(work, tasks, parts))
    expected = [int(np.ravel_multi_index(tile.place(at), work.task_limits)) for tile in tiles for at in tile.tasks]
    assert table.dispatch.tolist() == expected
    return tiles


def list_rows(work: Work, tile: Tile) -> Rows:
    """List the rows that a tile needs, in the order of their first use; pieces of rows where rows are cut."""
    if isinstance(work, LinearWork):
        return list_linear_rows(work, tile)
    rows: Rows = {}
    for index in map(tile.place, tile.tasks):
        items = list(work.list_items(index, tile.reduction))
        for item in items:
            rows |= item.rows
        if work.has_mask and items:
            rows["mask", *index] = work.size_mask(index)
    return rows


def list_linear_rows(work: LinearWork, tile: Tile) -> Rows:
    """List the pieces of rows that a tile of a fully connected layer needs, whatever their values."""
    blocks, piece = tile.indices[1], tile.reduction[0]
    outputs = range(work.blocks[blocks[0]].start, work.blocks[blocks[-1]].stop)
    if work.step == "gtw":
        pieces = [work.read((), "grad_output", n, tile.indices[0]) for n in piece]
        return dict([*pieces, *(work.read((), "input", n, outputs) for n in piece)])
    driver = "input" if work.step == "forward" else "grad_output"
    rows = dict([work.read((), driver, n, piece) for n in tile.indices[0]])
    rows |= dict(work.read((), "weight", output, piece) for output in outputs)
    if work.has_mask:
        rows |= {("mask", n): divide_up(len(outputs), 8) for n in tile.indices[0]}
    return rows


def check_transfers(tiles: list[Tile], work: Work, timing: StepTiming, log: ExecutionLog) -> list[str]:
    """Compare the bytes of executed DRAM transfers with those of the rows and results of all tiles."""
    read_bytes = sum(sum(list_rows(work, tile).values()) for tile in tiles)
    written_bytes = sum(work.size_write_back(tile) for tile in tiles if tile.is_last_part)
    faults = []
    if len(log.transfers) != 2 * len(tiles):
        faults.append(f"{len(log.transfers)} transfers were requested, {2 * len(tiles)} belong to the tiles")
    for name, executed, needed in (
        ("read", timing.dram_read_bytes, read_bytes),
        ("write", timing.dram_write_bytes, written_bytes),
    ):
        if executed != needed:
            faults.append(f"executed DRAM transfers {name} {executed} bytes, the tiles' rows are {needed}")
    return faults


def list_stays(tiles: list[Tile], work: Work, log: ExecutionLog, is_cut: bool) -> list[Stay]:
    """Say when each tile's rows are in the buffer, from the requests alone: loads 0 and 1, then write-back and load."""
    machine, ends, free = work.machine, [], 0
    for transfer in log.transfers:
        if transfer.size_bytes:
            start = max(transfer.requested + machine.dram_latency_cycles, free)
            free = start + divide_up(transfer.size_bytes, machine.dram_bytes_per_cycle)
        ends.append(free if transfer.size_bytes else transfer.requested)
    numbers = place_transfers(len(tiles))
    return [
        Stay(
            load_requested=log.transfers[load].requested,
            load_ended=ends[load],
            tile_ended=log.transfers[write].requested,
            write_back_ended=ends[write],
            load_bytes=log.transfers[load].size_bytes,
            output_bytes=work.size_output_tile(tile, is_cut),
        )
        for tile, (load, write) in zip(tiles, numbers, strict=True)
    ]


def place_transfers(tiles: int) -> list[tuple[int, int]]:
    """Give the places of each tile's load and write-back in the order of all transfers."""
    order = [("load", tile) for tile in range(min(2, tiles))]
    for tile in range(tiles):
        order.append(("write", tile))
        if tile + 2 < tiles:
            order.append(("load", tile + 2))
    places = {transfer: place for place, transfer in enumerate(order)}
    return [(places["load", tile], places["write", tile]) for tile in range(tiles)]


def check_live_tiles(stays: list[Stay]) -> list[str]:
    """Find loads that are requested while two other operand tiles are in the buffer."""
    return [
        f"tile {number} is loaded at cycle {stay.load_requested}, tile {number - 2} ends at {evicted.tile_ended}"
        for number, (evicted, stay) in enumerate(zip(stays, stays[2:], strict=False), start=2)
        if stay.load_requested < evicted.tile_ended
    ]


def check_footprint(stays: list[Stay], is_cut: bool, capacity_bytes: int | None) -> list[str]:
    """Find the cycles at which operand and output tiles together take more than the buffer holds."""
    started = list(accumulate(stays, lambda start, stay: max(start, stay.load_ended), initial=0))[1:]
    for number in range(1, len(started)):
        started[number] = max(started[number], stays[number - 1].tile_ended)
    faults = []
    for cycle in sorted({stay.load_requested for stay in stays} | set(started)):
        held = sum(stay.load_bytes for stay in stays if stay.load_requested <= cycle < stay.tile_ended)
        outputs = [
            stay.output_bytes
            for start, stay in zip(started, stays, strict=True)
            if start <= cycle < max(stay.tile_ended, stay.write_back_ended)
        ]
        held += max(outputs, default=0) if is_cut else sum(outputs)
        if capacity_bytes is not None and held > capacity_bytes:
            faults.append(f"{held} bytes are in the buffer at cycle {cycle}, it holds {capacity_bytes}")
    return faults


def check_reads(table: TaskTable, work: Work, tiles: list[Tile], stays: list[Stay], log: ExecutionLog) -> list[str]:
    """Find bursts that read rows which no load brought in, or outside the stay of their tile."""
    assert table.traffic is not None
    bursts = explain_bursts(table, work, tiles)
    there = [bring_in(list_rows(work, tile), stay.load_bytes) for tile, stay in zip(tiles, stays, strict=True)]
    sequences: dict[int, list[int]] = defaultdict(list)
    for group, entry in log.handed:
        sequences[group] += range(*(int(place) for place in table.traffic.burst_first[entry : entry + 2]))
    faults, read_bursts, has_pieces = [], set(), isinstance(work, LinearWork)
    for read in log.reads:
        number = sequences[read.group][read.number]
        read_bursts.add(number)
        burst = bursts[number]
        stay = stays[burst.tile]
        name = f"burst {number}"
        if read.requested < stay.load_ended:
            faults.append(f"{name} reads at cycle {read.requested}, tile {burst.tile} is loaded at {stay.load_ended}")
        if read.arrived > stay.tile_ended:
            faults.append(f"{name} arrives at cycle {read.arrived}, tile {burst.tile} is evicted at {stay.tile_ended}")
        if read.size_bytes != burst.size_bytes:
            faults.append(f"{name} reads {read.size_bytes} bytes, its rows are {burst.size_bytes}")
        missing = (row for row in burst.rows if not holds(there[burst.tile], row, has_pieces))
        faults += [f"{name} reads {row}, which no load brought in" for row in missing]
    unread = {number for number, burst in enumerate(bursts) if burst.size_bytes} - read_bursts
    return faults + [f"burst {number} was never read" for number in sorted(unread)]


def bring_in(rows: Rows, load_bytes: int) -> set[Row]:
    """Give the rows that a load brings in: row after row, as far as its bytes go."""
    ends = accumulate(rows.values())
    return {row for row, end in zip(rows, ends, strict=True) if end <= load_bytes}


def holds(there: set[Row], row: Row, has_pieces: bool) -> bool:
    """Say whether a row is there, or, where rows are cut into pieces, a longer piece than the one that is read."""
    if row in there:
        return True
    if not has_pieces or row[0] == "mask":
        return False
    name, at, start, end = row
    pieces = [other for other in there if other[:2] == (name, at)]
    return any(piece[2] <= start and end <= piece[3] for piece in pieces)


@dataclass(frozen=True, slots=True)
class ListedBurst:
    """A burst as it is listed apart from the simulator: its tile, its bytes, the rows it reads."""

    tile: int
    size_bytes: int
    rows: Rows


def explain_bursts(table: TaskTable, work: Work, tiles: list[Tile]) -> list[ListedBurst]:
    """List the bursts of all tasks of all tiles, in the traffic's order."""
    assert table.traffic is not None
    bursts: list[ListedBurst] = []
    places = [(number, tile, tile.place(at)) for number, tile in enumerate(tiles) for at in tile.tasks]
    for entry, (number, tile, index) in enumerate(places):
        assert table.traffic.burst_first[entry] == len(bursts)
        bursts += list_bursts(work, index, tile, number)
    assert table.traffic.burst_first[-1] == len(bursts)
    return bursts


def list_bursts(work: Work, index: tuple[int, ...], tile: Tile, number: int) -> list[ListedBurst]:
    """List a task's bursts: whole items in order, as many as fit a half; a segment reads of all rows of its item."""
    store = work.machine.operand_store_bytes
    half = sys.maxsize if store is None else store // 2
    bursts: list[ListedBurst] = []
    gathered: Rows | None = None
    for item in work.list_items(index, tile.reduction):
        size = sum(item.rows.values())
        if size > half:
            share = divide_up(size, divide_up(size, half))
            bursts += [ListedBurst(number, min(share, size - at), item.rows) for at in range(0, size, share)]
            gathered = None
            continue
        together = (gathered or {}) | item.rows
        if gathered is not None and sum(together.values()) <= half:
            bursts.pop()
        else:
            together = item.rows
        gathered = together
        bursts.append(ListedBurst(number, sum(gathered.values()), gathered))
    if bursts and work.has_mask and work.machine.skip_zeros:
        mask_bytes = work.size_mask(index)
        masked = {**bursts[0].rows, ("mask", *name_mask(work, index)): mask_bytes}
        bursts[0] = ListedBurst(number, bursts[0].size_bytes + mask_bytes, masked)
    return bursts


def name_mask(work: Work, index: tuple[int, ...]) -> tuple[int, ...]:
    """Give the place of a task's mask rows in the listing of its tile."""
    return index[:1] if isinstance(work, LinearWork) else index
