"""What the arrays of a traffic owe one another, their tasks and the memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from dataflows.contract.entries import sum_spans
from dataflows.contract.memory import MemoryShare, TileStreams, Traffic
from dataflows.contract.tasks import TaskTable
from workloads.arrays import IntArray

# Not part of what is moved, and named by a plan otherwise than by a whole step; streams have laws of their own.
WORDS = ("footprint_bytes", "tiling", "streams")
# Told where groups may share reads, or where tensors stay in the buffer.
DRIVERS = ("driver_bytes", "driver_rows")
OPTIONAL = (*DRIVERS, "kept_load_bytes", "kept_result_bytes")


def check_traffic(table: TaskTable, pes: int, share: MemoryShare, *, masked: bool) -> Iterator[str]:
    """Give the laws that a table's traffic breaks on a machine with groups of `pes` PEs.

    Args:
        masked: The first burst of an entry may carry mask rows too, which have a place of their own beside the halves.
    """
    traffic = table.traffic
    assert traffic is not None
    entries, bursts = len(traffic.pes), len(traffic.burst_bytes)
    malformed = list(check_form(traffic, entries, bursts, pes))
    yield from malformed
    dispatch = np.arange(len(table)) if table.dispatch is None else table.dispatch
    if malformed or not check_range(dispatch, len(table)):
        if not malformed:
            yield f"dispatch names tasks outside 0 to {len(table) - 1}"
        return
    if len(np.unique(dispatch)) != len(table):
        yield f"{len(table) - len(np.unique(dispatch))} of {len(table)} tasks are never dispatched"
    tiles = np.repeat(np.arange(len(traffic.tile_load_bytes)), np.diff(traffic.tile_first))
    if len({*zip(tiles.tolist(), dispatch.tolist(), strict=True)}) != entries:
        yield "a task is dispatched twice in a tile"
    pe_cycles = np.zeros_like(table.pe_cycles)
    np.add.at(pe_cycles, dispatch, sum_spans(traffic.burst_cycles, traffic.burst_first))
    if not np.array_equal(pe_cycles, table.pe_cycles):
        yield "the cycles of the bursts do not sum to pe_cycles"
    half = share.half_store_bytes
    first = traffic.burst_first[:-1][np.diff(traffic.burst_first) > 0]
    held = np.delete(traffic.burst_bytes, first) if masked else traffic.burst_bytes
    if half is not None and held.max(initial=0) > half:
        yield f"a burst has {held.max()} bytes, half an operand store {half}"
    if share.shares_reads:
        yield from check_drivers(traffic, tiles)
    if share.capacity_bytes is not None and traffic.footprint_bytes > share.capacity_bytes:
        yield f"the footprint is {traffic.footprint_bytes} bytes, the buffer has {share.capacity_bytes}"


def check_drivers(traffic: Traffic, tiles: IntArray) -> Iterator[str]:
    """Give the laws that what is told of the driver rows breaks.

    Args:
        tiles: Of each entry.
    """
    sizes, rows = traffic.driver_bytes, traffic.driver_rows
    if sizes is None or rows is None:
        yield "groups may share reads, but the driver rows of the bursts are not told"
        return
    if (sizes > traffic.burst_bytes).any():
        yield "a burst has fewer bytes than its driver rows"
    kinds = np.stack([np.repeat(tiles, np.diff(traffic.burst_first)), rows, sizes])[:, sizes > 0]
    if np.unique(kinds, axis=1).shape != (3, np.unique(kinds[:2], axis=1).shape[1]):
        yield "bursts of a tile fetch the same driver rows in different numbers of bytes"


def check_form(traffic: Traffic, entries: int, bursts: int, pes: int) -> Iterator[str]:
    """Give the arrays of a traffic that have another shape than it should be, or hold what none may."""
    tiles = len(traffic.tile_load_bytes)
    shapes = {
        "tile_first": (tiles + 1,), "tile_write_back_bytes": (tiles,), "burst_first": (entries + 1,),
        "burst_cycles": (bursts, pes), "ppu_read_bytes": (entries,), "ppu_elements": (entries,),
        "ppu_write_bytes": (entries,), "store_writes": (entries,), "driver_bytes": (bursts,), "driver_rows": (bursts,),
        "kept_load_bytes": (tiles,), "kept_result_bytes": (tiles,),
    }  # fmt: skip
    for item in dataclasses.fields(traffic):
        values = getattr(traffic, item.name)
        if item.name in WORDS or (item.name in OPTIONAL and values is None):
            continue
        if values.dtype != np.int64 or values.shape != shapes.get(item.name, values.shape):
            yield f"{item.name} is {values.dtype} {values.shape}, not int64 {shapes.get(item.name, values.shape)}"
        elif values.min(initial=0) < 0:
            yield f"{item.name} has a negative value"
    for name, end in (("tile_first", entries), ("burst_first", bursts)):
        edges = getattr(traffic, name)
        if not len(edges) or edges[0] != 0 or edges[-1] != end or (np.diff(edges) < 0).any():
            yield f"{name} does not run from 0 up to {end}"
    if traffic.streams is not None:
        yield from check_streams(traffic, traffic.streams)
    if traffic.pes.max(initial=0) > pes:
        yield f"an entry has {traffic.pes.max()} PEs with an output, a group has {pes}"


def check_streams(traffic: Traffic, streams: TileStreams) -> Iterator[str]:
    """Give the laws that the places of transfers break."""
    tiles, tensors = len(traffic.tile_load_bytes), len(streams.tensor_bytes)
    first, size = streams.first_bytes, streams.size_bytes
    for name, values, shape in (
        ("tensor_bytes", streams.tensor_bytes, (tensors,)), ("first_bytes", first, (tiles, tensors)),
        ("size_bytes", size, (tiles, tensors)),
    ):  # fmt: skip
        if values.dtype != np.int64 or values.shape != shape:
            yield f"streams.{name} is {values.dtype} {values.shape}, not int64 {shape}"
            return
        if values.min(initial=0) < 0:
            yield f"streams.{name} has a negative value"
    if (first + size > streams.tensor_bytes).any():
        yield "a transfer ends behind its tensor"
    if not np.array_equal(size[:, :-1].sum(axis=1), traffic.tile_load_bytes):
        yield "what tiles load of their tensors does not sum to tile_load_bytes"
    if not np.array_equal(size[:, -1], traffic.tile_write_back_bytes):
        yield "what tiles write of the last tensor is not tile_write_back_bytes"


def check_range(dispatch: IntArray, tasks: int) -> bool:
    """Tell whether every entry names a task that is there."""
    return not len(dispatch) or (int(dispatch.min()) >= 0 and int(dispatch.max()) < tasks)


def list_unequal(first: Traffic, second: Traffic) -> list[str]:
    """Name the arrays in which two traffics differ."""
    names = [item.name for item in dataclasses.fields(Traffic) if item.name not in WORDS]
    return [name for name in names if not np.array_equal(getattr(first, name), getattr(second, name))]
