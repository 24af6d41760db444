"""The bits that say which stored rows hold something (section 11 of the machine's definition), as tiles move them.

The sequencer that forms bursts reads them ahead and keeps them: they take no room in the buffer, and tilings are chosen
without them.
"""

from __future__ import annotations

import numpy as np

from dataflows.contract.array import PEArray
from workloads.arrays import IntArray


def size_bits(array: PEArray, rows: list[int]) -> int:
    """Give the bytes of the bits that a tile moves with so many rows of each of some tensors."""
    return sum(-(-count // 8) for count in rows) if array.passes_empty_rows else 0


def pair_bits(loaded: list[int], written: list[int]) -> tuple[IntArray, IntArray]:
    """Give what each tile loads and writes back of such bits, ``(tiles,)`` both."""
    return np.array(loaded, dtype=np.int64), np.array(written, dtype=np.int64)
