"""The search for a tiling of GTW of a fully connected layer: rows are cut into pieces."""

from __future__ import annotations

import numpy as np

from dataflows.sparsetrain.linear_products.tiling import size_products_tile
from dataflows.storage.row_sizes import size_raw, sum_pieces
from dataflows.storage.stored_tensor import StoredVectors
from dataflows.tiling.search import UNLIMITED, Found, copy_sizes, divide_up, find_best, is_better
from workloads.arrays import IntArray
from workloads.kernel import kernel


@kernel
def measure_outer_tile(
    sizes: IntArray,
    gradients: IntArray,
    gradient_code: IntArray,
    inputs: IntArray,
    input_code: IntArray,
    block: int,
) -> int:
    """Give the bytes of the largest operand tile of GTW for run lengths of (filter, block, image)."""
    N, M, C = inputs.shape[0], gradients.shape[1] - 1, inputs.shape[1] - 1
    blocks = divide_up(C, block)
    largest = 0
    for m in range(0, M, sizes[0]):
        m_end = min(M, m + sizes[0])
        for b in range(0, blocks, sizes[1]):
            c, c_end = b * block, min(C, (b + sizes[1]) * block)
            for n in range(0, N, sizes[2]):
                n_end = min(N, n + sizes[2])
                load = sum_pieces(gradients, gradient_code, n, n_end, m, m_end)
                load += sum_pieces(inputs, input_code, n, n_end, c, c_end)
                largest = max(largest, load)
    return largest


def search_outer(gradients: StoredVectors, inputs: StoredVectors, acc_bits: int, block: int, capacity: int) -> Found:
    """Search run lengths of (filter, block, image) for a fully connected GTW."""
    best = np.zeros(3, dtype=np.int64)
    tasks, short = divmod(inputs.width, block)
    written_bytes = gradients.width * (tasks * size_raw(block, acc_bits) + size_raw(short, acc_bits))

    def attempt(most: int) -> tuple[int, int]:
        by_filters = np.zeros(gradients.width + 1, dtype=np.int64)
        return try_outer(
            gradients.running, gradients.code, inputs.running, inputs.code, acc_bits, block, capacity, most, by_filters,
            np.zeros_like(best), best,
        )  # fmt: skip

    return find_best(best, attempt, written_bytes)


@kernel
def try_outer(
    gradients: IntArray,
    gradient_code: IntArray,
    inputs: IntArray,
    input_code: IntArray,
    acc_bits: int,
    block: int,
    capacity: int,
    most: int,
    by_filters: IntArray,
    sizes: IntArray,
    best: IntArray,
) -> tuple[int, int]:
    """Fill in the best run lengths of `search_outer` that load at most so many bytes; give what they load and need.

    by_filters ``(M + 1,)``, zero, and sizes are room to work in.
    """
    N, M, C = inputs.shape[0], gradients.shape[1] - 1, inputs.shape[1] - 1
    blocks = divide_up(C, block)
    least, finds_least = UNLIMITED, most == UNLIMITED
    for size in range(1, M + 1):
        for m in range(0, M, size):
            m_end = min(M, m + size)
            by_filters[size] += sum_pieces(gradients, gradient_code, 0, N, m, m_end)
        least = min(least, by_filters[size])
    best_bytes = best_tiles = best_needed = UNLIMITED
    for b_size in range(blocks, 0, -1):
        channels = 0
        for b in range(0, blocks, b_size):
            c, c_end = b * block, min(C, (b + b_size) * block)
            channels += sum_pieces(inputs, input_code, 0, N, c, c_end)
        for m_size in range(M, 0, -1):
            # Shorter runs of filters only read the inputs more often.
            cuts = divide_up(M, m_size) * divide_up(blocks, b_size)
            if divide_up(blocks, b_size) * least + divide_up(M, m_size) * channels > most or cuts > best_tiles:
                break
            loads = divide_up(blocks, b_size) * by_filters[m_size] + divide_up(M, m_size) * channels
            if loads > most:
                continue
            for n_size in range(N, 0, -1):
                parts = divide_up(N, n_size)
                tiles = cuts * parts
                sizes[0], sizes[1], sizes[2] = m_size, b_size, n_size
                if not is_better(tiles, loads, sizes, best_tiles, best_bytes, best):
                    break
                output = size_products_tile(sizes, M, C, block, acc_bits) * (2 if parts == 1 else 1)
                if output + 2 * divide_up(loads, tiles) > capacity:
                    continue
                needed = output + 2 * measure_outer_tile(sizes, gradients, gradient_code, inputs, input_code, block)
                if needed <= capacity:
                    best_bytes, best_needed = loads, needed
                    most, best_tiles = (loads - 1, best_tiles) if finds_least else (most, tiles)
                    copy_sizes(sizes, best)
                    break
    return best_bytes, best_needed
