"""Binary heaps of integer rows in preallocated arrays, for the compiled engine."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def comes_before(rows: IntArray, first: int, second: int, keys: int) -> bool:
    """Compare two rows by their leading columns."""
    for column in range(keys):
        if rows[first, column] != rows[second, column]:
            return bool(rows[first, column] < rows[second, column])
    return False


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def swap_rows(rows: IntArray, first: int, second: int) -> None:
    """Exchange two rows."""
    for column in range(rows.shape[1]):
        rows[first, column], rows[second, column] = rows[second, column], rows[first, column]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sift_up(rows: IntArray, place: int, keys: int) -> None:
    """Move a new last row to its place."""
    while place > 0:
        parent = (place - 1) // 2
        if not comes_before(rows, place, parent, keys):
            return
        swap_rows(rows, place, parent)
        place = parent


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def remove_first(rows: IntArray, size: int, keys: int) -> None:
    """Put the least of `size` rows behind the others, where the caller still finds it."""
    size -= 1
    swap_rows(rows, 0, size)
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            return
        if child + 1 < size and comes_before(rows, child + 1, child, keys):
            child += 1
        if not comes_before(rows, child, place, keys):
            return
        swap_rows(rows, child, place)
        place = child
