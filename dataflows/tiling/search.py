"""What the searches for a tiling share: every run length of every index is tried, and the best that fits is taken.

The best has the least DRAM bytes, then the fewest tiles, then the longest runs, compared index by index, task indices
before reduction indices. A tiling whose average tile is too large is passed over unmeasured. All searches return the
run lengths found (0 where none fits) and the buffer bytes which that tiling needs.
"""

from __future__ import annotations

from dataflows.contract.kernel import kernel
from workloads.arrays import IntArray

UNLIMITED = 2**62


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
def is_better(loads: int, tiles: int, sizes: IntArray, best_loads: int, best_tiles: int, best_sizes: IntArray) -> bool:
    """Compare tilings: DRAM bytes, then tiles, then longer runs."""
    if loads != best_loads:
        return bool(loads < best_loads)
    if tiles != best_tiles:
        return bool(tiles < best_tiles)
    for index in range(len(sizes)):
        if sizes[index] != best_sizes[index]:
            return bool(sizes[index] > best_sizes[index])
    return False
