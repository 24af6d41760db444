"""Tiles, bursts and results of Forward and GTA of a fully connected layer (sections 6 and 7 of the definition)."""

from __future__ import annotations

import numpy as np

from dataflows.contract.entries import Entries, list_entries
from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.sparsetrain.linear_products.plan import ProductsPlan, find_products_tiling, plan_products
from dataflows.storage.written import masks_in_ppu
from dataflows.tiling.items import divide_up, pack_items
from workloads.arrays import IntArray
from workloads.shapes import Step


def make_products_traffic(problem: StepProblem) -> tuple[Traffic, IntArray]:
    """Forward and GTA: a task is one item, the driver row and the weight rows of the PEs that work."""
    plan = plan_products(problem)
    sizes = find_products_tiling(plan)
    entries = list_entries(plan.limits[:2], plan.limits[2:], tuple(int(size) for size in sizes))
    return pack_products_traffic(plan, entries, sizes), entries.task_numbers(plan.limits[:2])


def pack_products_traffic(plan: ProductsPlan, entries: Entries, sizes: IntArray) -> Traffic:
    """Pack the entries' operand bursts and size what passes the PPU and the DRAM channel."""
    operands, shape, array, memory = plan.problem.operands, plan.shape, plan.problem.array, plan.problem.share
    B, bits, outputs, has_mask = array.pes_per_group, memory.data_bits, plan.outputs, plan.has_mask
    vectors, stored, added = plan.vectors, plan.stored, plan.added
    is_masked_late = masks_in_ppu(plan.problem)
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
    if plan.problem.step is Step.GTA and not is_masked_late and operands.mask is not None:
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
    if plan.problem.step is Step.GTA and not added:
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
