"""Stored sizes of rows and of pieces of rows (section 5 of the machine's definition), for numpy and for kernels.

A format says three things of a row of some width: the bits that every row has, those of each nonzero, and the bytes of
its pointer. From these one formula gives its size.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar, assert_never

import numpy as np

from dataflows.contract.memory import MemoryShare, RowFormat
from workloads.arrays import IntArray
from workloads.kernel import kernel

Amount = TypeVar("Amount", int, IntArray)
# A compressed tensor has a row pointer of two bytes for each row.
POINTER_BYTES = 2
# The order in which equally small formats are preferred.
PREFERENCE = (RowFormat.RAW, RowFormat.BITMASK, RowFormat.OFFSET)


class RowCode(NamedTuple):
    """How rows are stored, int64 in the shape of their widths; kernels take them in this order."""

    header_bits: IntArray
    nonzero_bits: IntArray
    pointer_bytes: IntArray


def count_index_bits(values: int | IntArray) -> IntArray:
    """Count the bits that tell so many values apart: ceil(log2(values)), exactly."""
    return np.frexp(np.maximum(np.asarray(values, dtype=np.int64) - 1, 0).astype(np.float64))[1].astype(np.int64)


def encode_widths(width: int | IntArray, row_format: RowFormat, data_bits: int) -> RowCode:
    """Say how rows of these widths are stored."""
    width = np.asarray(width, dtype=np.int64)
    none = np.zeros_like(width)
    if row_format is RowFormat.RAW:
        return RowCode(width * data_bits, none, none)
    if row_format is RowFormat.BITMASK:
        return RowCode(width, none + data_bits, none + POINTER_BYTES)
    if row_format is RowFormat.OFFSET:
        index_bits = np.maximum(1, count_index_bits(width))
        return RowCode(count_index_bits(width + 1), data_bits + index_bits, none + POINTER_BYTES)
    assert_never(row_format)


def tabulate_code(width: int, row_format: RowFormat, data_bits: int) -> IntArray:
    """Say how every piece of a row is stored, for `size_piece`: int64 ``(width + 1, 3)``, by the piece's width."""
    code = encode_widths(np.arange(width + 1), row_format, data_bits)
    table: IntArray = np.ascontiguousarray(np.stack(code, axis=1), dtype=np.int64)
    return table


@kernel
def size_encoded(nonzeros: Amount, header_bits: Amount, nonzero_bits: Amount, pointer_bytes: Amount) -> Amount:
    """Give the bytes of a row, rounded up, and of its pointer."""
    row_bits: Amount = header_bits + nonzeros * nonzero_bits
    size_bytes: Amount = pointer_bytes - (-row_bits // 8)
    return size_bytes


@kernel
def size_piece(nonzeros: int, width: int, code: IntArray) -> int:
    """Give the stored bytes of a piece of a row, its pointer included.

    Args:
        code: Of `tabulate_code`.
    """
    return int(size_encoded(nonzeros, int(code[width, 0]), int(code[width, 1]), int(code[width, 2])))


@kernel
def sum_pieces(running: IntArray, code: IntArray, first: int, end: int, low: int, high: int) -> int:
    """Give the stored bytes of the pieces, from element `low` to `high`, of the rows from `first` to `end`.

    Args:
        running: ``(rows, width + 1)``; running counts of each row's nonzeros.
        code: Of `tabulate_code`.
    """
    total = 0
    for row in range(first, end):
        total += size_piece(running[row, high] - running[row, low], high - low, code)
    return total


def size_rows(nonzeros: IntArray, width: int | IntArray, row_format: RowFormat, data_bits: int) -> IntArray:
    """Give the bytes of rows of `width` elements with so many nonzeros, pointers of compressed rows included."""
    code = encode_widths(width, row_format, data_bits)
    # Numpy's arrays take the same formula as it stands, not compiled.
    return np.asarray(size_encoded.function(nonzeros, *code), dtype=np.int64)


def choose_format(nonzeros: IntArray, width: int, memory: MemoryShare) -> RowFormat:
    """Choose the format of a sparse tensor from the nonzeros of its rows: the one asked for, else the smallest."""
    if memory.sparse_format is not None:
        return memory.sparse_format
    return min(PREFERENCE, key=lambda row_format: int(size_rows(nonzeros, width, row_format, memory.data_bits).sum()))


def size_raw(elements: int, bits: int) -> int:
    """Give the bytes of a raw row."""
    return -(-elements * bits // 8)
