"""Tiles, bursts and results of Forward and GTA of a convolution (sections 6 and 7 of the machine's definition)."""

from __future__ import annotations

import numpy as np

from dataflows.contract.entries import Entries, list_entries, require_tiling
from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.rows.geometry import span_rows
from dataflows.sparsetrain.conv_rows.chunk_cycles import ChunkCycles
from dataflows.sparsetrain.conv_rows.chunks import IMAGE, cut_chunks, fill_bursts
from dataflows.sparsetrain.conv_rows.plan import RowsPlan, plan_rows
from dataflows.storage.row_sizes import size_raw
from dataflows.storage.written import masks_in_ppu
from dataflows.tiling.bursts import UNLIMITED_BYTES
from dataflows.tiling.kinds import find_kinds
from dataflows.tiling.search import RowBytes, RowsTables, measure_rows_tile, search_rows
from dataflows.tiling.traffic import Bursts, EntryResults, TileBytes, assemble_traffic
from workloads.arrays import IntArray
from workloads.shapes import Step


def tabulate_rows(plan: RowsPlan) -> RowsTables:
    """Sum driver bytes, and note which driver rows and kernel rows each result row meets."""
    used = np.zeros(plan.driver_bytes.shape[3], dtype=np.bool_)
    used[plan.pairs[plan.pairs >= 0]] = True
    by_place = np.where(used, plan.driver_bytes, 0).transpose(1, 0, 3, 2)
    drivers = np.pad(by_place, [(0, 0), (1, 0), (1, 0), (1, 0)]).cumsum(1).cumsum(2).cumsum(3)
    span_low, span_high = span_rows(plan.pairs)
    met = np.pad(plan.pairs >= 0, [(1, 0), (0, 0)]).cumsum(axis=0).astype(np.int64)
    block_group = np.repeat(np.arange(plan.shape.groups), plan.blocks.per_group).astype(np.int64)
    summed = np.zeros((1, 1, 1), dtype=np.int64)
    if plan.summed_bytes is not None:
        summed = np.pad(plan.summed_bytes, (1, 0)).cumsum(0).cumsum(1).cumsum(2)
    return RowsTables(
        np.ascontiguousarray(drivers), span_low, span_high, met, block_group, plan.first_outputs(), summed
    )  # fmt: skip


def make_rows_traffic(problem: StepProblem) -> tuple[Traffic, IntArray]:
    """Cut Forward or GTA into tiles and its tasks into bursts; also give the task of each dispatch entry.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    plan = plan_rows(problem)
    tables = tabulate_rows(plan)
    sizes = find_rows_tiling(plan, tables)
    entries = list_entries(plan.limits, (plan.reductions,), tuple(int(size) for size in sizes))
    return pack_rows_traffic(plan, tables, entries, sizes), entries.task_numbers(plan.limits)


def find_rows_tiling(plan: RowsPlan, tables: RowsTables) -> IntArray:
    """Find the run lengths of (image, result row, block, reduction), int64 ``(4,)``.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    memory = plan.problem.share
    sizes = np.array([*plan.limits, plan.reductions], dtype=np.int64)
    if memory.capacity_bytes is not None:
        row_bytes = RowBytes(
            weight=plan.weight_row_bytes,
            mask=plan.mask_row_bytes,
            whole=size_raw(plan.geometry.result_width, memory.data_bits),
            partial=size_raw(plan.geometry.result_width, memory.acc_bits),
        )
        sizes, _ = search_rows(tables, row_bytes, memory.capacity_bytes)
        if not sizes.all():
            # Either all runs are 1, with partial rows at acc_bits, or the reduction is whole, with two output tiles.
            outputs = int(tables.block_outputs[1])
            choices = [(np.array([1, 1, 1, plan.reductions], dtype=np.int64), 2 * outputs * row_bytes.whole)]
            if plan.reductions > 1:
                choices.append((np.ones(4, dtype=np.int64), outputs * row_bytes.partial))
            least = min(
                output + 2 * int(measure_rows_tile(runs, *tables.parts(), row_bytes.weight, row_bytes.mask))
                for runs, output in choices
            )
            require_tiling(plan.problem.operands.layer, plan.problem.step.value, sizes, least, memory.capacity_bytes)
    return sizes


