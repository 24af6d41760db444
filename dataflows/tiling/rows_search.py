"""The search for a tiling of Forward or GTA of a convolution; see `dataflows.tiling.search`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataflows.tiling.search import UNLIMITED, Found, copy_sizes, divide_up, find_best, is_better
from dataflows.tiling.spans import RowSpans, sum_box, sum_run
from workloads.arrays import IntArray
from workloads.kernel import kernel

RowsParts = tuple[
    IntArray, IntArray, IntArray, IntArray, IntArray, IntArray, IntArray,
    IntArray, IntArray, IntArray, IntArray, IntArray, IntArray,
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class StripBytes:
    """Bytes that depend on the strips of a row, of which there are J; a row that is not cut is one strip.

    Attributes:
        windows: What one driver row takes in a tile of the strips s to t - 1, where the tables count driver rows, else
            1: ``(J + 1, J + 1)``.
        summed: Of that part of a result row, in the gradients that are stored raw and cut too.
        mask: Running sums of the bytes of a mask, and of results at data_bits and at acc_bits, ``(J + 1,)``.
        whole: Running sums of the bytes of a mask, and of results at data_bits and at acc_bits, ``(J + 1,)``.
        partial: Running sums of the bytes of a mask, and of results at data_bits and at acc_bits, ``(J + 1,)``.
    """

    windows: IntArray
    summed: IntArray
    mask: IntArray
    whole: IntArray
    partial: IntArray

    def parts(self) -> tuple[IntArray, IntArray, IntArray]:
        """Give the tables in the order of the search's arguments."""
        return self.windows, self.summed, self.mask


@dataclass(frozen=True, eq=False)
class RowsTables:
    """What measuring a tile of rows needs, as `measure_rows_tile` takes it.

    Attributes:
        drivers: Sums of stored bytes ``(groups, N + 1, rows + 1, depth + 1)``.
        kernel_rows: ``(X + 1, R)``, running counts of the rows x that meet kernel row r.
        masked: ``(X + 1,)``, running counts of the rows x whose masks are read.
        first_group: ``(blocks,)``, the groups of the convolution that a block belongs to.
        last_group: ``(blocks,)``, the groups of the convolution that a block belongs to.
        block_outputs: ``(blocks + 1,)`` running.
        summed: Sums of the stored bytes of gradients that the last part adds ``(N + 1, outputs + 1, X + 1)``, or of
            size 1.
        weight: Bytes of a row of a kernel.
        written_bytes: What all tiles write back, the same in every tiling.
    """

    drivers: IntArray
    spans: RowSpans
    kernel_rows: IntArray
    masked: IntArray
    first_group: IntArray
    last_group: IntArray
    block_outputs: IntArray
    summed: IntArray
    strips: StripBytes
    weight: int
    written_bytes: int

    def parts(self) -> RowsParts:
        """Give the tables in the order of the search's arguments."""
        blocks = self.first_group, self.last_group, self.block_outputs
        return (
            self.drivers,
            *self.spans.parts(),
            self.kernel_rows,
            self.masked,
            *blocks,
            self.summed,
            *self.strips.parts(),
        )


