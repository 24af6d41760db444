"""Stored sizes of rows (section 5 of the machine's definition)."""

from __future__ import annotations

from typing import assert_never

import numpy as np

from dataflows.contract.memory import MemoryShare, RowFormat
from workloads.arrays import IntArray

# A compressed tensor has a row pointer of two bytes for each row.
POINTER_BYTES = 2
# The order in which equally small formats are preferred.
PREFERENCE = (RowFormat.RAW, RowFormat.BITMASK, RowFormat.OFFSET)


def count_index_bits(values: int | IntArray) -> IntArray:
    """Count the bits that tell so many values apart: ceil(log2(values)), exactly."""
    return np.frexp(np.maximum(np.asarray(values, dtype=np.int64) - 1, 0).astype(np.float64))[1].astype(np.int64)


def size_rows(nonzeros: IntArray, width: int | IntArray, form: RowFormat, data_bits: int) -> IntArray:
    """Give the bytes of rows of `width` elements with so many nonzeros, pointers of compressed rows included."""
    width = np.asarray(width, dtype=np.int64)
    if form is RowFormat.RAW:
        return np.broadcast_to(-(-width * data_bits // 8), nonzeros.shape).astype(np.int64)
    if form is RowFormat.BITMASK:
        bits = width + nonzeros * data_bits
    elif form is RowFormat.OFFSET:
        bits = count_index_bits(width + 1) + nonzeros * (data_bits + np.maximum(1, count_index_bits(width)))
    else:
        assert_never(form)
    return POINTER_BYTES - (-bits // 8)


def choose_format(nonzeros: IntArray, width: int, memory: MemoryShare) -> RowFormat:
    """Choose the format of a sparse tensor from the nonzeros of its rows: the one asked for, else the smallest."""
    if memory.sparse_format is not None:
        return memory.sparse_format
    return min(PREFERENCE, key=lambda form: int(size_rows(nonzeros, width, form, memory.data_bits).sum()))


def size_raw(elements: int, bits: int) -> int:
    """Give the bytes of a raw row."""
    return -(-elements * bits // 8)
