"""The search for a tiling of a product of two activations: that of a fully connected layer, and runs of products.

Nothing is read twice because of how products are cut into runs: each has its own weights.
"""

from __future__ import annotations

import numpy as np

from dataflows.sparsetrain.linear_products.tiling import size_products_tile, size_summed
from dataflows.storage.row_sizes import sum_pieces
from dataflows.tiling.search import UNLIMITED, copy_sizes, divide_up, is_better
from workloads.arrays import IntArray
from workloads.kernel import kernel


@kernel
def measure_rows_of_products(
    sizes: IntArray,
    products: int,
    running: IntArray,
    code: IntArray,
    weight_bits: int,
    outputs: int,
    block: int,
    has_mask: bool,
    summed: IntArray,
    summed_codes: IntArray,
) -> int:
    """Give the bytes of the largest operand tile of Forward or GTA for run lengths of (product, row, block, reduction).

    Args:
        running: ``(products x T, depth + 1)``, running counts of nonzeros of the driver rows.
    """
    T, depth = len(running) // products, running.shape[1] - 1
    last = (depth - 1) // sizes[3] * sizes[3]
    largest = 0
    for p in range(0, products, sizes[0]):
        p_end = min(products, p + sizes[0])
        for n in range(0, T, sizes[1]):
            n_end = min(T, n + sizes[1])
            for o in range(0, depth, sizes[3]):
                o_end = min(depth, o + sizes[3])
                drivers = 0
                for product in range(p, p_end):
                    drivers += sum_pieces(running, code, product * T + n, product * T + n_end, o, o_end)
                for c in range(0, outputs, sizes[2] * block):
                    c_end = min(outputs, c + sizes[2] * block)
                    load = drivers + (p_end - p) * (c_end - c) * divide_up((o_end - o) * weight_bits, 8)
                    if has_mask:
                        load += (p_end - p) * (n_end - n) * divide_up(c_end - c, 8)
                    if o == last and len(summed):
                        for product in range(p, p_end):
                            first = product * T
                            load += size_summed(summed, summed_codes, first + n, first + n_end, c, c_end)
                    largest = max(largest, load)
    return largest


@kernel
def try_rows_of_products(
    products: int,
    running: IntArray,
    code: IntArray,
    written: IntArray,
    written_code: IntArray,
    weight_bits: int,
    data_bits: int,
    acc_bits: int,
    block: int,
    has_mask: bool,
    summed: IntArray,
    summed_codes: IntArray,
    capacity: int,
    sizes: IntArray,
    best: IntArray,
    most: int,
) -> tuple[int, int]:
    """Fill in the best run lengths of (product, row, block, reduction) that move at most so many bytes.

    Gives what they move and need.

    Args:
        written: Running counts of the results' nonzeros ``(products x T, outputs + 1)``; sizes is room to work in.
    """
    rows, depth, outputs = len(running), running.shape[1] - 1, written.shape[1] - 1
    T, blocks = rows // products, divide_up(outputs, block)
    best_bytes = best_tiles = best_needed = UNLIMITED
    finds_least = most == UNLIMITED
    for b_size in range(blocks, 0, -1):
        backs, masks, added = 0, 0, 0
        for b in range(0, blocks, b_size):
            c, c_end = b * block, min(outputs, (b + b_size) * block)
            masks += rows * divide_up(c_end - c, 8) * has_mask
            added += size_summed(summed, summed_codes, 0, rows, c, c_end)
            backs += sum_pieces(written, written_code, 0, rows, c, c_end)
        for o_size in range(depth, 0, -1):
            drivers, weights, parts = 0, 0, divide_up(depth, o_size)
            for o in range(0, depth, o_size):
                o_end = min(depth, o + o_size)
                weights += products * outputs * divide_up((o_end - o) * weight_bits, 8)
                drivers += sum_pieces(running, code, 0, rows, o, o_end)
            fixed = divide_up(blocks, b_size) * drivers + parts * masks + added + backs
            if fixed + weights > most or divide_up(blocks, b_size) * parts > best_tiles:
                continue
            for n_size in range(T, 0, -1):
                moved = fixed + divide_up(T, n_size) * weights
                cuts = divide_up(T, n_size) * divide_up(blocks, b_size) * parts
                if moved > most or cuts > best_tiles:
                    break
                for p_size in range(products, 0, -1):
                    tiles = divide_up(products, p_size) * cuts
                    sizes[0], sizes[1], sizes[2], sizes[3] = p_size, n_size, b_size, o_size
                    if not is_better(tiles, moved, sizes, best_tiles, best_bytes, best):
                        break
                    output = size_products_tile(sizes[1:], T, outputs, block, data_bits if parts == 1 else acc_bits)
                    output *= p_size * (2 if parts == 1 else 1)
                    if output + 2 * divide_up(moved - backs, tiles) > capacity:
                        continue
                    needed = output + 2 * measure_rows_of_products(
                        sizes, products, running, code, weight_bits, outputs, block, has_mask, summed, summed_codes
                    )
                    if needed <= capacity:
                        best_bytes, best_needed = moved, needed
                        most, best_tiles = (moved - 1, best_tiles) if finds_least else (most, tiles)
                        copy_sizes(sizes, best)
                        break
    return best_bytes, best_needed