@kernel
def measure_rows_tile(
    sizes: IntArray, drivers: IntArray, span_low: IntArray, span_high: IntArray, met: IntArray, kernel_rows: IntArray,
    masked: IntArray, first_group: IntArray, last_group: IntArray, block_outputs: IntArray, summed: IntArray,
    windows: IntArray, summed_strips: IntArray, mask_bytes: IntArray, weight_row_bytes: int, limit: int = UNLIMITED,
) -> int:  # fmt: skip
    """Give the bytes of the largest operand tile of Forward or GTA for run lengths of what `search_rows` cuts.

    A tile of more bytes than the limit ends the measuring. The tables are those of `RowsTables`.
    """
    N, X, blocks, depth = drivers.shape[1] - 1, len(span_low), len(first_group), drivers.shape[3] - 1
    R, strips = kernel_rows.shape[1], len(mask_bytes) - 1
    single_group, has_summed = last_group[blocks - 1] == 0, summed.size > 1
    largest = 0
    for x in range(0, X, sizes[1]):
        x_end = min(X, x + sizes[1])
        low, high = span_low[x], max(span_low[x], span_high[x_end - 1])
        used = 0
        for r in range(R):
            used += kernel_rows[x_end, r] > kernel_rows[x, r]
        for strip in range(0, strips, sizes[2]):
            strip_end = min(strips, strip + sizes[2])
            window, mask = windows[strip, strip_end], mask_bytes[strip_end] - mask_bytes[strip]
            for b in range(0, blocks, sizes[3]):
                b_end = min(blocks, b + sizes[3])
                outputs = block_outputs[b_end] - block_outputs[b]
                # The first block of a single group is the largest, but for what only the last part adds.
                first = (depth - 1) // sizes[4] * sizes[4] if single_group and b > 0 else 0
                for o in range(first, depth, sizes[4]):
                    o_end = min(depth, o + sizes[4])
                    weights = outputs * (o_end - o) * used * weight_row_bytes
                    for n in range(0, N, sizes[0]):
                        n_end = min(N, n + sizes[0])
                        load = weights + (n_end - n) * (masked[x_end] - masked[x]) * outputs * mask
                        for group in range(first_group[b], last_group[b_end - 1] + 1):
                            load += window * sum_run(
                                drivers[group], n, n_end, low, high, o, o_end, met, x, x_end
                            )  # fmt: skip
                        if has_summed and o_end == depth:
                            c, c_end = block_outputs[b], block_outputs[b_end]
                            load += sum_box(summed, n, n_end, c, c_end, x, x_end)
                            load += (n_end - n) * (x_end - x) * outputs * summed_strips[strip, strip_end]
                        largest = max(largest, load)
                        if largest > limit:
                            return int(largest)
                if single_group and not has_summed:
                    break
    return largest


def search_rows(tables: RowsTables, capacity: int) -> Found:
    """Search run lengths of (image, row, strip, block, channel) for Forward or GTA."""
    groups, blocks, strips = len(tables.drivers), len(tables.first_group), tables.strips
    best = np.zeros(5, dtype=np.int64)

    def attempt(most: int) -> tuple[int, int]:
        room = np.zeros((blocks + 1, groups), dtype=np.int64), np.zeros(blocks + 1, dtype=np.int64)
        return try_rows(
            *tables.parts(), tables.weight, strips.whole, strips.partial, capacity, most, *room,
            np.zeros(groups, dtype=np.int64), np.zeros_like(best), best,
        )  # fmt: skip

    return find_best(best, attempt, tables.written_bytes)


@kernel
def find_widest(running: IntArray, size: int) -> int:
    """Give the largest sum of runs of this length.

    Args:
        running: ``(amounts + 1,)``.
    """
    widest = 0
    for start in range(0, len(running) - 1, size):
        widest = max(widest, running[min(len(running) - 1, start + size)] - running[start])
    return widest


@kernel
def sum_runs(table: IntArray, size: int) -> int:
    """Sum what runs of this length take.

    Args:
        table: ``(J + 1, J + 1)``, by the first and behind the last of a run.
    """
    total, count = 0, table.shape[0] - 1
    for start in range(0, count, size):
        total += table[start, min(count, start + size)]
    return total


@kernel
def stream_rows(
    x_size: int, drivers: IntArray, span_low: IntArray, span_high: IntArray, met: IntArray, kernel_rows: IntArray,
    streamed: IntArray,
) -> int:  # fmt: skip
    """Fill in what tiles of so many rows load of each group's driver rows; give the kernel rows that they meet."""
    N, depth, X, R = drivers.shape[1] - 1, drivers.shape[3] - 1, len(span_low), kernel_rows.shape[1]
    used = 0
    for group in range(len(streamed)):
        streamed[group] = 0
    for x in range(0, X, x_size):
        x_end = min(X, x + x_size)
        low, high = span_low[x], max(span_low[x], span_high[x_end - 1])
        for r in range(R):
            used += kernel_rows[x_end, r] > kernel_rows[x, r]
        for group in range(len(streamed)):
            streamed[group] += sum_run(drivers[group], 0, N, low, high, 0, depth, met, x, x_end)
    return used


