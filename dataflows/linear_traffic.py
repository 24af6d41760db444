"""Tiles, bursts and results of a fully connected layer (sections 6 and 7 of the machine's definition)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataflows.array import PEArray
from dataflows.bursts import UNLIMITED_BYTES, pack_rows
from dataflows.dealing import Blocks, count_kernels_per_pe
from dataflows.linear_tiling import (
    BITMASK,
    OFFSET,
    RAW,
    measure_outer_tile,
    measure_products_tile,
    search_outer,
    search_products,
    size_products_tile,
)
from dataflows.memory import MemoryShare, RowFormat, Traffic
from dataflows.storage import choose_format, size_rows
from dataflows.tiles import list_entries, require_tiling
from dataflows.written_rows import find_written, masks_in_ppu
from workloads.operands import Operands
from workloads.shapes import LinearShape, Step

IntArray = NDArray[np.int64]

FORM_NUMBERS = {RowFormat.RAW: RAW, RowFormat.BITMASK: BITMASK, RowFormat.OFFSET: OFFSET}


@dataclass(frozen=True, eq=False)
class StoredVectors:
    """Rows of a fully connected tensor, one for each image, and how pieces of them are stored.

    running: running counts of nonzeros, int64 ``(N, width + 1)``.
    """

    running: IntArray
    form: RowFormat
    data_bits: int

    def count(self, low: int | IntArray, high: int | IntArray) -> IntArray:
        """Count nonzeros of pieces of every row: ``(N, pieces)``."""
        return self.running[:, high] - self.running[:, low]

    def size(self, low: IntArray, high: IntArray) -> IntArray:
        """Give the stored bytes of pieces of every row: ``(N, pieces)``."""
        return size_rows(self.count(low, high), high - low, self.form, self.data_bits)


def store_vectors(present: NDArray[np.bool_], array: PEArray, memory: MemoryShare) -> StoredVectors:
    """Choose the format of a tensor ``(N, width)`` and count along its rows."""
    nonzeros = present.sum(axis=1).astype(np.int64)
    form = choose_format(nonzeros, present.shape[1], memory) if array.skip_zeros else RowFormat.RAW
    running = np.pad(present, [(0, 0), (1, 0)]).cumsum(axis=1).astype(np.int64)
    return StoredVectors(running, form, memory.data_bits)


def divide_up(amount: IntArray, share: int) -> IntArray:
    """Divide, rounding up."""
    return -(-amount // share)


def make_linear_traffic(
    operands: Operands, step: Step, array: PEArray, memory: MemoryShare
) -> tuple[Traffic, IntArray]:
    """Cut a fully connected step into tiles and its tasks into bursts; also give the task of each dispatch entry.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    make = make_outer_traffic if step is Step.GTW else make_products_traffic
    return make(operands, step, array, memory)