def pack_rows_traffic(plan: RowsPlan, tables: RowsTables, entries: Entries, sizes: IntArray) -> Traffic:
    """Pack the entries' operand bursts and size what passes the PPU and the DRAM channel."""
    memory, n, x, b = plan.problem.share, *entries.places.T
    first = tables.block_outputs[b]
    outputs = tables.block_outputs[b + 1] - first
    outputs = np.minimum(outputs, plan.blocks.pes)
    mask_bytes = outputs * plan.mask_row_bytes
    fetched_mask = np.zeros_like(mask_bytes) if masks_in_ppu(plan.problem) else mask_bytes
    bursts = pack_all_rows(plan, entries, first, outputs, fetched_mask)

    passes = np.ones(len(x), dtype=np.bool_)
    if plan.problem.step is Step.GTA and plan.summed_bytes is None:
        passes = np.any(plan.pairs >= 0, axis=1)[x]
    added_bytes = mask_bytes if masks_in_ppu(plan.problem) else np.zeros_like(mask_bytes)
    if plan.summed_bytes is not None:
        added_bytes = added_bytes + sum_outputs(plan.summed_bytes, n, first, outputs, x)
    results = EntryResults(
        pes=outputs,
        elements=outputs * plan.geometry.result_width,
        partial_bytes=outputs * size_raw(plan.geometry.result_width, memory.acc_bits),
        whole_bytes=outputs * size_raw(plan.geometry.result_width, memory.data_bits),
        written_bytes=sum_outputs(plan.written.row_bytes, n, first, outputs, x),
        added_bytes=added_bytes,
        passes=passes,
    )
    return assemble_traffic(entries, sizes, bursts, results, TileBytes(size_loads(plan, tables, entries)))


def sum_outputs(row_bytes: IntArray, n: IntArray, first: IntArray, outputs: IntArray, x: IntArray) -> IntArray:
    """Sum bytes of rows ``(N, outputs, X)`` over the outputs of each entry, ``(entries,)``."""
    running = np.pad(row_bytes, [(0, 0), (1, 0), (0, 0)]).cumsum(axis=1)
    sums: IntArray = running[n, first + outputs, x] - running[n, first, x]
    return sums


def size_loads(plan: RowsPlan, tables: RowsTables, entries: Entries) -> IntArray:
    """Size the loads of all tiles."""
    loads = []
    for images, rows, blocks, channels in entries.tiles:
        x, x_end = rows.start, rows.stop
        low, high = tables.span_low[x], max(tables.span_low[x], tables.span_high[x_end - 1])
        groups = slice(tables.block_group[blocks.start], tables.block_group[blocks.stop - 1] + 1)
        outputs = int(tables.block_outputs[blocks.stop] - tables.block_outputs[blocks.start])
        corners = tables.drivers[groups][:, [images.start, images.stop]][:, :, [low, high]]
        corners = corners[:, :, :, [channels.start, channels.stop]]
        drivers = int(np.diff(np.diff(np.diff(corners, axis=1), axis=2), axis=3).sum())
        used = int((tables.kernel_rows[x_end] > tables.kernel_rows[x]).sum())
        mask = len(images) * len(rows) * outputs * plan.mask_row_bytes
        summed = 0
        if plan.summed_bytes is not None and channels.stop == plan.reductions:
            owned = slice(tables.block_outputs[blocks.start], tables.block_outputs[blocks.stop])
            summed = int(plan.summed_bytes[images.start : images.stop, owned, x:x_end].sum())
        loads.append(drivers + outputs * len(channels) * used * plan.weight_row_bytes + mask + summed)
    return np.array(loads, dtype=np.int64)


def pack_all_rows(plan: RowsPlan, entries: Entries, first: IntArray, outputs: IntArray, mask_bytes: IntArray) -> Bursts:
    """Cut the items of every kind of entry into bursts, and fill them in for every entry."""
    half = plan.problem.share.half_store_bytes or UNLIMITED_BYTES
    bits = plan.problem.share.data_bits
    n, x, _ = entries.places.T
    columns = [n, x, first // plan.blocks.outputs, outputs, entries.low[:, 0], entries.high[:, 0]]
    kinds, kind_of = find_kinds(columns)
    chunks = cut_chunks(kinds, plan.driver_bytes, plan.pairs, plan.weight_row_bytes, half, bits)
    burst_first = np.append(0, np.cumsum(chunks.bursts[kind_of])).astype(np.int64)
    burst_bytes = np.zeros(burst_first[-1], dtype=np.int64)
    burst_cycles = np.zeros((burst_first[-1], plan.blocks.pes), dtype=np.int64)
    cost = ChunkCycles(plan)
    order = np.argsort(kind_of, kind="stable")
    # Cycles are made image by image: they take more room than the bursts that they are summed into.
    for image in np.unique(kinds[:, IMAGE]):
        start, end = (int(kind) for kind in np.searchsorted(kinds[:, IMAGE], [image, image + 1]))
        members = order[slice(*np.searchsorted(kind_of[order], [start, end]))]
        part = chunks.span(start, end)
        fill_bursts(
            members, kind_of - start, first % plan.blocks.outputs, outputs, mask_bytes, part.first, part.size_bytes,
            part.segments, half, cost.sum_up(kinds[start:end], part), burst_first, burst_bytes, burst_cycles,
            np.zeros(plan.blocks.pes, dtype=np.int64),
        )  # fmt: skip
    writes = chunks.store_writes[kind_of] + np.where(chunks.bursts[kind_of] > 0, -(-mask_bytes * 8 // bits), 0)
    return Bursts(burst_first, burst_bytes, burst_cycles, writes.astype(np.int64))
