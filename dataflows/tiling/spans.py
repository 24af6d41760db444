"""Which driver rows a run of result rows reads: neighbours, or with gaps where taps are further apart than rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import IntArray
from workloads.kernel import kernel


@dataclass(frozen=True, eq=False)
class RowSpans:
    """The driver rows that runs of rows x read: from low[x] to high[x_end - 1], all of them or those that `met` tells.

    Attributes:
        low: ``(X,)``, monotone.
        high: ``(X,)``, monotone.
        met: Running counts of the rows x that meet each driver row, ``(X + 1, Y)``, or of size 1 where no run passes
            over a driver row that another one reads.
    """

    low: IntArray
    high: IntArray
    met: IntArray

    def parts(self) -> tuple[IntArray, IntArray, IntArray]:
        """Give the arrays as kernels take them."""
        return self.low, self.high, self.met

    def find(self, x: int, x_end: int) -> tuple[int, int]:
        """Give the driver rows between which those that rows x to x_end - 1 read lie."""
        return int(self.low[x]), int(max(self.low[x], self.high[x_end - 1]))

    def count(self, x: int, x_end: int) -> int:
        """Count the driver rows that rows x to x_end - 1 read."""
        low, high = self.find(x, x_end)
        return int((self.met[x_end] > self.met[x]).sum()) if self.met.size > 1 else high - low

    def sum_up(self, tables: IntArray, images: range, rows: range, values: range) -> int:
        """Sum over the driver rows that a run of rows reads.

        Args:
            tables: Running sums, ``(units, N + 1, Y + 1, values + 1)``, over all units of which is summed.
        """
        low, high = self.find(rows.start, rows.stop)
        return sum_units(
            tables, images.start, images.stop, low, high, values.start, values.stop, self.met, rows.start, rows.stop
        )


def run_sums(amounts: NDArray[Any], axes: int) -> IntArray:
    """Give the running sums along the last axes, each one longer than it was, as `sum_box` takes them."""
    kept = amounts.ndim - axes
    sums = np.zeros((*amounts.shape[:kept], *(size + 1 for size in amounts.shape[kept:])), dtype=np.int64)
    corner: tuple[Any, ...] = (slice(1, None),) * axes
    inside = sums[(..., *corner)]
    inside[...] = amounts
    for axis in range(kept, amounts.ndim):
        np.cumsum(inside, axis=axis, out=inside)
    return sums


def find_spans(pairs: IntArray) -> RowSpans:
    """Find the driver rows that runs of rows x read.

    Args:
        pairs: ``(X, R)``, the driver row or -1.
    """
    low, high = span_rows(pairs)
    counts = count_met(pairs)
    return RowSpans(low, high, np.zeros((1, 1), dtype=np.int64) if is_plain(low, high, counts) else counts)


def span_rows(pairs: IntArray) -> tuple[IntArray, IntArray]:
    """Give the first driver row and the one behind the last that rows x meet, monotone over rows that meet none."""
    meets = (pairs >= 0).any(axis=1)
    far = int(pairs.max(initial=0)) + 1
    low = np.where(meets, np.where(pairs >= 0, pairs, far).min(axis=1), far)
    high = np.where(meets, pairs.max(axis=1) + 1, 0)
    low = np.minimum.accumulate(low[::-1])[::-1]
    return low.astype(np.int64), np.maximum.accumulate(high).astype(np.int64)


def count_met(pairs: IntArray) -> IntArray:
    """Count for every driver row those of the rows before x that meet it: ``(X + 1, Y)``."""
    is_met = np.zeros((len(pairs) + 1, int(pairs.max(initial=-1)) + 1), dtype=np.int64)
    x, r = np.nonzero(pairs >= 0)
    is_met[x + 1, pairs[x, r]] = 1
    counts: IntArray = is_met.cumsum(axis=0)
    return counts


def is_plain(low: IntArray, high: IntArray, counts: IntArray) -> bool:
    """Tell whether every run of rows x reads all driver rows in its span that any row reads.

    It does if that holds for each row x, and rows that follow one another read what overlaps or lies side by side.
    """
    is_read, used = np.diff(counts, axis=0) > 0, np.append(0, np.cumsum(counts[-1] > 0))
    # Places among the driver rows that are read at all.
    low, high = used[np.minimum(low, len(used) - 1)], used[np.minimum(high, len(used) - 1)]
    if (is_read.sum(axis=1) != np.maximum(high - low, 0)).any():
        return False
    low, high = low[is_read.any(axis=1)], high[is_read.any(axis=1)]
    return bool((low[1:] <= high[:-1]).all())


@kernel(inlines=True)
def sum_box(table: IntArray, n: int, n_end: int, low: int, high: int, o: int, o_end: int) -> int:
    """Sum a box of a tensor from its running sums along all three axes."""
    upper = table[n_end, high, o_end] - table[n, high, o_end] - table[n_end, low, o_end] + table[n, low, o_end]
    lower = table[n_end, high, o] - table[n, high, o] - table[n_end, low, o] + table[n, low, o]
    return int(upper - lower)


@kernel
def sum_run(
    table: IntArray, n: int, n_end: int, low: int, high: int, o: int, o_end: int, met: IntArray, x: int, x_end: int
) -> int:
    """Sum what rows x to x_end - 1 read between the driver rows low and high.

    Args:
        table: Running sums, as of `sum_box`.
    """
    if met.size <= 1:
        return sum_box(table, n, n_end, low, high, o, o_end)
    total, row = 0, low
    while row < high:
        start = row
        while row < high and met[x_end, row] > met[x, row]:
            row += 1
        total += sum_box(table, n, n_end, start, row, o, o_end)
        while row < high and met[x_end, row] == met[x, row]:
            row += 1
    return total


@kernel
def sum_units(
    tables: IntArray, n: int, n_end: int, low: int, high: int, o: int, o_end: int, met: IntArray, x: int, x_end: int
) -> int:
    """Sum what rows x to x_end - 1 read over units.

    Args:
        tables: Running sums of each, as of `sum_box`.
    """
    total = 0
    for unit in range(len(tables)):
        total += sum_run(tables[unit], n, n_end, low, high, o, o_end, met, x, x_end)
    return total
