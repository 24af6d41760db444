"""Tiles as run lengths, and the dispatch entries that they make of tasks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import MemoryShare
from workloads.arrays import BoolArray, IntArray


@dataclass(frozen=True, eq=False)
class Entries:
    """Dispatch entries: every task of every tile, in order, once for each part of a cut reduction.

    Attributes:
        places: int64 ``(entries, task indices)``.
        low: int64 ``(entries, reduction indices)``, the part's range.
        high: int64 ``(entries, reduction indices)``, the part's range.
        is_first: bool ``(entries,)``.
        is_last: bool ``(entries,)``.
        tile_first: int64 ``(tiles + 1,)``.
        tiles: The index ranges of each tile, task indices before reduction indices.
    """

    places: IntArray
    low: IntArray
    high: IntArray
    is_first: NDArray[np.bool_]
    is_last: NDArray[np.bool_]
    tile_first: IntArray
    tiles: tuple[tuple[range, ...], ...]

    def task_numbers(self, limits: tuple[int, ...]) -> IntArray:
        """Give the number of each entry's task, the last index fastest."""
        # In place, for a cut reduction makes millions of entries.
        numbers: IntArray = self.places[:, 0].copy()
        for index, limit in enumerate(limits[1:], start=1):
            numbers *= limit
            numbers += self.places[:, index]
        return numbers


def cut_runs(limit: int, size: int) -> list[range]:
    """Cut the values of an index into runs, the last one short."""
    return [range(start, min(limit, start + size)) for start in range(0, limit, size)]


# Entries whose running sums are held at once where there may be millions.
SUMMED_ENTRIES = 2**18


def sum_spans(values: IntArray, edges: IntArray) -> IntArray:
    """Sum values along their first axis between neighbouring edges, ``(spans + 1,)``: int64 ``(spans, ...)``."""
    running = np.zeros((len(values) + 1, *values.shape[1:]), dtype=np.int64)
    np.cumsum(values, axis=0, out=running[1:])
    sums: IntArray = running[edges[1:]] - running[edges[:-1]]
    return sums


def list_entries(task_limits: tuple[int, ...], cut_limits: tuple[int, ...], sizes: tuple[int, ...]) -> Entries:
    """List the dispatch entries of a tiling: tiles in the order of the task indices, parts of a reduction within."""
    runs = [cut_runs(limit, size) for limit, size in zip((*task_limits, *cut_limits), sizes, strict=True)]
    indices = len(task_limits)
    parts = list(itertools.product(*runs[indices:]))
    tiles = [(*tile, *part) for tile in itertools.product(*runs[:indices]) for part in parts]
    number = np.arange(len(tiles)) % len(parts)
    return fill_tiles(tiles, indices, number == 0, number == len(parts) - 1)


def fill_tiles(
    tiles: Sequence[tuple[range, ...]], indices: int, is_first: Sequence[bool] | BoolArray,
    is_last: Sequence[bool] | BoolArray,
) -> Entries:  # fmt: skip
    """List the dispatch entries of tiles, whose flags tell the first and the last parts of their reductions."""
    starts = np.array([[run.start for run in tile] for tile in tiles], dtype=np.int64)
    ends = np.array([[run.stop for run in tile] for tile in tiles], dtype=np.int64)
    lengths = (ends - starts)[:, :indices]
    tile_first = np.append(0, np.cumsum(lengths.prod(axis=1))).astype(np.int64)
    tile_of = np.repeat(np.arange(len(tiles)), np.diff(tile_first))
    within = np.arange(tile_first[-1]) - tile_first[tile_of]
    places = np.empty((len(within), indices), dtype=np.int64)
    for index in range(indices - 1, -1, -1):
        within, offset = np.divmod(within, lengths[tile_of, index])
        places[:, index] = starts[tile_of, index] + offset
    first, last = np.array(is_first, dtype=np.bool_), np.array(is_last, dtype=np.bool_)
    return Entries(
        places, starts[tile_of, indices:], ends[tile_of, indices:], first[tile_of], last[tile_of], tile_first,
        tuple(tiles),
    )  # fmt: skip


def require_tiling(layer: str, step: str, sizes: IntArray, needed_bytes: int, memory: MemoryShare) -> None:
    """Refuse a layer for which no tiling fits the buffer.

    Raises:
        UnmappableLayerError: names the layer, the bytes of its smallest tiling and the bytes there.
    """
    if not sizes.all():
        raise UnmappableLayerError(
            f"layer '{layer}', step {step}: no tiling fits the global buffer; the smallest needs {needed_bytes} bytes, "
            f"{memory.describe_capacity()}"
        )
