"""What the searches for a tiling share: every run length of every index is tried, and the best that fits is taken.

The best has the fewest tiles among those whose DRAM bytes are at most 33/32 of the least that fit, then the least DRAM
bytes, then the longest runs, compared index by index, task indices before reduction indices. So a search tries all run
lengths twice: first for the least bytes, then for the best. A tiling whose average tile is too large is passed over
unmeasured. All searches return the run lengths found (0 where none fits) and the buffer bytes which that tiling needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from workloads.arrays import IntArray
from workloads.kernel import kernel

UNLIMITED = 2**62
# Bytes alone may cost a factor of two in cycles: many small tiles leave groups idle at their ends.
ALLOWED_NUMERATOR, ALLOWED_DENOMINATOR = 33, 32


class Found(NamedTuple):
    """The best tiling of a step.

    Attributes:
        sizes: Its run lengths, 0 where none fits.
        needed_bytes: Of the buffer.
        moved_bytes: Of DRAM, loads and write-backs.
    """

    sizes: IntArray
    needed_bytes: int
    moved_bytes: int


def find_best(sizes: IntArray, attempt: Callable[[int], tuple[int, int]], written_bytes: int = 0) -> Found:
    """Find the best tiling.

    Args:
        sizes: Where the attempts put its run lengths.
        attempt: Tries all run lengths of at most so many DRAM bytes and gives the bytes of the best, and those which it
            needs; where the bytes are not limited, the best has the least of them.
        written_bytes: DRAM bytes of every tiling that the attempts do not count.
    """
    moved, needed = attempt(UNLIMITED)
    if moved == UNLIMITED:
        return Found(sizes, needed, UNLIMITED)
    moved, needed = attempt(allow_bytes(moved, written_bytes))
    return Found(sizes, int(needed), int(moved) + written_bytes)


def allow_bytes(least: int, written_bytes: int = 0) -> int:
    """Give the most DRAM bytes that the tiling to be chosen may have, counted as the least are."""
    return (int(least) + written_bytes) * ALLOWED_NUMERATOR // ALLOWED_DENOMINATOR - written_bytes


@kernel
def divide_up(amount: int, share: int) -> int:
    """Divide, rounding up."""
    return -(-amount // share)


@kernel
def copy_sizes(sizes: IntArray, best: IntArray) -> None:
    """Copy run lengths."""
    for index in range(len(sizes)):
        best[index] = sizes[index]


@kernel
def is_better(tiles: int, loads: int, sizes: IntArray, best_tiles: int, best_loads: int, best_sizes: IntArray) -> bool:
    """Compare tilings: tiles, then DRAM bytes, then longer runs."""
    if tiles != best_tiles:
        return bool(tiles < best_tiles)
    if loads != best_loads:
        return bool(loads < best_loads)
    for index in range(len(sizes)):
        if sizes[index] != best_sizes[index]:
            return bool(sizes[index] > best_sizes[index])
    return False
