"""Stored sizes of pieces of rows, for kernels."""

from __future__ import annotations

from dataflows.contract.kernel import kernel
from dataflows.tiling.search import divide_up

RAW, BITMASK, OFFSET = 0, 1, 2


@kernel
def count_bits(values: int) -> int:
    """Count the bits that tell so many values apart."""
    bits = 0
    while (1 << bits) < values:
        bits += 1
    return bits


@kernel
def size_piece(nonzeros: int, width: int, form: int, data_bits: int) -> int:
    """Give the stored bytes of a piece of a row, its pointer included."""
    if form == RAW:
        return int(divide_up(width * data_bits, 8))
    if form == BITMASK:
        return 2 + int(divide_up(width + nonzeros * data_bits, 8))
    return 2 + int(divide_up(count_bits(width + 1) + nonzeros * (data_bits + max(1, count_bits(width))), 8))
