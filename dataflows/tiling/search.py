"""The search for a tiling: every run length of every index is tried, and the best that fits is taken.

The best has the least DRAM bytes, then the fewest tiles, then the longest runs, compared index by index, task indices
before reduction indices. A tiling whose average tile is too large is passed over unmeasured. All searches return the
run lengths found (0 where none fits) and the buffer bytes which that tiling needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataflows.contract.kernel import kernel
from workloads.arrays import IntArray

UNLIMITED = 2**62


@dataclass(frozen=True, eq=False)
class RowsTables:
    """What measuring a tile of rows needs, as `measure_rows_tile` takes it."""

    drivers: IntArray
    span_low: IntArray
    span_high: IntArray
    kernel_rows: IntArray
    block_group: IntArray
    block_outputs: IntArray
    summed: IntArray

    def parts(self) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray, IntArray, IntArray]:
        """Give the tables in the order of the search's arguments."""
        rows = self.drivers, self.span_low, self.span_high, self.kernel_rows
        return *rows, self.block_group, self.block_outputs, self.summed


@dataclass(frozen=True, slots=True)
class RowBytes:
    """Bytes of a row of weights, of a mask, and of results: whole ones at data_bits, partial ones at acc_bits."""

    weight: int
    mask: int
    whole: int
    partial: int


