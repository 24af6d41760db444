"""Rows of a fully connected tensor, which are stored in pieces."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare, RowFormat
from dataflows.storage.row_sizes import choose_format, size_rows, tabulate_code
from workloads.arrays import IntArray


@dataclass(frozen=True, eq=False)
class StoredVectors:
    """Rows of a fully connected tensor, one for each image, and how pieces of them are stored.

    running: running counts of nonzeros, int64 ``(N, width + 1)``.
    """

    running: IntArray
    form: RowFormat
    data_bits: int

    @property
    def code(self) -> IntArray:
        """How pieces of these rows are stored, ``(width + 1, 3)``, as kernels take it."""
        return tabulate_code(self.running.shape[1] - 1, self.form, self.data_bits)

    def repeat(self, images: IntArray) -> StoredVectors:
        """Give the vectors of a batch in which each of these images stands where it is named."""
        return dataclasses.replace(self, running=self.running[images])

    def count(self, low: int | IntArray, high: int | IntArray) -> IntArray:
        """Count nonzeros of pieces of every row: ``(N, pieces)``."""
        return self.running[:, high] - self.running[:, low]

    def size(self, low: IntArray, high: IntArray) -> IntArray:
        """Give the stored bytes of pieces of every row: ``(N, pieces)``."""
        return size_rows(self.count(low, high), high - low, self.form, self.data_bits)


def store_vectors(
    present: NDArray[np.bool_], array: PEArray, memory: MemoryShare, form: RowFormat | None = None
) -> StoredVectors:
    """Choose the format of a tensor ``(N, width)``, unless it is given, and count along its rows."""
    if form is None:
        nonzeros = present.sum(axis=1).astype(np.int64)
        form = choose_format(nonzeros, present.shape[1], memory) if array.skip_zeros else RowFormat.RAW
    running = np.pad(present, [(0, 0), (1, 0)]).cumsum(axis=1).astype(np.int64)
    return StoredVectors(running, form, memory.data_bits)
