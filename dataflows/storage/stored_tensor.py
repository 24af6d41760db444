"""How a tensor is stored, whichever it is: rows along its last axis, all of them in one format."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare, RowFormat
from dataflows.storage.row_sizes import choose_format, size_rows, tabulate_code
from workloads.arrays import BoolArray, IntArray


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor as it is stored: nonzeros of each row, int64 in the shape of the axes before the last, and its width.

    Attributes:
        is_moved: Whether tiles move it from or to DRAM; what stays in the buffer has no bytes there.
    """

    nonzeros: IntArray
    width: int
    row_format: RowFormat
    data_bits: int
    is_moved: bool = field(default=True, kw_only=True)

    @cached_property
    def row_bytes(self) -> IntArray:
        """Stored bytes of each row, pointers included, int64 in the shape of `nonzeros`."""
        return self.is_moved * size_rows(self.nonzeros, self.width, self.row_format, self.data_bits)

    def stay(self, *, stays: bool = True) -> Self:
        """Give the tensor as tiles move it: not at all, if it stays in the buffer."""
        return dataclasses.replace(self, is_moved=False) if stays else self

    def lie_raw(self, *, is_raw: bool = True) -> Self:
        """Give the tensor as it lies in the buffer, if it lies there raw."""
        return dataclasses.replace(self, row_format=RowFormat.RAW) if is_raw else self

    def count_rows(self) -> StoredTensor:
        """Give the tensor as it would be if each of its rows took one byte, so that sums of bytes count rows."""
        return StoredTensor(np.zeros_like(self.nonzeros), 1, RowFormat.RAW, 8, is_moved=self.is_moved)

    def repeat(self, images: IntArray) -> Self:
        """Give the tensor of a batch in which each of these images stands where it is named."""
        return dataclasses.replace(self, nonzeros=self.nonzeros[images])


@dataclass(frozen=True, eq=False)
class StoredVectors(StoredTensor):
    """Rows of a fully connected tensor, one for each image, which may be stored in pieces.

    Attributes:
        running: Running counts of nonzeros, int64 ``(N, width + 1)``.
    """

    running: IntArray

    @cached_property
    def code(self) -> IntArray:
        """How pieces of these rows are stored, ``(width + 1, 3)``, as kernels take it."""
        return self.is_moved * tabulate_code(self.width, self.row_format, self.data_bits)

    def repeat(self, images: IntArray) -> Self:
        """Give the vectors of a batch in which each of these images stands where it is named."""
        return dataclasses.replace(self, nonzeros=self.nonzeros[images], running=self.running[images])

    def count(self, low: int | IntArray, high: int | IntArray) -> IntArray:
        """Count nonzeros of pieces of every row: ``(N, pieces)``."""
        return self.running[:, high] - self.running[:, low]

    def size(self, low: IntArray, high: IntArray) -> IntArray:
        """Give the stored bytes of pieces of every row: ``(N, pieces)``."""
        return self.is_moved * size_rows(self.count(low, high), high - low, self.row_format, self.data_bits)


def store_tensor(
    tensor: NDArray[Any], array: PEArray, memory: MemoryShare, row_format: RowFormat | None = None
) -> StoredTensor:
    """Store a tensor, or where it is nonzero: in the format that is given, else the best for it.

    A machine that skips nothing stores every tensor raw.
    """
    nonzeros, width = np.count_nonzero(tensor, axis=-1).astype(np.int64), tensor.shape[-1]
    if row_format is None:
        row_format = choose_format(nonzeros, width, memory) if array.skip_zeros else RowFormat.RAW
    return StoredTensor(nonzeros, width, row_format, memory.data_bits)


def store_vectors(
    present: BoolArray, array: PEArray, memory: MemoryShare, row_format: RowFormat | None = None
) -> StoredVectors:
    """Store a tensor ``(N, width)`` by the same rule, so that its rows can be cut."""
    stored = store_tensor(present, array, memory, row_format)
    running = np.pad(present, [(0, 0), (1, 0)]).cumsum(axis=1).astype(np.int64)
    return StoredVectors(stored.nonzeros, stored.width, stored.row_format, stored.data_bits, running)


def stack_vectors(tensors: tuple[StoredVectors, ...], images: int, width: int) -> tuple[IntArray, IntArray]:
    """Stack tensors for kernels: running counts ``(tensors, N, width + 1)``, codes ``(tensors, width + 1, 3)``."""
    running = np.array([tensor.running for tensor in tensors], dtype=np.int64).reshape(-1, images, width + 1)
    codes = np.array([tensor.code for tensor in tensors], dtype=np.int64).reshape(-1, width + 1, 3)
    return running, codes