@kernel
def divide_up(amount: int, share: int) -> int:
    """Divide, rounding up."""
    return -(-amount // share)


@kernel
def measure_rows_tile(
    sizes: IntArray, drivers: IntArray, span_low: IntArray, span_high: IntArray, kernel_rows: IntArray,
    block_group: IntArray, block_outputs: IntArray, summed: IntArray, weight_row_bytes: int, mask_row_bytes: int,
    limit: int = UNLIMITED,
) -> int:  # fmt: skip
    """Give the bytes of the largest operand tile of Forward or GTA for run lengths of (image, row, block, reduction).

    A tile of more bytes than the limit ends the measuring.
    drivers: sums of stored bytes ``(groups, N + 1, rows + 1, depth + 1)``; kernel_rows: ``(X + 1, R)``, running counts
    of the rows x that meet kernel row r; block_outputs: ``(blocks + 1,)`` running; block_group: ``(blocks,)``;
    summed: sums of the stored bytes of gradients that the last part adds ``(N + 1, outputs + 1, X + 1)``, or of size 1.
    """
    N, X, blocks, depth = drivers.shape[1] - 1, len(span_low), len(block_group), drivers.shape[3] - 1
    R = kernel_rows.shape[1]
    single_group, has_summed = block_group[blocks - 1] == 0, summed.size > 1
    largest = 0
    for x in range(0, X, sizes[1]):
        x_end = min(X, x + sizes[1])
        low, high = span_low[x], max(span_low[x], span_high[x_end - 1])
        used = 0
        for r in range(R):
            used += kernel_rows[x_end, r] > kernel_rows[x, r]
        for b in range(0, blocks, sizes[2]):
            b_end = min(blocks, b + sizes[2])
            outputs = block_outputs[b_end] - block_outputs[b]
            # The first block of a single group is the largest, but for what only the last part adds.
            first = (depth - 1) // sizes[3] * sizes[3] if single_group and b > 0 else 0
            for o in range(first, depth, sizes[3]):
                o_end = min(depth, o + sizes[3])
                weights = outputs * (o_end - o) * used * weight_row_bytes
                for n in range(0, N, sizes[0]):
                    n_end = min(N, n + sizes[0])
                    load = weights + (n_end - n) * (x_end - x) * outputs * mask_row_bytes
                    for group in range(block_group[b], block_group[b_end - 1] + 1):
                        table = drivers[group]
                        load += (
                            table[n_end, high, o_end] - table[n, high, o_end]
                            - table[n_end, low, o_end] + table[n, low, o_end]
                            - table[n_end, high, o] + table[n, high, o]
                            + table[n_end, low, o] - table[n, low, o]
                        )  # fmt: skip
                    if has_summed and o_end == depth:
                        c, c_end = block_outputs[b], block_outputs[b_end]
                        load += sum_box(summed, n, n_end, c, c_end, x, x_end)
                    largest = max(largest, load)
                    if largest > limit:
                        return int(largest)
            if single_group and not has_summed:
                break
    return largest


@kernel
def sum_box(table: IntArray, n: int, n_end: int, c: int, c_end: int, x: int, x_end: int) -> int:
    """Sum a box of a tensor from its running sums along all three axes."""
    upper = table[n_end, c_end, x_end] - table[n_end, c, x_end] - table[n_end, c_end, x] + table[n_end, c, x]
    lower = table[n, c_end, x_end] - table[n, c, x_end] - table[n, c_end, x] + table[n, c, x]
    return int(upper - lower)


def search_rows(tables: RowsTables, row_bytes: RowBytes, capacity: int) -> tuple[IntArray, int]:
    """Search run lengths of (image, row, block, reduction) for Forward or GTA."""
    groups, blocks = len(tables.drivers), len(tables.block_group)
    best = np.zeros(4, dtype=np.int64)
    room = np.zeros((blocks + 1, groups), dtype=np.int64), np.zeros(blocks + 1, dtype=np.int64)
    needed = try_rows(
        *tables.parts(), row_bytes.weight, row_bytes.mask, row_bytes.whole, row_bytes.partial, capacity, *room,
        np.zeros(groups, dtype=np.int64), np.zeros_like(best), best,
    )  # fmt: skip
    return best, needed


@kernel
def try_rows(
    drivers: IntArray, span_low: IntArray, span_high: IntArray, kernel_rows: IntArray, block_group: IntArray,
    block_outputs: IntArray, summed: IntArray, weight_row_bytes: int, mask_row_bytes: int, result_row_bytes: int,
    partial_row_bytes: int, capacity: int, touches: IntArray, widest: IntArray, streamed: IntArray, sizes: IntArray,
    best: IntArray,
) -> int:  # fmt: skip
    """Fill in the best run lengths of `search_rows`, and give the bytes which they need.

    touches ``(blocks + 1, groups)`` and widest ``(blocks + 1,)``, zero, streamed ``(groups,)`` and sizes are room to
    work in.
    """
    groups, N, depth = drivers.shape[0], drivers.shape[1] - 1, drivers.shape[3] - 1
    X, blocks, R = len(span_low), len(block_group), kernel_rows.shape[1]
    all_outputs = block_outputs[blocks]
    for size in range(1, blocks + 1):
        for b in range(0, blocks, size):
            b_end = min(blocks, b + size)
            widest[size] = max(widest[size], block_outputs[b_end] - block_outputs[b])
            for group in range(block_group[b], block_group[b_end - 1] + 1):
                touches[size, group] += 1
    best_bytes = best_tiles = best_needed = 2**62
    for x_size in range(X, 0, -1):
        for group in range(groups):
            streamed[group] = 0
        weights = 0
        for x in range(0, X, x_size):
            x_end = min(X, x + x_size)
            low, high = span_low[x], max(span_low[x], span_high[x_end - 1])
            for r in range(R):
                if kernel_rows[x_end, r] > kernel_rows[x, r]:
                    weights += all_outputs * depth * weight_row_bytes
            for group in range(groups):
                streamed[group] += drivers[group, N, high, depth] - drivers[group, N, low, depth]
        for n_size in range(N, 0, -1):
            for b_size in range(blocks, 0, -1):
                inputs = 0
                for group in range(groups):
                    inputs += touches[b_size, group] * streamed[group]
                fixed = inputs + divide_up(N, n_size) * weights
                least_output = n_size * x_size * widest[b_size] * min(2 * result_row_bytes, partial_row_bytes)
                if fixed > best_bytes or least_output > capacity:
                    continue
                for o_size in range(depth, 0, -1):
                    parts = divide_up(depth, o_size)
                    loads = fixed + parts * N * X * all_outputs * mask_row_bytes + summed[-1, -1, -1]
                    tiles = divide_up(N, n_size) * divide_up(X, x_size) * divide_up(blocks, b_size) * parts
                    row_bytes = result_row_bytes if parts == 1 else partial_row_bytes
                    output = n_size * x_size * widest[b_size] * row_bytes * (2 if parts == 1 else 1)
                    if loads > best_bytes or output + 2 * divide_up(loads, tiles) > capacity:
                        continue
                    sizes[0], sizes[1], sizes[2], sizes[3] = n_size, x_size, b_size, o_size
                    if not is_better(loads, tiles, sizes, best_bytes, best_tiles, best):
                        continue
                    needed = output + 2 * measure_rows_tile(
                        sizes, drivers, span_low, span_high, kernel_rows, block_group, block_outputs, summed,
                        weight_row_bytes, mask_row_bytes, (capacity - output) // 2,
                    )  # fmt: skip
                    if needed <= capacity:
                        best_bytes, best_tiles, best_needed = loads, tiles, needed
                        copy_sizes(sizes, best)
    return best_needed


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


@kernel
def measure_kernels_tile(
    sizes: IntArray, drivers: IntArray, inputs: IntArray, span_low: IntArray, span_high: IntArray,
    filters_per_group: int, block_channels: IntArray, limit: int = UNLIMITED,
) -> int:  # fmt: skip
    """Give the bytes of the largest operand tile of GTW for run lengths of (filter, block, image, row).

    A tile of more bytes than the limit ends the measuring.
    drivers: sums of stored bytes ``(M + 1, N + 1, P + 1)``; inputs: ``(groups, N + 1, H + 1, C / G + 1)``.
    """
    M, N, H = drivers.shape[0] - 1, drivers.shape[1] - 1, len(span_low)
    blocks = len(block_channels) - 1
    largest = 0
    for m in range(0, M, sizes[0]):
        m_end = min(M, m + sizes[0])
        for n in range(0, N, sizes[2]):
            n_end = min(N, n + sizes[2])
            for h in range(0, H, sizes[3]):
                h_end = min(H, h + sizes[3])
                low, high = span_low[h], max(span_low[h], span_high[h_end - 1])
                load = (
                    drivers[m_end, n_end, high] - drivers[m, n_end, high]
                    - drivers[m_end, n, high] + drivers[m, n, high]
                    - drivers[m_end, n_end, low] + drivers[m, n_end, low]
                    + drivers[m_end, n, low] - drivers[m, n, low]
                )  # fmt: skip
                for b in range(0, blocks, sizes[1]):
                    c, c_end = block_channels[b], block_channels[min(blocks, b + sizes[1])]
                    rows = 0
                    for group in range(m // filters_per_group, (m_end - 1) // filters_per_group + 1):
                        table = inputs[group]
                        rows += (
                            table[n_end, h_end, c_end] - table[n, h_end, c_end]
                            - table[n_end, h, c_end] + table[n, h, c_end]
                            - table[n_end, h_end, c] + table[n, h_end, c]
                            + table[n_end, h, c] - table[n, h, c]
                        )  # fmt: skip
                    largest = max(largest, load + rows)
                    if largest > limit:
                        return int(largest)
    return largest


def search_kernels(
    drivers: IntArray, inputs: IntArray, span_low: IntArray, span_high: IntArray, filters_per_group: int,
    block_channels: IntArray, kernel_bytes: int, capacity: int,
) -> tuple[IntArray, int]:  # fmt: skip
    """Search run lengths of (filter, block, image, row) for GTW."""
    best = np.zeros(4, dtype=np.int64)
    room = np.zeros(len(block_channels), dtype=np.int64), np.zeros(len(drivers), dtype=np.int64), np.zeros_like(best)
    needed = try_kernels(
        drivers, inputs, span_low, span_high, filters_per_group, block_channels, kernel_bytes, capacity, *room, best
    )
    return best, needed


@kernel
def try_kernels(
    drivers: IntArray, inputs: IntArray, span_low: IntArray, span_high: IntArray, filters_per_group: int,
    block_channels: IntArray, kernel_bytes: int, capacity: int, widest: IntArray, input_bytes: IntArray,
    sizes: IntArray, best: IntArray,
) -> int:  # fmt: skip
    """Fill in the best run lengths of `search_kernels`, and give the bytes which they need.

    widest ``(blocks + 1,)`` and input_bytes ``(M + 1,)``, zero, and sizes are room to work in.
    """
    M, N, H = drivers.shape[0] - 1, drivers.shape[1] - 1, len(span_low)
    blocks = len(block_channels) - 1
    for size in range(1, blocks + 1):
        for b in range(0, blocks, size):
            widest[size] = max(widest[size], block_channels[min(blocks, b + size)] - block_channels[b])
    for size in range(1, M + 1):
        for m in range(0, M, size):
            m_end = min(M, m + size)
            for group in range(m // filters_per_group, (m_end - 1) // filters_per_group + 1):
                input_bytes[size] += inputs[group, N, H, inputs.shape[3] - 1]
    best_bytes = best_tiles = best_needed = 2**62
    for h_size in range(H, 0, -1):
        streamed = 0
        for h in range(0, H, h_size):
            low, high = span_low[h], max(span_low[h], span_high[min(H, h + h_size) - 1])
            streamed += drivers[M, N, high] - drivers[M, N, low]
        for m_size in range(M, 0, -1):
            for b_size in range(blocks, 0, -1):
                loads = divide_up(blocks, b_size) * streamed + input_bytes[m_size]
                if loads > best_bytes or m_size * widest[b_size] * kernel_bytes > capacity:
                    continue
                for n_size in range(N, 0, -1):
                    parts = divide_up(N, n_size) * divide_up(H, h_size)
                    tiles = divide_up(M, m_size) * divide_up(blocks, b_size) * parts
                    output = m_size * widest[b_size] * kernel_bytes * (2 if parts == 1 else 1)
                    if output + 2 * divide_up(loads, tiles) > capacity:
                        continue
                    sizes[0], sizes[1], sizes[2], sizes[3] = m_size, b_size, n_size, h_size
                    if not is_better(loads, tiles, sizes, best_bytes, best_tiles, best):
                        continue
                    needed = output + 2 * measure_kernels_tile(
                        sizes, drivers, inputs, span_low, span_high, filters_per_group, block_channels,
                        (capacity - output) // 2,
                    )  # fmt: skip
                    if needed <= capacity:
                        best_bytes, best_tiles, best_needed = loads, tiles, needed
                        copy_sizes(sizes, best)
    return best_needed