@kernel
def measure_factors(
    sizes: IntArray,
    products: int,
    gradients: IntArray,
    gradient_code: IntArray,
    inputs: IntArray,
    input_code: IntArray,
    block: int,
    has_mask: bool,
    summed: IntArray,
    summed_codes: IntArray,
) -> int:
    """Give the bytes of the largest operand tile of GTW for run lengths of (product, filter, block, row).

    Args:
        gradients: ``(products x T, M + 1)``; running counts.
        inputs: ``(products x T, C + 1)``; running counts.
        summed: Of gradients ``(any, products x M, C + 1)``.
    """
    T, M, C = len(inputs) // products, gradients.shape[1] - 1, inputs.shape[1] - 1
    last = (T - 1) // sizes[3] * sizes[3]
    largest = 0
    for p in range(0, products, sizes[0]):
        p_end = min(products, p + sizes[0])
        for m in range(0, M, sizes[1]):
            m_end = min(M, m + sizes[1])
            for c in range(0, C, sizes[2] * block):
                c_end = min(C, c + sizes[2] * block)
                for n in range(0, T, sizes[3]):
                    load = 0
                    for product in range(p, p_end):
                        row, end = product * T + n, product * T + min(T, n + sizes[3])
                        load += sum_pieces(gradients, gradient_code, row, end, m, m_end)
                        load += sum_pieces(inputs, input_code, row, end, c, c_end)
                        if n == last:
                            first = product * M
                            load += size_summed(summed, summed_codes, first + m, first + m_end, c, c_end)
                    if has_mask:
                        load += (p_end - p) * (m_end - m) * divide_up(c_end - c, 8)
                    largest = max(largest, load)
    return largest


@kernel
def try_factors(
    products: int,
    gradients: IntArray,
    gradient_code: IntArray,
    inputs: IntArray,
    input_code: IntArray,
    written: IntArray,
    written_code: IntArray,
    data_bits: int,
    acc_bits: int,
    block: int,
    has_mask: bool,
    summed: IntArray,
    summed_codes: IntArray,
    capacity: int,
    sizes: IntArray,
    best: IntArray,
    most: int,
) -> tuple[int, int]:
    """Fill in the best run lengths of (product, filter, block, row) that move at most so many bytes.

    Gives what they move and need.

    Args:
        written: Running counts of the result's nonzeros ``(products x M, C + 1)``; sizes is room to work in.
    """
    rows, M, C = len(inputs), gradients.shape[1] - 1, inputs.shape[1] - 1
    T, blocks = rows // products, divide_up(C, block)
    best_bytes = best_tiles = best_needed = UNLIMITED
    finds_least = most == UNLIMITED
    for b_size in range(blocks, 0, -1):
        channels, backs, added, masks = 0, 0, 0, 0
        for b in range(0, blocks, b_size):
            c, c_end = b * block, min(C, (b + b_size) * block)
            added += size_summed(summed, summed_codes, 0, products * M, c, c_end)
            masks += products * M * divide_up(c_end - c, 8) * has_mask
            channels += sum_pieces(inputs, input_code, 0, rows, c, c_end)
            backs += sum_pieces(written, written_code, 0, products * M, c, c_end)
        for m_size in range(M, 0, -1):
            fixed = divide_up(M, m_size) * channels + added + backs
            if fixed > most or divide_up(M, m_size) * divide_up(blocks, b_size) > best_tiles:
                break
            for m in range(0, M, m_size):
                m_end = min(M, m + m_size)
                fixed += divide_up(blocks, b_size) * sum_pieces(gradients, gradient_code, 0, rows, m, m_end)
            if fixed > most:
                continue
            for n_size in range(T, 0, -1):
                parts = divide_up(T, n_size)
                moved = fixed + parts * masks
                cuts = divide_up(M, m_size) * divide_up(blocks, b_size) * parts
                if moved > most or cuts > best_tiles:
                    break
                for p_size in range(products, 0, -1):
                    tiles = divide_up(products, p_size) * cuts
                    sizes[0], sizes[1], sizes[2], sizes[3] = p_size, m_size, b_size, n_size
                    if not is_better(tiles, moved, sizes, best_tiles, best_bytes, best):
                        break
                    output = size_products_tile(sizes[1:], M, C, block, data_bits if parts == 1 else acc_bits)
                    output *= p_size * (2 if parts == 1 else 1)
                    if output + 2 * divide_up(moved - backs, tiles) > capacity:
                        continue
                    needed = output + 2 * measure_factors(
                        sizes, products, gradients, gradient_code, inputs, input_code, block, has_mask, summed,
                        summed_codes,
                    )  # fmt: skip
                    if needed <= capacity:
                        best_bytes, best_needed = moved, needed
                        most, best_tiles = (moved - 1, best_tiles) if finds_least else (most, tiles)
                        copy_sizes(sizes, best)
                        break
    return best_bytes, best_needed


def start_sizes() -> tuple[IntArray, IntArray]:
    """Give room for run lengths to be tried, and for the best ones."""
    return np.zeros(4, dtype=np.int64), np.zeros(4, dtype=np.int64)
