"""What is told of the driver rows of bursts, so that equal requests for them are found: their bytes, and a number.

A number is the sum of those of the rows, each scattered over 64 bits: what two bursts fetch is a set, whatever the
order in which their items ask for it. Two different sets agree by chance in one of 2**63 pairs.
"""

from __future__ import annotations

import numpy as np

from workloads.arrays import IntArray
from workloads.kernel import kernel

# Columns of the drivers of bursts.
BYTES, ROWS = range(2)
# Numbers of rows stay below it.
FURTHER = 2**48
LARGEST = 2**63 - 1


def make_drivers(bursts: int, is_told: bool) -> IntArray:
    """Make room for the drivers of so many bursts, ``(bursts, 2)``; ``(0, 2)`` where they are not told."""
    return np.zeros((bursts * is_told, 2), dtype=np.int64)


@kernel(inlines=True)
def scatter(number: int) -> int:
    """Scatter a number over 64 bits: SplitMix64 of Steele, Lea and Flood, OOPSLA 2014."""
    bits = number * -7046029254386353131
    bits = (bits ^ ((bits >> 30) & 0x3FFFFFFFF)) * -4658895280553007687
    bits = (bits ^ ((bits >> 27) & 0x1FFFFFFFFF)) * -7723592293110705685
    return bits ^ ((bits >> 31) & 0x1FFFFFFFF)


@kernel(inlines=True)
def add_driver(drivers: IntArray, burst: int, size_bytes: int, number: int) -> None:
    """Add a driver row, by its number from 0 on, to those of a burst."""
    drivers[burst, BYTES] += size_bytes
    # 0 scatters to 0, which no sum would show.
    drivers[burst, ROWS] += scatter(number + 1)


@kernel
def split_drivers(drivers: IntArray, burst: int, size_bytes: int, segments: int) -> None:
    """Share out the drivers of an item, which stand at its first burst, to its segments.

    An item's bytes are those of its driver rows, then all others, and a segment is a run of them. One that holds all
    of the driver rows fetches the same as a burst that is no segment.
    """
    whole, rows, share = drivers[burst, BYTES], drivers[burst, ROWS], -(-size_bytes // segments)
    for segment in range(segments):
        start = segment * share
        part = max(0, min(share, whole - start))
        drivers[burst + segment, BYTES] = part
        drivers[burst + segment, ROWS] = rows
        if part < whole:
            drivers[burst + segment, ROWS] += scatter(FURTHER + 2 * start) + scatter(FURTHER + 2 * part + 1)


@kernel
def spread_drivers(
    kind_of: IntArray,
    first: IntArray,
    size_bytes: IntArray,
    segments: IntArray,
    found: IntArray,
    burst_first: IntArray,
    drivers: IntArray,
) -> None:
    """Fill in the drivers of all entries' bursts from those of the chunks of their kinds, ``(chunks, 2)``."""
    for entry in range(len(kind_of)):
        burst = burst_first[entry]
        for chunk in range(first[kind_of[entry]], first[kind_of[entry] + 1]):
            drivers[burst, BYTES], drivers[burst, ROWS] = found[chunk, BYTES], found[chunk, ROWS]
            split_drivers(drivers, burst, size_bytes[chunk], segments[chunk])
            burst += segments[chunk]


@kernel
def gather_drivers(
    kind_of: IntArray, owner: IntArray, ends: IntArray, packed: IntArray, burst_first: IntArray, drivers: IntArray
) -> None:
    """Copy the drivers that were packed for each entry's kind, where these are rows of an owner that differs.

    Args:
        owner: Of each entry, a number.
    """
    for entry in range(len(kind_of)):
        kind = kind_of[entry]
        source = ends[kind - 1] if kind else 0
        for number in range(burst_first[entry + 1] - burst_first[entry]):
            burst = burst_first[entry] + number
            drivers[burst, BYTES] = packed[source + number, BYTES]
            drivers[burst, ROWS] = packed[source + number, ROWS] + scatter(FURTHER - 1 - owner[entry])


def tell_drivers(drivers: IntArray | None) -> tuple[IntArray | None, IntArray | None]:
    """Give the bytes and the numbers of the drivers of bursts as a traffic tells them, ``(bursts,)`` both."""
    if drivers is None:
        return None, None
    return np.ascontiguousarray(drivers[:, BYTES]), drivers[:, ROWS] & LARGEST
