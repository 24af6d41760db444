"""The search for a tiling of a fully connected layer, whose rows are cut into pieces of their own.

The bytes of a piece are those of a row of its width in its tensor's format, so they follow from running counts of
nonzeros. Order and preference are those of `tiling_search`.
"""

from __future__ import annotations

import numpy as np

from dataflows.contract.kernel import kernel
from dataflows.tiling.search import copy_sizes, divide_up, is_better
from workloads.arrays import IntArray

RAW, BITMASK, OFFSET = 0, 1, 2


@kernel
def count_bits(values: int) -> int:
    """Count the bits that tell so many values apart."""
    bits = 0
    while (1 << bits) < values:
        bits += 1
    return bits


@kernel
def size_piece(nonzeros: int, width: int, form: int, data_bits: int) -> int:
    """Give the stored bytes of a piece of a row, its pointer included."""
    if form == RAW:
        return int(divide_up(width * data_bits, 8))
    if form == BITMASK:
        return 2 + int(divide_up(width + nonzeros * data_bits, 8))
    return 2 + int(divide_up(count_bits(width + 1) + nonzeros * (data_bits + max(1, count_bits(width))), 8))


@kernel
def measure_products_tile(
    sizes: IntArray,
    running: IntArray,
    form: int,
    data_bits: int,
    outputs: int,
    block: int,
    has_mask: bool,
    summed: IntArray,
    summed_forms: IntArray,
) -> int:
    """Give the bytes of the largest operand tile of Forward or GTA for run lengths of (image, block, reduction).

    running: running counts of nonzeros of the driver rows, ``(N, depth + 1)``. summed: the same of each gradient that
    the last part adds, ``(gradients, N, outputs + 1)``.
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
            for image in range(n, n_end):
                load += size_piece(running[image, o_end] - running[image, o], o_end - o, form, data_bits)
            largest = max(largest, load)
    if not len(summed):
        return largest
    o = (depth - 1) // sizes[2] * sizes[2]
    for n in range(0, N, sizes[0]):
        n_end = min(N, n + sizes[0])
        drivers = 0
        for image in range(n, n_end):
            drivers += size_piece(running[image, depth] - running[image, o], depth - o, form, data_bits)
        for c in range(0, outputs, sizes[1] * block):
            c_end = min(outputs, c + sizes[1] * block)
            load = drivers + (c_end - c) * divide_up((depth - o) * data_bits, 8)
            if has_mask:
                load += (n_end - n) * divide_up(c_end - c, 8)
            largest = max(largest, load + size_summed(summed, summed_forms, data_bits, n, n_end, c, c_end))
    return largest


@kernel
def size_summed(summed: IntArray, forms: IntArray, data_bits: int, n: int, n_end: int, c: int, c_end: int) -> int:
    """Give the stored bytes of pieces, from c to c_end, of the rows of images of all gradients that are added."""
    total = 0
    for place in range(len(summed)):
        for image in range(n, n_end):
            nonzeros = summed[place, image, c_end] - summed[place, image, c]
            total += size_piece(nonzeros, c_end - c, forms[place], data_bits)
    return total


def search_products(
    running: IntArray,
    form: int,
    written: IntArray,
    written_form: int,
    data_bits: int,
    acc_bits: int,
    block: int,
    has_mask: bool,
    summed: IntArray,
    summed_forms: IntArray,
    capacity: int,
) -> tuple[IntArray, int]:
    """Search run lengths of (image, block, reduction) for a fully connected Forward or GTA.

    written: running counts of nonzeros of the result's rows, ``(N, outputs + 1)``: each tile writes pieces of its own.
    """
    blocks = -(-(written.shape[1] - 1) // block)
    best = np.zeros(3, dtype=np.int64)
    room = np.zeros(blocks + 1, dtype=np.int64), np.zeros(blocks + 1, dtype=np.int64), np.zeros_like(best)
    needed = try_products(
        running, form, written, written_form, data_bits, acc_bits, block, has_mask, summed, summed_forms, capacity,
        *room, best,
    )  # fmt: skip
    return best, needed


@kernel
def try_products(
    running: IntArray,
    form: int,
    written: IntArray,
    written_form: int,
    data_bits: int,
    acc_bits: int,
    block: int,
    has_mask: bool,
    summed: IntArray,
    summed_forms: IntArray,
    capacity: int,
    backs: IntArray,
    added: IntArray,
    sizes: IntArray,
    best: IntArray,
) -> int:
    """Fill in the best run lengths of `search_products`, and give the bytes which they need.

    backs and added ``(blocks + 1,)``, zero, and sizes are room to work in.
    """
    N, depth, outputs = running.shape[0], running.shape[1] - 1, written.shape[1] - 1
    blocks = divide_up(outputs, block)
    least_back = 2**62
    for b_size in range(1, blocks + 1):
        for b in range(0, blocks, b_size):
            c, c_end = b * block, min(outputs, (b + b_size) * block)
            added[b_size] += size_summed(summed, summed_forms, data_bits, 0, N, c, c_end)
            for n in range(N):
                backs[b_size] += size_piece(written[n, c_end] - written[n, c], c_end - c, written_form, data_bits)
        least_back = min(least_back, backs[b_size])
    best_bytes = best_tiles = best_needed = 2**62
    for o_size in range(depth, 0, -1):
        drivers, weights, parts = 0, 0, divide_up(depth, o_size)
        for o in range(0, depth, o_size):
            o_end = min(depth, o + o_size)
            weights += outputs * divide_up((o_end - o) * data_bits, 8)
            for n in range(N):
                drivers += size_piece(running[n, o_end] - running[n, o], o_end - o, form, data_bits)
        # Longer runs of blocks have weights alone that do not fit twice.
        widest = capacity // (2 * divide_up(o_size * data_bits, 8))
        longest = blocks if widest >= outputs else widest // block
        for b_size in range(longest, 0, -1):
            runs = divide_up(blocks, b_size)
            # Shorter runs of blocks only read the drivers more often.
            if runs * drivers + weights + least_back > best_bytes:
                break
            if runs * drivers + weights + backs[b_size] > best_bytes:
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
                if not is_better(moved, tiles, sizes, best_bytes, best_tiles, best):
                    continue
                output = size_products_tile(sizes, N, outputs, block, data_bits if parts == 1 else acc_bits)
                output *= 2 if parts == 1 else 1
                if output + 2 * divide_up(loads, tiles) > capacity:
                    continue
                needed = output + 2 * measure_products_tile(
                    sizes, running, form, data_bits, outputs, block, has_mask, summed, summed_forms
                )
                if needed <= capacity:
                    best_bytes, best_tiles, best_needed = moved, tiles, needed
                    copy_sizes(sizes, best)
    return best_needed


@kernel
def size_products_tile(sizes: IntArray, images: int, outputs: int, block: int, bits: int) -> int:
    """Give the raw bytes of the largest output tile: each task's results rounded up to a byte."""
    widest = min(outputs, sizes[1] * block)
    full, short = widest // block, widest % block
    total = full * divide_up(block * bits, 8)
    if short:
        total += divide_up(short * bits, 8)
    return int(min(images, sizes[0]) * total)