@kernel
def try_rows(
    drivers: IntArray, span_low: IntArray, span_high: IntArray, met: IntArray, kernel_rows: IntArray,
    masked: IntArray, first_group: IntArray, last_group: IntArray, block_outputs: IntArray, summed: IntArray,
    windows: IntArray, summed_strips: IntArray, mask_bytes: IntArray, weight_row_bytes: int, whole_bytes: IntArray,
    partial_bytes: IntArray, capacity: int, most: int, touches: IntArray, widest: IntArray, streamed: IntArray,
    sizes: IntArray, best: IntArray,
) -> tuple[int, int]:  # fmt: skip
    """Fill in the best run lengths of `search_rows` that load at most so many bytes; give what they load and need.

    touches ``(blocks + 1, groups)`` and widest ``(blocks + 1,)``, zero, streamed ``(groups,)`` and sizes are room to
    work in.
    """
    groups, N, depth = drivers.shape[0], drivers.shape[1] - 1, drivers.shape[3] - 1
    X, blocks, strips = len(span_low), len(first_group), len(mask_bytes) - 1
    all_outputs, finds_least = block_outputs[blocks], most == UNLIMITED
    for size in range(1, blocks + 1):
        widest[size] = find_widest(block_outputs, size)
        for b in range(0, blocks, size):
            for group in range(first_group[b], last_group[min(blocks, b + size) - 1] + 1):
                touches[size, group] += 1
    best_bytes = best_tiles = best_needed = UNLIMITED
    for x_size in range(X, 0, -1):
        used = stream_rows(x_size, drivers, span_low, span_high, met, kernel_rows, streamed)
        for s_size in range(strips, 0, -1):
            s_runs, window = divide_up(strips, s_size), sum_runs(windows, s_size)
            weights = s_runs * used * all_outputs * depth * weight_row_bytes
            added = s_runs * summed[-1, -1, -1] + N * X * all_outputs * sum_runs(summed_strips, s_size)
            whole_strip, partial_strip = find_widest(whole_bytes, s_size), find_widest(partial_bytes, s_size)
            least_strip = min(2 * whole_strip, partial_strip)
            for n_size in range(N, 0, -1):
                for b_size in range(blocks, 0, -1):
                    inputs = 0
                    for group in range(groups):
                        inputs += touches[b_size, group] * streamed[group]
                    fixed = window * inputs + divide_up(N, n_size) * weights
                    held = n_size * x_size * widest[b_size]
                    runs = divide_up(N, n_size) * divide_up(X, x_size) * s_runs * divide_up(blocks, b_size)
                    if fixed > most or held * least_strip > capacity or runs > best_tiles:
                        continue
                    for o_size in range(depth, 0, -1):
                        parts = divide_up(depth, o_size)
                        loads = fixed + parts * N * masked[X] * all_outputs * mask_bytes[strips] + added
                        tiles = runs * parts
                        output = held * (2 * whole_strip if parts == 1 else partial_strip)
                        if loads > most or output + 2 * divide_up(loads, tiles) > capacity:
                            continue
                        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4] = n_size, x_size, s_size, b_size, o_size
                        if not is_better(tiles, loads, sizes, best_tiles, best_bytes, best):
                            continue
                        needed = output + 2 * measure_rows_tile(
                            sizes, drivers, span_low, span_high, met, kernel_rows, masked, first_group, last_group,
                            block_outputs, summed, windows, summed_strips, mask_bytes, weight_row_bytes,
                            (capacity - output) // 2,
                        )  # fmt: skip
                        if needed <= capacity:
                            best_bytes, best_needed = loads, needed
                            most, best_tiles = (loads - 1, best_tiles) if finds_least else (most, tiles)
                            copy_sizes(sizes, best)
    return best_bytes, best_needed
