"""The search for a tiling of Forward and GTA of a fully connected layer: rows are cut into pieces."""

from __future__ import annotations

import numpy as np

from dataflows.storage.row_sizes import sum_pieces
from dataflows.storage.stored_tensor import StoredVectors
from dataflows.tiling.search import UNLIMITED, Found, copy_sizes, divide_up, find_best, is_better
from workloads.arrays import IntArray
from workloads.kernel import kernel


@kernel
def measure_products_tile(
    sizes: IntArray,
    running: IntArray,
    code: IntArray,
    data_bits: int,
    outputs: int,
    block: int,
    has_mask: bool,
    summed: IntArray,
    summed_codes: IntArray,
) -> int:
    """Give the bytes of the largest operand tile of Forward or GTA for run lengths of (image, block, reduction).

    Args:
        running: Running counts of nonzeros of the driver rows, ``(N, depth + 1)``.
        code: How pieces of them are stored, of `tabulate_code`.
        summed: The same of each gradient that the last part adds, stacked.
        summed_codes: The same of each gradient that the last part adds, stacked.
    """
    N, depth = running.shape[0], running.shape[1] - 1
    widest = min(outputs, sizes[1] * block)
    mask_bytes = divide_up(widest, 8) if has_mask else 0
    largest = 0
    for n in range(0, N, sizes[0]):
        n_end = min(N, n + sizes[0])
        for o in range(0, depth, sizes[2]):
            o_end = min(depth, o + sizes[2])
            load = widest * divide_up((o_end - o) * data_bits, 8) + (n_end - n) * mask_bytes
            load += sum_pieces(running, code, n, n_end, o, o_end)
            largest = max(largest, load)
    if not len(summed):
        return largest
    o = (depth - 1) // sizes[2] * sizes[2]
    for n in range(0, N, sizes[0]):
        n_end = min(N, n + sizes[0])
        drivers = sum_pieces(running, code, n, n_end, o, depth)
        for c in range(0, outputs, sizes[1] * block):
            c_end = min(outputs, c + sizes[1] * block)
            load = drivers + (c_end - c) * divide_up((depth - o) * data_bits, 8)
            if has_mask:
                load += (n_end - n) * divide_up(c_end - c, 8)
            largest = max(largest, load + size_summed(summed, summed_codes, n, n_end, c, c_end))
    return largest


@kernel
def size_summed(summed: IntArray, codes: IntArray, n: int, n_end: int, c: int, c_end: int) -> int:
    """Give the stored bytes of pieces, from c to c_end, of the rows of images of all gradients that are added."""
    total = 0
    for gradient in range(len(summed)):
        total += sum_pieces(summed[gradient], codes[gradient], n, n_end, c, c_end)
    return total


def search_products(
    drivers: StoredVectors,
    written: StoredVectors,
    summed: tuple[IntArray, IntArray],
    acc_bits: int,
    block: int,
    has_mask: bool,
    capacity: int,
) -> Found:
    """Search run lengths of (image, block, reduction) for a fully connected Forward or GTA.

    Args:
        written: Each tile writes pieces of its own.
        summed: Of `stack_vectors`.
    """
    blocks = -(-written.width // block)
    best = np.zeros(3, dtype=np.int64)

    def attempt(most: int) -> tuple[int, int]:
        room = np.zeros(blocks + 1, dtype=np.int64), np.zeros(blocks + 1, dtype=np.int64), np.zeros_like(best)
        return try_products(
            drivers.running, drivers.code, written.running, written.code, drivers.data_bits, acc_bits, block, has_mask,
            *summed, capacity, most, *room, best,
        )  # fmt: skip

    return find_best(best, attempt)


@kernel
def try_products(
    running: IntArray,
    code: IntArray,
    written: IntArray,
    written_code: IntArray,
    data_bits: int,
    acc_bits: int,
    block: int,
    has_mask: bool,
    summed: IntArray,
    summed_codes: IntArray,
    capacity: int,
    most: int,
    backs: IntArray,
    added: IntArray,
    sizes: IntArray,
    best: IntArray,
) -> tuple[int, int]:
    """Fill in the best run lengths of `search_products` that move at most so many bytes; give what they move and need.

    Args:
        written: Running counts of nonzeros of the result's rows, ``(N, outputs + 1)``. backs and added ``(blocks +
            1,)``, zero, and sizes are room to work in.
    """
    N, depth, outputs = running.shape[0], running.shape[1] - 1, written.shape[1] - 1
    blocks = divide_up(outputs, block)
    least_back, finds_least = UNLIMITED, most == UNLIMITED
    for b_size in range(1, blocks + 1):
        for b in range(0, blocks, b_size):
            c, c_end = b * block, min(outputs, (b + b_size) * block)
            added[b_size] += size_summed(summed, summed_codes, 0, N, c, c_end)
            backs[b_size] += sum_pieces(written, written_code, 0, N, c, c_end)
        least_back = min(least_back, backs[b_size])
    best_bytes = best_tiles = best_needed = UNLIMITED
    for o_size in range(depth, 0, -1):
        drivers, weights, parts = 0, 0, divide_up(depth, o_size)
        for o in range(0, depth, o_size):
            o_end = min(depth, o + o_size)
            weights += outputs * divide_up((o_end - o) * data_bits, 8)
            drivers += sum_pieces(running, code, 0, N, o, o_end)
        # Longer runs of blocks have weights alone that do not fit twice.
        widest = capacity // (2 * divide_up(o_size * data_bits, 8))
        longest = blocks if widest >= outputs else widest // block
        for b_size in range(longest, 0, -1):
            runs = divide_up(blocks, b_size)
            # Shorter runs of blocks only read the drivers more often.
            if runs * drivers + weights + least_back > most or runs * parts > best_tiles:
                break
            if runs * drivers + weights + backs[b_size] > most:
                continue
            masks = 0
            if has_mask:
                short = outputs - (runs - 1) * b_size * block
                masks = parts * N * ((runs - 1) * divide_up(b_size * block, 8) + divide_up(short, 8))
            for n_size in range(N, 0, -1):
                loads = runs * drivers + divide_up(N, n_size) * weights + masks + added[b_size]
                moved = loads + backs[b_size]
                tiles = divide_up(N, n_size) * runs * parts
                sizes[0], sizes[1], sizes[2] = n_size, b_size, o_size
                if moved > most or not is_better(tiles, moved, sizes, best_tiles, best_bytes, best):
                    break
                output = size_products_tile(sizes, N, outputs, block, data_bits if parts == 1 else acc_bits)
                output *= 2 if parts == 1 else 1
                if output + 2 * divide_up(loads, tiles) > capacity:
                    continue
                needed = output + 2 * measure_products_tile(
                    sizes, running, code, data_bits, outputs, block, has_mask, summed, summed_codes
                )
                if needed <= capacity:
                    best_bytes, best_needed = moved, needed
                    most, best_tiles = (moved - 1, best_tiles) if finds_least else (most, tiles)
                    copy_sizes(sizes, best)
    return best_bytes, best_needed


@kernel
def size_products_tile(sizes: IntArray, images: int, outputs: int, block: int, bits: int) -> int:
    """Give the raw bytes of the largest output tile: each task's results rounded up to a byte."""
    widest = min(outputs, sizes[1] * block)
    full, short = widest // block, widest % block
    total = full * divide_up(block * bits, 8)
    if short:
        total += divide_up(short * bits, 8)
    return int(min(images, sizes[0]) * total)
