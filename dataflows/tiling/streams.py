"""Where what tiles move lies in its tensors: runs of bytes of the right size, which begin where their rows begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dataflows.contract.entries import Entries
from dataflows.contract.memory import TileStreams
from dataflows.storage.stored_tensor import StoredVectors
from workloads.arrays import IntArray


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor in DRAM: its stored bytes, and its rows, or its elements where rows are moved in pieces."""

    size_bytes: int
    rows: int


def place_vectors(tensor: StoredVectors) -> Placed:
    """Place a fully connected tensor, by elements."""
    return Placed(int(tensor.row_bytes.sum()), tensor.nonzeros.size * tensor.width)


@dataclass(frozen=True, eq=False)
class TileLoads:
    """What tiles load of each tensor, and from which row on; a zero where they do not.

    Attributes:
        tensors: Those that are loaded, then the one that is written.
        size_bytes: ``(tiles)`` lists of the bytes of each tensor that is loaded.
        first_rows: ``(tiles, tensors)`` or as many lists; the first row of each tensor, the written one's too.
    """

    tensors: Sequence[Placed]
    size_bytes: Sequence[Sequence[int]]
    first_rows: Sequence[Sequence[int]] | IntArray

    @property
    def total(self) -> IntArray:
        """What each tile loads, ``(tiles,)``."""
        return np.array([sum(sizes) for sizes in self.size_bytes], dtype=np.int64)


def find_starts(entries: Entries, axes: Sequence[int]) -> IntArray:
    """Give where the runs of each tile begin along some axes, ``(axes, tiles)``."""
    starts = [[tile[axis].start for axis in axes] for tile in entries.tiles]
    return np.array(starts, dtype=np.int64).reshape(-1, len(axes)).T


def place_streams(loads: TileLoads, load_bytes: IntArray, write_back_bytes: IntArray) -> TileStreams:
    """Place the transfers of tiles in their tensors, as if all rows of a tensor were equally long.

    What tiles load besides those tensors is a tensor of its own, read from its beginning to its end.
    """
    loaded = np.array(loads.size_bytes, dtype=np.int64).reshape(len(load_bytes), len(loads.tensors) - 1)
    besides = load_bytes - loaded.sum(axis=1)
    sizes = np.column_stack([loaded, write_back_bytes])
    total = np.array([one.size_bytes for one in loads.tensors], dtype=np.int64)
    rows = np.array([max(1, one.rows) for one in loads.tensors], dtype=np.int64)
    row = np.array(loads.first_rows, dtype=np.int64).reshape(sizes.shape)
    # floor(total row / rows) without the product, which may be too large.
    first = total // rows * row + total % rows * row // rows
    total = np.maximum(total, sizes.max(axis=0, initial=0))
    first = np.minimum(first, total - sizes)
    place = sizes.shape[1] - 1
    return TileStreams(
        tensor_bytes=np.insert(total, place, besides.sum()),
        first_bytes=np.insert(first, place, np.cumsum(besides) - besides, axis=1),
        size_bytes=np.insert(sizes, place, besides, axis=1),
    )
