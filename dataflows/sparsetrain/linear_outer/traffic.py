"""Tiles, bursts and results of GTW of a fully connected layer (sections 6 and 7 of the definition)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.entries import Entries, list_entries
from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.sparsetrain.linear_outer.plan import OuterPlan, find_outer_tiling, plan_outer
from dataflows.storage.row_sizes import size_raw
from dataflows.tiling.items import ItemEntries, divide_up, pack_items
from dataflows.tiling.occupancy import pair_bits, size_bits
from dataflows.tiling.streams import Placed, TileLoads, place_vectors
from dataflows.tiling.traffic import EntryResults, TileBytes, assemble_traffic
from workloads.arrays import IntArray
from workloads.shapes import Step


def make_outer_traffic(problem: StepProblem) -> tuple[Traffic, IntArray]:
    """GTW: an item an image, one output's gradient and each PE's block of inputs; none where that gradient is 0."""
    assert problem.step is Step.GTW
    plan = plan_outer(problem)
    sizes = find_outer_tiling(plan.move())
    entries = list_entries(plan.limits[:2], plan.limits[2:], tuple(int(size) for size in sizes))
    return pack_outer_traffic(plan, entries, sizes, plan.find_idle()), entries.task_numbers(plan.limits[:2])


def pack_outer_traffic(plan: OuterPlan, entries: Entries, sizes: IntArray, idle: NDArray[np.bool_]) -> Traffic:
    """Pack the entries' operand bursts and size what passes the PPU and the DRAM channel.

    Args:
        idle: Tasks without a product in any part of the reduction ``(M, blocks)``, which hand nothing to the PPU.
    """
    operands, shape, array, memory = plan.problem.operands, plan.shape, plan.problem.array, plan.problem.share
    B, run, block = array.pes_per_group, plan.run, plan.block
    gradients = plan.gradients.lie_raw(is_raw=plan.problem.lies_raw("grad_output"))
    inputs = plan.inputs.lie_raw(is_raw=plan.problem.lies_raw("input"))
    m, b = entries.places.T
    first = b * block
    owned = np.minimum(shape.in_features, first + block) - first

    starts = np.arange(0, shape.in_features, run)
    ends = np.minimum(starts + run, shape.in_features)
    piece_bytes = inputs.size(starts, ends)
    elements = inputs.count(starts, ends) if array.skip_zeros else np.broadcast_to(ends - starts, piece_bytes.shape)
    cycles = (array.row_overhead_cycles + divide_up(elements, array.multipliers_per_pe)).T[:, :, None]
    fetched = np.where(elements > 0, piece_bytes, -1) if array.passes_empty_rows else piece_bytes
    second = np.ascontiguousarray(fetched.T)[:, :, None]
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
    items = ItemEntries(b * B, pes, low, high, none)
    bursts = pack_items(by_filter, item_rows, items, len(starts), B, memory)
    result_bytes = divide_up(owned * memory.acc_bits, 8)
    results = EntryResults(
        pes=pes,
        elements=owned,
        partial_bytes=result_bytes,
        whole_bytes=result_bytes,
        written_bytes=result_bytes,
        added_bytes=none,
        passes=~idle[m, b],
    )
    tiles = size_tiles(plan.move(), entries)
    if not memory.kept.is_empty:
        tiles = replace(tiles, in_full=size_tiles(plan, entries))
    return assemble_traffic(entries, sizes, bursts, results, tiles)


def size_tiles(plan: OuterPlan, entries: Entries) -> TileBytes:
    """Size what all tiles load, and the bits of its rows."""
    tensors = plan.gradients.is_moved + plan.inputs.is_moved
    loaded = [size_bits(plan.problem.array, [len(images)] * tensors) for _, _, images in entries.tiles]
    loads = size_loads(plan, entries)
    return TileBytes(loads.total, bits=pair_bits(loaded, [0] * len(loaded)), places=loads)


def size_loads(plan: OuterPlan, entries: Entries) -> TileLoads:
    """Size the loads of all tiles: gradients and inputs."""
    shape, sizes, first_elements = plan.shape, [], []
    for filters, blocks, images in entries.tiles:
        first, end = blocks.start * plan.block, min(plan.shape.in_features, blocks.stop * plan.block)
        chosen, image, m = slice(images.start, images.stop), images.start, filters.start
        gradients = plan.gradients.size(np.array([m]), np.array([filters.stop]))[chosen].sum()
        inputs = plan.inputs.size(np.array([first]), np.array([end]))[chosen].sum()
        sizes.append((int(gradients), int(inputs)))
        elements = image * shape.out_features + m, image * shape.in_features + first, m * shape.in_features + first
        first_elements.append(elements)
    weights = shape.out_features * shape.in_features
    written = Placed(shape.out_features * size_raw(shape.in_features, plan.problem.share.acc_bits), weights)
    return TileLoads([place_vectors(plan.gradients), place_vectors(plan.inputs), written], sizes, first_elements)