@kernel
def measure_outer_tile(
    sizes: IntArray,
    gradients: IntArray,
    gradient_form: int,
    inputs: IntArray,
    input_form: int,
    data_bits: int,
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
                load = 0
                for image in range(n, min(N, n + sizes[2])):
                    held = gradients[image, m_end] - gradients[image, m]
                    load += size_piece(held, m_end - m, gradient_form, data_bits)
                    load += size_piece(inputs[image, c_end] - inputs[image, c], c_end - c, input_form, data_bits)
                largest = max(largest, load)
    return largest


def search_outer(
    gradients: IntArray,
    gradient_form: int,
    inputs: IntArray,
    input_form: int,
    data_bits: int,
    acc_bits: int,
    block: int,
    capacity: int,
) -> tuple[IntArray, int]:
    """Search run lengths of (filter, block, image) for a fully connected GTW."""
    best = np.zeros(3, dtype=np.int64)
    by_filters = np.zeros(gradients.shape[1], dtype=np.int64)
    needed = try_outer(
        gradients, gradient_form, inputs, input_form, data_bits, acc_bits, block, capacity, by_filters,
        np.zeros_like(best), best,
    )  # fmt: skip
    return best, needed


@kernel
def try_outer(
    gradients: IntArray,
    gradient_form: int,
    inputs: IntArray,
    input_form: int,
    data_bits: int,
    acc_bits: int,
    block: int,
    capacity: int,
    by_filters: IntArray,
    sizes: IntArray,
    best: IntArray,
) -> int:
    """Fill in the best run lengths of `search_outer`, and give the bytes which they need.

    by_filters ``(M + 1,)``, zero, and sizes are room to work in.
    """
    N, M, C = inputs.shape[0], gradients.shape[1] - 1, inputs.shape[1] - 1
    blocks = divide_up(C, block)
    least = 2**62
    for size in range(1, M + 1):
        for m in range(0, M, size):
            m_end = min(M, m + size)
            for n in range(N):
                by_filters[size] += size_piece(
                    gradients[n, m_end] - gradients[n, m], m_end - m, gradient_form, data_bits
                )
        least = min(least, by_filters[size])
    best_bytes = best_tiles = best_needed = 2**62
    for b_size in range(blocks, 0, -1):
        channels = 0
        for b in range(0, blocks, b_size):
            c, c_end = b * block, min(C, (b + b_size) * block)
            for n in range(N):
                channels += size_piece(inputs[n, c_end] - inputs[n, c], c_end - c, input_form, data_bits)
        for m_size in range(M, 0, -1):
            # Shorter runs of filters only read the inputs more often.
            if divide_up(blocks, b_size) * least + divide_up(M, m_size) * channels > best_bytes:
                break
            loads = divide_up(blocks, b_size) * by_filters[m_size] + divide_up(M, m_size) * channels
            if loads > best_bytes:
                continue
            for n_size in range(N, 0, -1):
                parts = divide_up(N, n_size)
                tiles = divide_up(M, m_size) * divide_up(blocks, b_size) * parts
                sizes[0], sizes[1], sizes[2] = m_size, b_size, n_size
                if not is_better(loads, tiles, sizes, best_bytes, best_tiles, best):
                    continue
                output = size_products_tile(sizes, M, C, block, acc_bits) * (2 if parts == 1 else 1)
                if output + 2 * divide_up(loads, tiles) > capacity:
                    continue
                needed = output + 2 * measure_outer_tile(
                    sizes, gradients, gradient_form, inputs, input_form, data_bits, block
                )
                if needed <= capacity:
                    best_bytes, best_tiles, best_needed = loads, tiles, needed
                    copy_sizes(sizes, best)
    return best_needed
