"""The search for a tiling of GTW of a convolution; see `dataflows.tiling.search`.

The task indices are an outer one and an inner one: filters and the blocks of their group's channels, or where small
groups are packed, blocks and the places of filters within a group. One tensor's rows depend on the outer index alone,
the other's on its unit (the group of a filter, a block) and on the inner index.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataflows.tiling.rows_search import find_widest
from dataflows.tiling.search import UNLIMITED, Found, copy_sizes, divide_up, find_best, is_better
from dataflows.tiling.spans import RowSpans, sum_run
from workloads.arrays import IntArray
from workloads.kernel import kernel

KernelsParts = tuple[
    IntArray, IntArray, IntArray, IntArray, IntArray, IntArray, IntArray, IntArray, IntArray, IntArray
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class StreamedRows:
    """A tensor whose rows stream through GTW, for each range of runs of kernel rows.

    Attributes:
        sums: Of stored bytes, ``(ranges, units, N + 1, rows + 1, values + 1)``, the values those of the inner index, or
            of the outer one where the units are one.
        low: ``(ranges, H + 1, rows)``; as in `RowSpans`.
        high: ``(ranges, H)``; as in `RowSpans`.
        met: ``(ranges, H + 1, rows)``; as in `RowSpans`.
    """

    sums: IntArray
    low: IntArray
    high: IntArray
    met: IntArray

    def parts(self) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Give the arrays as kernels take them."""
        return self.sums, self.low, self.high, self.met

    def spans(self, index: int) -> RowSpans:
        """Give the spans of a range of runs."""
        return RowSpans(self.low[index], self.high[index], self.met[index])


@dataclass(frozen=True, eq=False)
class KernelsTables:
    """What measuring a tile of kernels needs, as `measure_kernels_tile` takes it.

    Attributes:
        lone: The rows that depend on the outer index alone.
        paired: Those that depend on its unit and on the inner index.
        units: int64 ``(outer,)``.
        ranges: int64 ``(runs + 1, runs + 1)``, the number of the range of the runs s to t - 1.
        outer_kernels: Running numbers of kernels; a tile has the product of both.
        inner_kernels: Running numbers of kernels; a tile has the product of both.
        run_bytes: Running sums of the bytes that a run of rows of one kernel takes.
        written_bytes: What all tiles write back, the same in every tiling.
    """

    lone: StreamedRows
    paired: StreamedRows
    units: IntArray
    ranges: IntArray
    outer_kernels: IntArray
    inner_kernels: IntArray
    run_bytes: IntArray
    written_bytes: int

    def parts(self) -> KernelsParts:
        """Give the tables in the order of the search's arguments."""
        return *self.lone.parts(), *self.paired.parts(), self.units, self.ranges


@kernel
def measure_kernels_tile(
    sizes: IntArray, lone: IntArray, lone_low: IntArray, lone_high: IntArray, lone_met: IntArray, paired: IntArray,
    paired_low: IntArray, paired_high: IntArray, paired_met: IntArray, units: IntArray, ranges: IntArray,
    limit: int = UNLIMITED,
) -> int:  # fmt: skip
    """Give the bytes of the largest operand tile of GTW for run lengths of (outer, inner, run, image, row).

    A tile of more bytes than the limit ends the measuring. The tables are those of `KernelsTables`.
    """
    outer, inner, runs = lone.shape[4] - 1, paired.shape[4] - 1, len(ranges) - 1
    N, H = lone.shape[2] - 1, lone_low.shape[1]
    largest = 0
    for run in range(0, runs, sizes[2]):
        kind = ranges[run, min(runs, run + sizes[2])]
        for a in range(0, outer, sizes[0]):
            a_end = min(outer, a + sizes[0])
            for n in range(0, N, sizes[3]):
                n_end = min(N, n + sizes[3])
                for h in range(0, H, sizes[4]):
                    h_end = min(H, h + sizes[4])
                    low, high = lone_low[kind, h], max(lone_low[kind, h], lone_high[kind, h_end - 1])
                    load = sum_run(lone[kind, 0], n, n_end, low, high, a, a_end, lone_met[kind], h, h_end)
                    low, high = paired_low[kind, h], max(paired_low[kind, h], paired_high[kind, h_end - 1])
                    for b in range(0, inner, sizes[1]):
                        b_end = min(inner, b + sizes[1])
                        rows = 0
                        for unit in range(units[a], units[a_end - 1] + 1):
                            rows += sum_run(
                                paired[kind, unit], n, n_end, low, high, b, b_end, paired_met[kind], h, h_end
                            )  # fmt: skip
                        largest = max(largest, load + rows)
                        if largest > limit:
                            return int(largest)
    return largest


