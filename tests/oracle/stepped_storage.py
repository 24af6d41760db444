"""Size stored rows: raw, offset and bitmask, with the pointer of 2 bytes that a compressed row has.

Choices where the definition of the machine leaves room:

S1. `auto` compares whole tensors: all rows at their full width, pointers counted. The format so found also holds for
    pieces of fully connected rows; each piece is sized as a row of its own width with its own pointer.
S2. A forced sparse_format holds for input, grad_output, the written output and pruned weights. The dense machine
    stores everything raw.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from oracle.stepped_records import Machine, divide_up

POINTER_BYTES = 2


def count_index_bits(values: int) -> int:
    """Return the bits that tell this many values apart, ceil(log2 values)."""
    return (values - 1).bit_length()


def size_row(row: NDArray[np.generic], row_format: str, data_bits: int) -> int:
    """Return the bytes of a stored row, its pointer included if it is compressed."""
    width, nonzeros = row.size, int(np.count_nonzero(row))
    if row_format == "raw":
        return divide_up(width * data_bits, 8)
    if row_format == "bitmask":
        return POINTER_BYTES + divide_up(width + nonzeros * data_bits, 8)
    if row_format == "offset":
        index_bits = max(1, count_index_bits(width))
        return POINTER_BYTES + divide_up(count_index_bits(width + 1) + nonzeros * (data_bits + index_bits), 8)
    raise ValueError(f"row_format is {row_format!r}; allowed are raw, bitmask and offset.")


def size_tensor(tensor: NDArray[np.generic], row_format: str, data_bits: int) -> int:
    """Return the bytes of all rows of a tensor; its last axis runs along a row."""
    return sum(size_row(row, row_format, data_bits) for row in tensor.reshape(-1, tensor.shape[-1]))


def choose_format(tensor: NDArray[np.generic], machine: Machine) -> str:
    """Return the format of a sparse tensor: the machine's, or for `auto` the smallest (ties: raw, bitmask, offset)."""
    if not machine.skip_zeros:
        return "raw"
    if machine.sparse_format != "auto":
        return machine.sparse_format
    formats = ("raw", "bitmask", "offset")
    return min(formats, key=lambda row_format: size_tensor(tensor, row_format, machine.data_bits))