def make_products_traffic(
    operands: Operands, step: Step, array: PEArray, memory: MemoryShare
) -> tuple[Traffic, IntArray]:
    """Forward and GTA: a task is one item, the driver row and the weight rows of the PEs that work."""
    assert isinstance(operands.shape, LinearShape)
    shape, B, bits = operands.shape, array.pes_per_group, memory.data_bits
    forward = step is Step.FORWARD
    driver = operands.input if forward else operands.grad_output
    outputs = shape.out_features if forward else shape.in_features
    vectors = store_vectors(driver != 0, array, memory)
    has_mask = not forward and operands.written_mask is not None
    is_masked_late = masks_in_ppu(operands, array)
    blocks = Blocks(outputs, B)
    limits, cuts = (shape.batch, blocks.per_group), (driver.shape[1],)
    sizes = np.array([*limits, *cuts], dtype=np.int64)
    written = np.zeros((shape.batch, outputs), dtype=np.bool_)
    if array.skip_zeros and (operands.relu_follows or not forward):
        stored = store_vectors(find_written(operands, step), array, memory)
    else:
        stored = StoredVectors(np.pad(written, [(0, 0), (1, 0)]).astype(np.int64), RowFormat.RAW, bits)
    form = FORM_NUMBERS[vectors.form]
    added = [] if forward else [store_vectors(gradient != 0, array, memory) for gradient in operands.summed]
    summed = np.array([one.running for one in added], dtype=np.int64).reshape(-1, shape.batch, outputs + 1)
    sums = summed, np.array([FORM_NUMBERS[one.form] for one in added], dtype=np.int64)
    if memory.capacity_bytes is not None:
        sizes, _ = search_products(
            vectors.running,
            form,
            stored.running,
            FORM_NUMBERS[stored.form],
            bits,
            memory.acc_bits,
            B,
            has_mask,
            *sums,
            memory.capacity_bytes,
        )
        if not sizes.all():
            # Either all runs are 1, with partial results at acc_bits, or the reduction is whole, with two output tiles.
            choices = [(np.array([1, 1, cuts[0]], dtype=np.int64), bits, 2)]
            if cuts[0] > 1:
                choices.append((np.ones(3, dtype=np.int64), memory.acc_bits, 1))
            least = min(
                tiles * int(size_products_tile(runs, shape.batch, outputs, B, width))
                + 2 * int(measure_products_tile(runs, vectors.running, form, bits, outputs, B, has_mask, *sums))
                for runs, width, tiles in choices
            )
            require_tiling(operands.layer, step.value, sizes, least, memory.capacity_bytes)
    entries = list_entries(limits, cuts, tuple(int(size) for size in sizes))
    n, b = entries.places.T
    first = b * B
    owned = np.minimum(outputs, first + B) - first

    low = np.arange(0, cuts[0], int(sizes[2]), dtype=np.int64)
    high, part = np.minimum(low + sizes[2], cuts[0]), entries.low[:, 0] // sizes[2]
    driver_bytes = vectors.size(low, high)
    elements = vectors.count(low, high) if array.skip_zeros else np.broadcast_to(high - low, driver_bytes.shape)
    cycles = array.row_overhead_cycles + divide_up(elements, array.multipliers_per_pe)
    weight_bytes = divide_up((high - low) * bits, 8)
    works = np.ones((shape.batch, outputs), dtype=np.bool_)
    if not forward and not is_masked_late and operands.mask is not None:
        works = operands.mask
    mask_bytes = divide_up(owned, 8) if has_mask else np.zeros_like(owned)
    fetched_mask = np.zeros_like(owned) if is_masked_late else mask_bytes

    def item_rows(group: int) -> tuple[IntArray, IntArray, IntArray]:
        second = np.where(works[group][:, None], weight_bytes, -1)[:, :, None]
        spent = np.broadcast_to(cycles[group], (outputs, len(low)))[:, :, None]
        return driver_bytes[group][None, :, None], second, spent

    by_image = [np.flatnonzero(n == image) for image in range(shape.batch)]
    packed = pack_items(by_image, item_rows, first, owned, part, part + 1, outputs, B, fetched_mask, memory)
    burst_first, burst_bytes, burst_cycles, words = packed

    partial, final = divide_up(owned * memory.acc_bits, 8), divide_up(owned * bits, 8)
    read = np.where(entries.is_first, 0, partial)
    if is_masked_late:
        read = read + np.where(entries.is_last, mask_bytes, 0)
    read = read + np.where(entries.is_last, len(added) * final, 0)
    loads, write_backs, tile_outputs = [], [], []
    is_cut = int(sizes[2]) < cuts[0]
    for number, (images, runs, piece) in enumerate(entries.tiles):
        span = np.array([runs.start * B, min(outputs, runs.stop * B)])
        size = vectors.size(np.array([piece.start]), np.array([piece.stop]))[images.start : images.stop].sum()
        size += (span[1] - span[0]) * divide_up(np.array(len(piece) * bits), 8)
        size += len(images) * divide_up(span[1] - span[0], 8) * has_mask
        is_last = bool(entries.is_last[entries.tile_first[number]])
        if is_last:
            size += sum(one.size(span[:1], span[1:])[images.start : images.stop].sum() for one in added)
        loads.append(int(size))
        back = stored.size(span[:1], span[1:])[images.start : images.stop].sum()
        write_backs.append(int(back) if is_last else 0)
        shares = owned[entries.tile_first[number] : entries.tile_first[number + 1]]
        tile_outputs.append(int(divide_up(shares * (memory.acc_bits if is_cut else bits), 8).sum()))
    return Traffic(
        tile_first=entries.tile_first,
        tile_load_bytes=np.array(loads, dtype=np.int64),
        tile_write_back_bytes=np.array(write_backs, dtype=np.int64),
        burst_first=burst_first,
        burst_bytes=burst_bytes,
        burst_cycles=burst_cycles,
        pes=owned,
        ppu_read_bytes=read,
        ppu_elements=owned,
        ppu_write_bytes=np.where(entries.is_last, final, partial),
        store_writes=words,
        footprint_bytes=max(tile_outputs) * (1 if is_cut else 2) + 2 * max(loads),
        tiling=f"{sizes[0]}x{sizes[1]}|{sizes[2]}",
    ), entries.task_numbers(limits)


ItemRows = Callable[[int], tuple[IntArray, IntArray, IntArray]]


def pack_items(
    runs: list[IntArray], item_rows: ItemRows, first: IntArray, pes: IntArray, low: IntArray, high: IntArray,
    outputs: int, width: int, mask_bytes: IntArray, memory: MemoryShare,
) -> tuple[IntArray, IntArray, IntArray, int]:  # fmt: skip
    """Pack the entries of every image (or filter) in turn: counted first, then filled.

    item_rows: driver bytes ``(1, items, 1)``, second bytes and cycles ``(outputs, items, 1)`` of a run of entries.
    """
    half = memory.half_store_bytes or UNLIMITED_BYTES
    counts = np.zeros(len(first), dtype=np.int64)
    burst_first = np.zeros(len(first) + 1, dtype=np.int64)
    burst_bytes, burst_cycles = np.zeros(0, dtype=np.int64), np.zeros((0, width), dtype=np.int64)
    words = 0
    for fills in (False, True):
        words = 0
        for number, run in enumerate(runs):
            drivers, second, cycles = (np.ascontiguousarray(rows) for rows in item_rows(number))
            words += int(
                pack_rows(
                    run, first, pes, low, high, outputs, drivers, second, cycles, mask_bytes, half,
                    memory.data_bits, fills, counts, burst_first, burst_bytes, burst_cycles,
                )
            )  # fmt: skip
        if not fills:
            burst_first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            burst_bytes = np.zeros(burst_first[-1], dtype=np.int64)
            burst_cycles = np.zeros((burst_first[-1], width), dtype=np.int64)
    return burst_first, burst_bytes, burst_cycles, words