def search_kernels(tables: KernelsTables, capacity: int) -> Found:
    """Search run lengths of (outer, inner, run, image, row) for GTW."""
    outer, units = len(tables.units), tables.paired.sums.shape[1]
    best = np.zeros(5, dtype=np.int64)

    def attempt(most: int) -> tuple[int, int]:
        room = np.zeros((outer + 1, units), dtype=np.int64), np.zeros(units, dtype=np.int64)
        return try_kernels(
            *tables.parts(), tables.outer_kernels, tables.inner_kernels, tables.run_bytes, capacity, most, *room,
            np.zeros(outer + 1, dtype=np.int64), np.zeros_like(best), best,
        )  # fmt: skip

    return find_best(best, attempt, tables.written_bytes)


@kernel
def stream_kernels(
    run_size: int, h_size: int, sums: IntArray, span_low: IntArray, span_high: IntArray, met: IntArray,
    ranges: IntArray, streamed: IntArray,
) -> bool:  # fmt: skip
    """Fill in what all tiles of so many runs and rows load of the rows of each unit; tell whether that is new."""
    N, values, H, runs = sums.shape[2] - 1, sums.shape[4] - 1, span_low.shape[1], len(ranges) - 1
    is_new = False
    for unit in range(sums.shape[1]):
        total = 0
        for run in range(0, runs, run_size):
            kind = ranges[run, min(runs, run + run_size)]
            for h in range(0, H, h_size):
                h_end = min(H, h + h_size)
                low, high = span_low[kind, h], max(span_low[kind, h], span_high[kind, h_end - 1])
                total += sum_run(sums[kind, unit], 0, N, low, high, 0, values, met[kind], h, h_end)
        is_new |= streamed[unit] != total
        streamed[unit] = total
    return is_new


@kernel
def try_kernels(
    lone: IntArray, lone_low: IntArray, lone_high: IntArray, lone_met: IntArray, paired: IntArray,
    paired_low: IntArray, paired_high: IntArray, paired_met: IntArray, units: IntArray, ranges: IntArray,
    outer_kernels: IntArray, inner_kernels: IntArray, run_bytes: IntArray, capacity: int, most: int, touches: IntArray,
    streamed: IntArray, paired_bytes: IntArray, sizes: IntArray, best: IntArray,
) -> tuple[int, int]:  # fmt: skip
    """Fill in the best run lengths of `search_kernels` that load at most so many bytes; give what they load and need.

    touches ``(outer + 1, units)``, streamed ``(units,)``, paired_bytes ``(outer + 1,)``, zero, and sizes are room to
    work in.
    """
    outer, inner, runs = lone.shape[4] - 1, paired.shape[4] - 1, len(ranges) - 1
    N, H = lone.shape[2] - 1, lone_low.shape[1]
    finds_least = most == UNLIMITED
    for size in range(1, outer + 1):
        for a in range(0, outer, size):
            for unit in range(units[a], units[min(outer, a + size) - 1] + 1):
                touches[size, unit] += 1
    best_bytes = best_tiles = best_needed = UNLIMITED
    for h_size in range(H, 0, -1):
        for run_size in range(runs, 0, -1):
            kernel_bytes = find_widest(run_bytes, run_size)
            stream_kernels(run_size, h_size, lone, lone_low, lone_high, lone_met, ranges, sizes[:1])
            lone_bytes = sizes[0]
            if stream_kernels(run_size, h_size, paired, paired_low, paired_high, paired_met, ranges, streamed):
                for size in range(1, outer + 1):
                    paired_bytes[size] = 0
                    for unit in range(len(streamed)):
                        paired_bytes[size] += touches[size, unit] * streamed[unit]
            for a_size in range(outer, 0, -1):
                outer_kernel_bytes = find_widest(outer_kernels, a_size) * kernel_bytes
                for b_size in range(inner, 0, -1):
                    loads = divide_up(inner, b_size) * lone_bytes + paired_bytes[a_size]
                    if loads > most:
                        break
                    cuts = divide_up(outer, a_size) * divide_up(inner, b_size) * divide_up(runs, run_size)
                    if cuts * divide_up(H, h_size) > best_tiles:
                        break
                    held = outer_kernel_bytes * find_widest(inner_kernels, b_size)
                    if held > capacity:
                        continue
                    for n_size in range(N, 0, -1):
                        parts = divide_up(N, n_size) * divide_up(H, h_size)
                        tiles = cuts * parts
                        output = held * (2 if parts == 1 else 1)
                        if output + 2 * divide_up(loads, tiles) > capacity:
                            continue
                        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4] = a_size, b_size, run_size, n_size, h_size
                        if not is_better(tiles, loads, sizes, best_tiles, best_bytes, best):
                            continue
                        needed = output + 2 * measure_kernels_tile(
                            sizes, lone, lone_low, lone_high, lone_met, paired, paired_low, paired_high, paired_met,
                            units, ranges, (capacity - output) // 2,
                        )  # fmt: skip
                        if needed <= capacity:
                            best_bytes, best_needed = loads, needed
                            most, best_tiles = (loads - 1, best_tiles) if finds_least else (most, tiles)
                            copy_sizes(sizes, best)
    return best_bytes, best_needed
