"""Tiles, bursts and results of Forward and GTA of a fully connected layer (sections 6 and 7 of the definition)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dataflows.contract.entries import Entries, list_entries
from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.sparsetrain.linear_products.plan import ProductsPlan, find_products_tiling, plan_products
from dataflows.storage.row_sizes import size_raw
from dataflows.storage.written import masks_in_ppu
from dataflows.tiling.items import ItemEntries, divide_up, pack_items
from dataflows.tiling.occupancy import pair_bits
from dataflows.tiling.streams import TileLoads
from dataflows.tiling.traffic import Bursts, EntryResults, TileBytes, assemble_traffic
from workloads.arrays import BoolArray, IntArray


def make_products_traffic(problem: StepProblem) -> tuple[Traffic, IntArray]:
    """Forward and GTA: a task is one item, the driver row and the weight rows of the PEs that work."""
    plan = plan_products(problem)
    sizes = find_products_tiling(plan.move())
    entries = list_entries(plan.limits[:2], plan.limits[2:], tuple(int(size) for size in sizes))
    return pack_products_traffic(plan, entries, sizes), entries.task_numbers(plan.limits[:2])


def pack_products_traffic(plan: ProductsPlan, entries: Entries, sizes: IntArray) -> Traffic:
    """Pack the entries' operand bursts and size what passes the PPU and the DRAM channel."""
    bursts, results = describe_products(plan, entries, int(sizes[2]))
    tiles = size_tiles(plan.move(), entries)
    if not plan.problem.share.kept.is_empty:
        tiles = replace(tiles, in_full=size_tiles(plan, entries))
    return assemble_traffic(entries, sizes, bursts, results, tiles)


def describe_products(plan: ProductsPlan, entries: Entries, piece: int) -> tuple[Bursts, EntryResults]:
    """Pack the entries' operand bursts, and say what they hand to the PPU.

    Args:
        piece: Elements of a cut driver row.
    """
    memory, (n, b) = plan.problem.share, entries.places.T
    first = b * plan.problem.array.pes_per_group
    owned = np.minimum(plan.outputs, first + plan.problem.array.pes_per_group) - first
    works = find_working(plan)
    mask_bytes = divide_up(owned, 8) if plan.has_mask else np.zeros_like(owned)
    none = np.zeros_like(owned)
    is_masked_late = masks_in_ppu(plan.problem)
    bursts = pack_products(plan, entries, piece, works, owned, none if is_masked_late else mask_bytes)

    final = divide_up(owned * memory.data_bits, 8)
    passes = np.ones(len(owned), dtype=np.bool_)
    if plan.problem.writes_gradient and not plan.summed:
        starts = np.arange(0, plan.outputs, plan.problem.array.pes_per_group)
        passes = np.logical_or.reduceat(works & find_driven(plan)[:, None], starts, axis=1)[n, b]
    results = EntryResults(
        pes=owned,
        elements=owned,
        partial_bytes=divide_up(owned * memory.acc_bits, 8),
        whole_bytes=final,
        written_bytes=final,
        added_bytes=(mask_bytes if is_masked_late else none) + len(plan.summed) * final,
        passes=passes,
    )
    return bursts, results


def find_driven(plan: ProductsPlan) -> BoolArray:
    """Tell for which images the driver row gives work, bool ``(N,)``: all of them, but where empty rows are none."""
    return plan.drivers.nonzeros > 0 if plan.problem.array.passes_empty_rows else plan.drivers.nonzeros >= 0


def find_working(plan: ProductsPlan) -> BoolArray:
    """Tell which results a PE works for, bool ``(N, outputs)``: those that the mask it knows does not hold at zero."""
    mask = plan.problem.mask
    if mask is None or masks_in_ppu(plan.problem):
        return np.ones((plan.shape.batch, plan.outputs), dtype=np.bool_)
    return mask


def pack_products(
    plan: ProductsPlan, entries: Entries, piece: int, works: BoolArray, owned: IntArray, mask_bytes: IntArray
) -> Bursts:
    """Pack the bursts of every entry, whose only item is a piece of the driver row with the PEs' rows of weights."""
    array, memory, (n, b) = plan.problem.array, plan.problem.share, entries.places.T
    low = np.arange(0, plan.depth, piece, dtype=np.int64)
    high, part = np.minimum(low + piece, plan.depth), entries.low[:, 0] // piece
    fetched = plan.drivers.lie_raw(is_raw=plan.problem.lies_raw(plan.problem.driver_name))
    driver_bytes = fetched.size(low, high)
    elements = plan.drivers.count(low, high) if array.skip_zeros else np.broadcast_to(high - low, driver_bytes.shape)
    cycles = array.row_overhead_cycles + divide_up(elements, array.multipliers_per_pe)
    weight_bytes = divide_up((high - low) * memory.data_bits, 8)
    if array.passes_empty_rows:
        driver_bytes = np.where(elements > 0, driver_bytes, -1)

    def item_rows(image: int) -> tuple[IntArray, IntArray, IntArray]:
        second = np.where(works[image][:, None], weight_bytes, -1)[:, :, None]
        spent = np.broadcast_to(cycles[image], (plan.outputs, len(low)))[:, :, None]
        return driver_bytes[image][None, :, None], second, spent

    by_image = [np.flatnonzero(n == image) for image in range(plan.shape.batch)]
    B = array.pes_per_group
    items = ItemEntries(b * B, owned, part, part + 1, mask_bytes)
    return pack_items(by_image, item_rows, items, plan.outputs, B, memory)


def size_tiles(plan: ProductsPlan, entries: Entries) -> TileBytes:
    """Size the loads of all tiles, and what they write back: compressed on the way to DRAM."""
    B, bits = plan.problem.array.pes_per_group, plan.problem.share.data_bits
    sizes, first_rows, write_backs, loaded, written = [], [], [], [], []
    for images, blocks, piece in entries.tiles:
        first, end = np.array([blocks.start * B]), np.array([min(plan.outputs, blocks.stop * B)])
        outputs, chosen = int(end[0] - first[0]), slice(images.start, images.stop)
        is_last = piece.stop == plan.depth
        sizes.append(
            (
                int(plan.drivers.size(np.array([piece.start]), np.array([piece.stop]))[chosen].sum()),
                outputs * size_raw(len(piece), bits),
                len(images) * size_raw(outputs, 1) * plan.has_mask,
                sum(int(gradient.size(first, end)[chosen].sum()) for gradient in plan.summed) if is_last else 0,
            )
        )
        first_rows.append(plan.find_first_elements(images.start, int(first[0]), piece.start))
        write_backs.append(int(plan.written.size(first, end)[chosen].sum()))
        moved = plan.size_row_bits(len(images), is_last=is_last)
        loaded.append(moved[0])
        written.append(moved[1])
    loads = TileLoads(plan.list_tensors(), sizes, first_rows)
    return TileBytes(loads.total, np.array(write_backs, dtype=np.int64), pair_bits(loaded, written), loads)