def make_outer_traffic(operands: Operands, step: Step, array: PEArray, memory: MemoryShare) -> tuple[Traffic, IntArray]:
    """GTW: an item an image, one output's gradient and each PE's block of inputs; none where that gradient is 0."""
    assert isinstance(operands.shape, LinearShape)
    shape, B = operands.shape, array.pes_per_group
    run = count_kernels_per_pe(shape, array)
    block = B * run
    blocks = Blocks(shape.in_features, B, run)
    gradients = store_vectors(operands.grad_output != 0, array, memory)
    inputs = store_vectors(operands.input != 0, array, memory)
    limits, cuts = (shape.out_features, blocks.per_group), (shape.batch,)
    sizes = np.array([*limits, *cuts], dtype=np.int64)
    forms = FORM_NUMBERS[gradients.form], FORM_NUMBERS[inputs.form]
    tables = (gradients.running, forms[0], inputs.running, forms[1], memory.data_bits)
    if memory.capacity_bytes is not None:
        sizes, _ = search_outer(*tables, memory.acc_bits, block, memory.capacity_bytes)
        if not sizes.all():
            ones = np.ones(3, dtype=np.int64)
            least = size_products_tile(ones, limits[0], shape.in_features, block, memory.acc_bits)
            least = least * (2 if shape.batch == 1 else 1) + 2 * measure_outer_tile(ones, *tables, block)
            require_tiling(operands.layer, step.value, sizes, int(least), memory.capacity_bytes)
    entries = list_entries(limits, cuts, tuple(int(size) for size in sizes))
    m, b = entries.places.T
    first = b * block
    owned = np.minimum(shape.in_features, first + block) - first

    starts = np.arange(0, shape.in_features, run)
    ends = np.minimum(starts + run, shape.in_features)
    piece_bytes = inputs.size(starts, ends)
    elements = inputs.count(starts, ends) if array.skip_zeros else np.broadcast_to(ends - starts, piece_bytes.shape)
    cycles = (array.row_overhead_cycles + divide_up(elements, array.multipliers_per_pe)).T[:, :, None]
    second = np.ascontiguousarray(piece_bytes.T)[:, :, None]
    filters = np.arange(shape.out_features)
    driver_bytes = gradients.size(filters, filters + 1)
    if array.skip_zeros:
        driver_bytes = np.where(operands.grad_output != 0, driver_bytes, -1)

    def item_rows(group: int) -> tuple[IntArray, IntArray, IntArray]:
        return driver_bytes[:, group][None, :, None], second, cycles

    by_filter = np.split(np.argsort(m, kind="stable"), np.cumsum(np.bincount(m, minlength=shape.out_features))[:-1])
    none = np.zeros_like(owned)
    low, high = np.ascontiguousarray(entries.low[:, 0]), np.ascontiguousarray(entries.high[:, 0])
    pes = divide_up(owned, run)
    packed = pack_items(by_filter, item_rows, b * B, pes, low, high, len(starts), B, none, memory)
    burst_first, burst_bytes, burst_cycles, words = packed

    write = divide_up(owned * memory.acc_bits, 8)
    loads, write_backs, tile_outputs = [], [], []
    is_cut = int(sizes[2]) < shape.batch
    for number, (rows, runs, images) in enumerate(entries.tiles):
        span = np.array([runs.start * block, min(shape.in_features, runs.stop * block)])
        size = gradients.size(np.array([rows.start]), np.array([rows.stop]))[images.start : images.stop].sum()
        size += inputs.size(span[:1], span[1:])[images.start : images.stop].sum()
        loads.append(int(size))
        results = int(write[entries.tile_first[number] : entries.tile_first[number + 1]].sum())
        tile_outputs.append(results)
        write_backs.append(results if entries.is_last[entries.tile_first[number]] else 0)
    return Traffic(
        tile_first=entries.tile_first,
        tile_load_bytes=np.array(loads, dtype=np.int64),
        tile_write_back_bytes=np.array(write_backs, dtype=np.int64),
        burst_first=burst_first,
        burst_bytes=burst_bytes,
        burst_cycles=burst_cycles,
        pes=pes,
        ppu_read_bytes=np.where(entries.is_first, 0, write),
        ppu_elements=owned,
        ppu_write_bytes=write,
        store_writes=words,
        footprint_bytes=max(tile_outputs) * (1 if is_cut else 2) + 2 * max(loads),
        tiling=f"{sizes[0]}x{sizes[1]}|{sizes[2]}",
    ), entries.task_numbers(limits)
