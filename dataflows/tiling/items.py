"""Operand bursts of entries whose items are rows of their own.

An item is what all PEs of a group do with one set of loop indices: a driver row, and a second row for each PE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dataflows.contract.memory import MemoryShare
from dataflows.tiling.bursts import UNLIMITED_BYTES, pack_rows
from dataflows.tiling.drivers import make_drivers
from dataflows.tiling.traffic import Bursts
from workloads.arrays import IntArray


def divide_up(amount: IntArray, share: int) -> IntArray:
    """Divide, rounding up."""
    return -(-amount // share)


ItemRows = Callable[[int], tuple[IntArray, IntArray, IntArray]]


@dataclass(frozen=True, eq=False)
class ItemEntries:
    """The items of each entry, ``(entries,)``.

    Attributes:
        first: Its first output and the PEs that own one.
        pes: Its first output and the PEs that own one.
        low: Its items.
        high: Its items.
        mask_bytes: Of the mask it fetches.
    """

    first: IntArray
    pes: IntArray
    low: IntArray
    high: IntArray
    mask_bytes: IntArray


def pack_items(
    runs: list[IntArray], item_rows: ItemRows, entries: ItemEntries, outputs: int, width: int, memory: MemoryShare
) -> Bursts:
    """Pack the entries of every image (or filter) in turn: counted first, then filled.

    Args:
        item_rows: Driver bytes ``(1, items, 1)``, second bytes and cycles ``(outputs, items, 1)`` of a run of entries.
    """
    half = memory.half_store_bytes or UNLIMITED_BYTES
    counts = np.zeros(len(entries.first), dtype=np.int64)
    burst_first = np.zeros(len(entries.first) + 1, dtype=np.int64)
    burst_bytes, burst_cycles = np.zeros(0, dtype=np.int64), np.zeros((0, width), dtype=np.int64)
    store_writes, told = np.zeros(len(entries.first), dtype=np.int64), make_drivers(0, is_told=False)
    for fills in (False, True):
        for number, run in enumerate(runs):
            drivers, second, cycles = (np.ascontiguousarray(rows) for rows in item_rows(number))
            pack_rows(
                run, entries.first, entries.pes, entries.low, entries.high, outputs, drivers, second, cycles,
                entries.mask_bytes, half, memory.data_bits, fills, counts, burst_first, burst_bytes, burst_cycles,
                store_writes, np.zeros(width, dtype=np.int64), number, told,
            )  # fmt: skip
        if not fills:
            burst_first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            burst_bytes = np.zeros(burst_first[-1], dtype=np.int64)
            burst_cycles = np.zeros((burst_first[-1], width), dtype=np.int64)
            told = make_drivers(int(burst_first[-1]), memory.shares_reads)
    return Bursts(burst_first, burst_bytes, burst_cycles, store_writes, told if memory.shares_reads else None)
