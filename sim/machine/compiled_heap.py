"""A binary heap in three preallocated int64 columns, for the compiled engine: two keys and a payload."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def push_row(rows: IntArray, size: int, first: int, second: int, payload: int) -> None:
    """Add a row to a heap of `size` rows, ordered by first, then second."""
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        above = rows[parent, 0]
        if above < first or (above == first and rows[parent, 1] <= second):
            break
        rows[place, 0] = above
        rows[place, 1] = rows[parent, 1]
        rows[place, 2] = rows[parent, 2]
        place = parent
    rows[place, 0] = first
    rows[place, 1] = second
    rows[place, 2] = payload


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def pop_row(rows: IntArray, size: int) -> None:
    """Remove the least row, which the caller has read, from a heap of `size` rows."""
    size -= 1
    first, second, payload = rows[size, 0], rows[size, 1], rows[size, 2]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        other = child + 1
        if other < size and (
            rows[other, 0] < rows[child, 0] or (rows[other, 0] == rows[child, 0] and rows[other, 1] < rows[child, 1])
        ):
            child = other
        if first < rows[child, 0] or (first == rows[child, 0] and second <= rows[child, 1]):
            break
        rows[place, 0] = rows[child, 0]
        rows[place, 1] = rows[child, 1]
        rows[place, 2] = rows[child, 2]
        place = child
    rows[place, 0] = first
    rows[place, 1] = second
    rows[place, 2] = payload
