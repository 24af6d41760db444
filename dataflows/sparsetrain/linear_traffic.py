"""Tiles, bursts and results of a fully connected layer (sections 6 and 7 of the machine's definition)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.array import PEArray
from dataflows.contract.entries import Entries, list_entries
from dataflows.contract.memory import MemoryShare, Traffic
from dataflows.sparsetrain.linear_plan import (
    OuterPlan,
    ProductsPlan,
    find_outer_tiling,
    find_products_tiling,
    plan_outer,
    plan_products,
)
from dataflows.storage.written import masks_in_ppu
from dataflows.tiling.bursts import UNLIMITED_BYTES, pack_rows
from workloads.arrays import IntArray
from workloads.operands import Operands
from workloads.shapes import Step


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
    plan = plan_products(operands, step, array, memory)
    sizes = find_products_tiling(plan)
    entries = list_entries(plan.limits[:2], plan.limits[2:], tuple(int(size) for size in sizes))
    return pack_products_traffic(plan, entries, sizes), entries.task_numbers(plan.limits[:2])


def pack_products_traffic(plan: ProductsPlan, entries: Entries, sizes: IntArray) -> Traffic:
    """Pack the entries' operand bursts and size what passes the PPU and the DRAM channel."""
    operands, shape, array, memory = plan.operands, plan.shape, plan.array, plan.memory
    B, bits, outputs, has_mask = array.pes_per_group, memory.data_bits, plan.outputs, plan.has_mask
    vectors, stored, added = plan.vectors, plan.stored, plan.added
    is_masked_late = masks_in_ppu(operands, array)
    n, b = entries.places.T
    first = b * B
    owned = np.minimum(outputs, first + B) - first

    low = np.arange(0, plan.depth, int(sizes[2]), dtype=np.int64)
    high, part = np.minimum(low + sizes[2], plan.depth), entries.low[:, 0] // sizes[2]
    driver_bytes = vectors.size(low, high)
    elements = vectors.count(low, high) if array.skip_zeros else np.broadcast_to(high - low, driver_bytes.shape)
    cycles = array.row_overhead_cycles + divide_up(elements, array.multipliers_per_pe)
    weight_bytes = divide_up((high - low) * bits, 8)
    works = np.ones((shape.batch, outputs), dtype=np.bool_)
    if plan.step is Step.GTA and not is_masked_late and operands.mask is not None:
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
    passes = np.ones(len(owned), dtype=np.bool_)
    if plan.step is Step.GTA and not added:
        passes = np.logical_or.reduceat(works, np.arange(0, outputs, B), axis=1)[n, b]
    loads, write_backs, tile_outputs = [], [], []
    is_cut = int(sizes[2]) < plan.depth
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
        ppu_read_bytes=np.where(passes, read, 0),
        ppu_elements=np.where(passes, owned, 0),
        ppu_write_bytes=np.where(passes, np.where(entries.is_last, final, partial), 0),
        store_writes=words,
        footprint_bytes=max(tile_outputs) * (1 if is_cut else 2) + 2 * max(loads),
        tiling=f"{sizes[0]}x{sizes[1]}|{sizes[2]}",
    )


ItemRows = Callable[[int], tuple[IntArray, IntArray, IntArray]]


def pack_items(
    runs: list[IntArray], item_rows: ItemRows, first: IntArray, pes: IntArray, low: IntArray, high: IntArray,
    outputs: int, width: int, mask_bytes: IntArray, memory: MemoryShare,
) -> tuple[IntArray, IntArray, IntArray, IntArray]:  # fmt: skip
    """Pack the entries of every image (or filter) in turn: counted first, then filled.

    item_rows: driver bytes ``(1, items, 1)``, second bytes and cycles ``(outputs, items, 1)`` of a run of entries.
    """
    half = memory.half_store_bytes or UNLIMITED_BYTES
    counts = np.zeros(len(first), dtype=np.int64)
    burst_first = np.zeros(len(first) + 1, dtype=np.int64)
    burst_bytes, burst_cycles = np.zeros(0, dtype=np.int64), np.zeros((0, width), dtype=np.int64)
    words = np.zeros(len(first), dtype=np.int64)
    for fills in (False, True):
        for number, run in enumerate(runs):
            drivers, second, cycles = (np.ascontiguousarray(rows) for rows in item_rows(number))
            pack_rows(
                run, first, pes, low, high, outputs, drivers, second, cycles, mask_bytes, half, memory.data_bits,
                fills, counts, burst_first, burst_bytes, burst_cycles, words, np.zeros(width, dtype=np.int64),
            )  # fmt: skip
        if not fills:
            burst_first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            burst_bytes = np.zeros(burst_first[-1], dtype=np.int64)
            burst_cycles = np.zeros((burst_first[-1], width), dtype=np.int64)
    return burst_first, burst_bytes, burst_cycles, words


def make_outer_traffic(operands: Operands, step: Step, array: PEArray, memory: MemoryShare) -> tuple[Traffic, IntArray]:
    """GTW: an item an image, one output's gradient and each PE's block of inputs; none where that gradient is 0."""
    assert step is Step.GTW
    plan = plan_outer(operands, array, memory)
    sizes = find_outer_tiling(plan)
    entries = list_entries(plan.limits[:2], plan.limits[2:], tuple(int(size) for size in sizes))
    return pack_outer_traffic(plan, entries, sizes, plan.find_idle()), entries.task_numbers(plan.limits[:2])


def pack_outer_traffic(plan: OuterPlan, entries: Entries, sizes: IntArray, idle: NDArray[np.bool_]) -> Traffic:
    """Pack the entries' operand bursts and size what passes the PPU and the DRAM channel.

    idle: filters without a product in any part of the reduction, ``(M,)``; their tasks hand nothing to the PPU.
    """
    operands, shape, array, memory = plan.operands, plan.shape, plan.array, plan.memory
    B, run, block, gradients, inputs = array.pes_per_group, plan.run, plan.block, plan.gradients, plan.inputs
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
        ppu_read_bytes=np.where(entries.is_first | idle[m], 0, write),
        ppu_elements=np.where(idle[m], 0, owned),
        ppu_write_bytes=np.where(idle[m], 0, write),
        store_writes=words,
        footprint_bytes=max(tile_outputs) * (1 if is_cut else 2) + 2 * max(loads),
        tiling=f"{sizes[0]}x{sizes[1]}|{sizes[2]}",
    )
