"""Tiles, bursts and results of Forward and GTA of a convolution (sections 6 and 7 of the machine's definition)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dataflows.contract.entries import Entries, list_entries, require_tiling
from dataflows.contract.memory import RowFormat, Traffic
from dataflows.contract.problem import StepProblem
from dataflows.sparsetrain.conv_rows.chunk_cycles import ChunkCycles
from dataflows.sparsetrain.conv_rows.chunks import IMAGE, STRIP, cut_chunks, fill_bursts, find_drivers
from dataflows.sparsetrain.conv_rows.plan import RowsPlan, plan_rows
from dataflows.storage.row_sizes import size_raw
from dataflows.storage.written import is_written_sparse, masks_in_ppu
from dataflows.tiling.bursts import UNLIMITED_BYTES
from dataflows.tiling.drivers import make_drivers, spread_drivers
from dataflows.tiling.kinds import find_kinds
from dataflows.tiling.occupancy import pair_bits, size_bits
from dataflows.tiling.pinned import pin_sizes, require_fit
from dataflows.tiling.rows_search import RowsTables, StripBytes, find_widest, measure_rows_tile, search_rows
from dataflows.tiling.spans import find_spans, run_sums, sum_box
from dataflows.tiling.streams import TileLoads, find_starts
from dataflows.tiling.traffic import Bursts, EntryResults, TileBytes, assemble_traffic
from workloads.arrays import BoolArray, IntArray


def tabulate_rows(plan: RowsPlan) -> RowsTables:
    """Sum driver bytes, and note which driver rows and kernel rows each result row meets."""
    taken = plan.driver_bytes if plan.windows[0] < 0 else plan.drivers.is_moved * np.ones_like(plan.driver_bytes)
    by_place = np.where(tabulate_used(plan), taken, 0).transpose(1, 0, 3, 2)
    drivers = run_sums(by_place, 3)
    met = np.pad(plan.pairs >= 0, [(1, 0), (0, 0)]).cumsum(axis=0).astype(np.int64)
    first_group, last_group = plan.blocks.group_ends
    masked = np.append(0, np.cumsum(mark_masked(plan))).astype(np.int64)
    summed = np.zeros((1, 1, 1), dtype=np.int64)
    summed_bytes, _ = plan.split_summed()
    if summed_bytes is not None:
        summed = run_sums(summed_bytes, 3)
    return RowsTables(
        drivers, find_spans(plan.pairs), met, masked, first_group, last_group,
        plan.blocks.first_outputs, summed, tabulate_strips(plan), plan.weight_row_bytes, plan.written_bytes,
    )  # fmt: skip


def tabulate_used(plan: RowsPlan) -> BoolArray:
    """Tell which driver rows meet any result row, ``(Y,)``."""
    used = np.zeros(plan.driver_bytes.shape[3], dtype=np.bool_)
    used[plan.pairs[plan.pairs >= 0]] = True
    return used


def mark_masked(plan: RowsPlan) -> BoolArray:
    """Tell the masks of which result rows are read, ``(X,)``: by a row operation, or by a PPU that all rows pass."""
    if masks_in_ppu(plan.problem) and plan.problem.summed:
        return np.ones(len(plan.pairs), dtype=np.bool_)
    return np.asarray((plan.pairs >= 0).any(axis=1))


def tabulate_strips(plan: RowsPlan) -> StripBytes:
    """Tell what the strips of a row take; a raw row's elements that several strips read are loaded once."""
    memory, count = plan.problem.share, len(plan.strips)
    windows = np.triu(np.ones((count + 1, count + 1), dtype=np.int64), 1)
    summed = np.zeros_like(windows)
    _, cut = plan.split_summed()
    for first, end in zip(*np.nonzero(windows), strict=True):
        if plan.windows[0] >= 0:
            read = {place for strip in plan.strips[first:end] for place in strip.window}
            windows[first, end] = size_raw(len(read), memory.data_bits)
        columns = plan.strips[end - 1].columns.stop - plan.strips[first].columns.start
        summed[first, end] = cut * size_raw(columns, memory.data_bits)

    def add_up(amounts: IntArray) -> IntArray:
        return np.append(0, np.cumsum(amounts)).astype(np.int64)

    whole, partial = plan.size_strips(memory.data_bits), plan.size_strips(memory.acc_bits)
    return StripBytes(windows, summed, add_up(plan.mask_bytes), add_up(whole), add_up(partial))


def make_rows_traffic(problem: StepProblem) -> tuple[Traffic, IntArray]:
    """Cut Forward or GTA into tiles and its tasks into bursts; also give the task of each dispatch entry.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    plan = plan_rows(problem)
    tables = tabulate_rows(plan.move())
    sizes = find_rows_tiling(plan, tables)
    entries = list_entries(plan.limits, (plan.reductions,), tuple(int(size) for size in sizes))
    return pack_rows_traffic(plan, tables, entries, sizes), entries.task_numbers(plan.limits)


def find_rows_tiling(plan: RowsPlan, tables: RowsTables) -> IntArray:
    """Find the run lengths of the task indices and of the reduction.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    memory, is_cut = plan.problem.share, len(plan.strips) > 1
    if (pinned := pin_sizes(plan.problem, plan.limits, (plan.reductions,))) is not None:
        require_fit(plan.problem, measure_need(plan, tables, pinned if is_cut else np.insert(pinned, 2, 1)))
        return pinned
    if memory.capacity_bytes is None:
        return np.array([*plan.limits, plan.reductions], dtype=np.int64)
    sizes = search_rows(tables, memory.capacity_bytes).sizes
    if not sizes.all():
        # Either all runs are 1, with partial rows at acc_bits, or the reduction is whole, with two output tiles.
        least = min(
            measure_need(plan, tables, np.array([1, 1, 1, 1, depth], dtype=np.int64)) for depth in (plan.reductions, 1)
        )
        require_tiling(plan.problem.operands.layer, plan.problem.own.step.value, sizes, least, memory)
    return sizes if is_cut else np.delete(sizes, 2)


def measure_need(plan: RowsPlan, tables: RowsTables, sizes: IntArray) -> int:
    """Give the bytes of the buffer that run lengths of (image, row, strip, block, channel) need."""
    images, rows, strips, blocks, depth = (int(size) for size in sizes)
    outputs = images * rows * int(find_widest(tables.block_outputs, blocks))
    is_whole = depth == plan.reductions
    strip_bytes = int(find_widest(tables.strips.whole if is_whole else tables.strips.partial, strips))
    load = int(measure_rows_tile(sizes, *tables.parts(), tables.weight))
    return (2 if is_whole else 1) * outputs * strip_bytes + 2 * load


def pack_rows_traffic(plan: RowsPlan, tables: RowsTables, entries: Entries, sizes: IntArray) -> Traffic:
    """Pack the entries' operand bursts and size what passes the PPU and the DRAM channel."""
    memory, (n, x, strip, b) = plan.problem.share, plan.split_places(entries.places)
    first = tables.block_outputs[b]
    outputs = np.minimum(tables.block_outputs[b + 1] - first, plan.blocks.pes)
    mask_bytes = outputs * plan.mask_bytes[strip]
    in_ppu = masks_in_ppu(plan.problem)
    bursts = pack_all_rows(plan, entries, first, outputs)

    passes = np.ones(len(x), dtype=np.bool_)
    summed_bytes, cut = plan.split_summed()
    if plan.problem.writes_gradient and summed_bytes is None:
        passes = find_working(plan, n, x, strip, (first, outputs))
    added_bytes = mask_bytes if in_ppu else np.zeros_like(mask_bytes)
    if summed_bytes is not None:
        added_bytes = added_bytes + sum_outputs(summed_bytes, n, first, outputs, x)
        added_bytes += outputs * cut * plan.size_strips(memory.data_bits)[strip]
    columns = np.array([len(one.columns) for one in plan.strips], dtype=np.int64)
    results = EntryResults(
        pes=outputs,
        elements=outputs * columns[strip],
        partial_bytes=outputs * plan.size_strips(memory.acc_bits)[strip],
        whole_bytes=outputs * plan.size_strips(memory.data_bits)[strip],
        written_bytes=sum_written(plan, n, x, strip, (first, outputs)),
        added_bytes=added_bytes,
        passes=passes,
    )
    tiles = size_tiles(plan.move(), tables, entries)
    if not memory.kept.is_empty:
        tiles = replace(tiles, in_full=size_tiles(plan, tabulate_rows(plan), entries))
    return assemble_traffic(entries, sizes, bursts, results, tiles)


def size_tiles(plan: RowsPlan, tables: RowsTables, entries: Entries) -> TileBytes:
    """Size what all tiles move."""
    loads = size_loads(plan, tables, entries)
    write_back = None if plan.written.is_moved else np.zeros(len(entries.tiles), dtype=np.int64)
    return TileBytes(loads.total, write_back, size_all_bits(plan, tables, entries), loads)


def sum_written(
    plan: RowsPlan, n: IntArray, x: IntArray, strip: IntArray, owned: tuple[IntArray, IntArray]
) -> IntArray:
    """Sum the stored bytes of what each entry writes.

    A strip of a compressed row of b bytes that ends at element e of X writes it up to ceil(b e / X).

    Args:
        owned: Its first output and their number, ``(entries,)`` both.
    """
    first, outputs = owned
    if len(plan.strips) == 1:
        return sum_outputs(plan.written.row_bytes, n, first, outputs, x)
    if plan.written.row_format is RowFormat.RAW:
        raw: IntArray = outputs * plan.size_strips(plan.problem.share.data_bits)[strip]
        return raw
    sums, before = np.zeros_like(first), np.zeros_like(plan.written.row_bytes)
    for place, one in enumerate(plan.strips):
        until = -(-plan.written.row_bytes * one.columns.stop // plan.geometry.result_width)
        mine = strip == place
        sums[mine] = sum_outputs(until - before, n[mine], first[mine], outputs[mine], x[mine])
        before = until
    return sums


def find_working(
    plan: RowsPlan, n: IntArray, x: IntArray, strip: IntArray, owned: tuple[IntArray, IntArray]
) -> BoolArray:
    """Tell which entries' tasks have a row operation in any part of their reduction, ``(entries,)``.

    Args:
        owned: Its first output and their number, ``(entries,)`` both.
    """
    if plan.operations is None:
        return np.asarray(np.any(plan.pairs >= 0, axis=1)[x])
    works = np.zeros(len(x), dtype=np.bool_)
    for place, operations in enumerate(plan.operations):
        mine = strip == place
        works[mine] = sum_outputs(operations, n[mine], owned[0][mine], owned[1][mine], x[mine]) > 0
    return works


def sum_outputs(row_bytes: IntArray, n: IntArray, first: IntArray, outputs: IntArray, x: IntArray) -> IntArray:
    """Sum bytes of rows ``(N, outputs, X)`` over the outputs of each entry, ``(entries,)``."""
    running = run_sums(row_bytes.transpose(0, 2, 1), 1)
    sums: IntArray = running[n, x, first + outputs] - running[n, x, first]
    return sums


def size_loads(plan: RowsPlan, tables: RowsTables, entries: Entries) -> TileLoads:
    """Size the loads of all tiles: driver rows, kernel rows, masks, and gradients that are added."""
    sizes, one_strip, strip_bytes = [], range(1), tables.strips
    for tile in entries.tiles:
        images, rows, blocks, channels = tile[0], tile[1], tile[-2], tile[-1]
        strips = tile[2] if len(plan.strips) > 1 else one_strip
        x, x_end = rows.start, rows.stop
        groups = slice(tables.first_group[blocks.start], tables.last_group[blocks.stop - 1] + 1)
        drivers = tables.spans.sum_up(tables.drivers[groups], images, rows, channels)
        owned = range(tables.block_outputs[blocks.start], tables.block_outputs[blocks.stop])
        used = int((tables.kernel_rows[x_end] > tables.kernel_rows[x]).sum())
        results, summed = len(images) * len(rows) * len(owned), 0
        masks = len(images) * int(tables.masked[x_end] - tables.masked[x]) * len(owned)
        if plan.summed and channels.stop == plan.reductions:
            summed = results * int(strip_bytes.summed[strips.start, strips.stop])
            summed += sum_box.function(tables.summed, images.start, images.stop, owned.start, owned.stop, x, x_end)
        sizes.append(
            (
                int(strip_bytes.windows[strips.start, strips.stop]) * drivers,
                len(owned) * len(channels) * used * plan.weight_row_bytes,
                masks * int(strip_bytes.mask[strips.stop] - strip_bytes.mask[strips.start]),
                summed,
            )
        )
    image, x, block, channel = find_starts(entries, (0, 1, -2, -1))
    first_rows = plan.find_first_rows(image, x, tables.block_outputs[block], channel)
    return TileLoads(plan.list_tensors(), sizes, first_rows)


def size_all_bits(plan: RowsPlan, tables: RowsTables, entries: Entries) -> tuple[IntArray, IntArray] | None:
    """Size the bits of all tiles' rows: of drivers, masks that PEs know, gradients that are added, and results."""
    array, problem = plan.problem.array, plan.problem
    if not array.passes_empty_rows:
        return None
    by_place = np.broadcast_to(tabulate_used(plan), plan.driver_bytes.shape).transpose(1, 0, 3, 2)
    counts = run_sums(by_place, 3)
    loaded, written = [], []
    for tile in entries.tiles:
        images, rows, blocks, channels = tile[0], tile[1], tile[-2], tile[-1]
        groups = slice(tables.first_group[blocks.start], tables.last_group[blocks.stop - 1] + 1)
        owned = int(tables.block_outputs[blocks.stop] - tables.block_outputs[blocks.start])
        results, is_last = len(images) * len(rows) * owned, channels.stop == plan.reductions
        masked = len(images) * int(tables.masked[rows.stop] - tables.masked[rows.start]) * owned
        drivers = int(tables.spans.sum_up(counts[groups], images, rows, channels)) * plan.drivers.is_moved
        loaded.append(
            size_bits(array, [drivers, masked * (problem.mask is not None), *[results * is_last] * len(plan.summed)])
        )
        written.append(size_bits(array, [results * is_last * is_written_sparse(problem) * plan.written.is_moved]))
    return pair_bits(loaded, written)


def pack_all_rows(plan: RowsPlan, entries: Entries, first: IntArray, outputs: IntArray) -> Bursts:
    """Cut the items of every kind of entry into bursts, and fill them in for every entry."""
    half = plan.problem.share.half_store_bytes or UNLIMITED_BYTES
    bits, share = plan.problem.share.data_bits, plan.blocks.outputs
    n, x, strip, _ = plan.split_places(entries.places)
    works = find_wanted(plan, n, x, strip, first)
    workers, worker_kind = number_workers(plan, works, outputs)
    columns = [strip, n, x, first // share, worker_kind, entries.low[:, 0], entries.high[:, 0]]
    kinds, kind_of = find_kinds(columns)
    chunks = cut_chunks(kinds, workers, plan, half, bits)
    has_bursts = chunks.bursts[kind_of] > 0
    mask_bytes = outputs * has_bursts * (plan.mask_bytes[strip] * (not masks_in_ppu(plan.problem)))
    burst_first = np.append(0, np.cumsum(chunks.bursts[kind_of])).astype(np.int64)
    burst_bytes = np.zeros(burst_first[-1], dtype=np.int64)
    burst_cycles = np.zeros((burst_first[-1], plan.blocks.pes), dtype=np.int64)
    order = np.argsort(kind_of, kind="stable")
    starts = np.flatnonzero(np.any(np.diff(kinds[:, : IMAGE + 1], axis=0, prepend=-1), axis=1))
    cost: ChunkCycles | None = None
    # Cycles are made image by image: they take more room than the bursts that they are summed into.
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(kinds)], strict=True):
        if cost is None or cost.strip is not plan.strips[kinds[start, STRIP]]:
            cost = ChunkCycles(plan, plan.strips[kinds[start, STRIP]])
        members = order[slice(*np.searchsorted(kind_of[order], [start, end]))]
        part = chunks.span(start, end)
        cycles, per_column = cost.sum_up(kinds[start:end], part)
        fill_bursts(
            members, kind_of - start, first % share, outputs, works, mask_bytes, part.first, part.size_bytes,
            part.segments, half, cycles, per_column, burst_first, burst_bytes, burst_cycles,
            np.zeros(plan.blocks.pes, dtype=np.int64),
        )  # fmt: skip
    writes = chunks.store_writes[kind_of] - (-mask_bytes * 8 // bits)
    drivers = None
    if plan.problem.share.shares_reads:
        drivers = make_drivers(len(burst_bytes), is_told=True)
        found = find_drivers(plan, kinds, workers, chunks)
        spread_drivers(kind_of, chunks.first, chunks.size_bytes, chunks.segments, found, burst_first, drivers)
    return Bursts(burst_first, burst_bytes, burst_cycles, writes.astype(np.int64), drivers)


def find_wanted(plan: RowsPlan, n: IntArray, x: IntArray, strip: IntArray, first: IntArray) -> BoolArray:
    """Tell which PEs' mask rows have a bit set, ``(entries, PEs)``; without entries where none is held back."""
    if plan.wanted is None:
        return np.zeros((0, plan.blocks.pes), dtype=np.bool_)
    padded = np.pad(plan.wanted, [(0, 0), (0, 0), (0, plan.blocks.pes), (0, 0)])
    pes = np.arange(plan.blocks.pes)
    return np.ascontiguousarray(padded[strip[:, None], n[:, None], first[:, None] + pes, x[:, None]])


def number_workers(plan: RowsPlan, works: BoolArray, outputs: IntArray) -> tuple[IntArray, IntArray]:
    """Count the PEs of each entry that work for each of the groups that a block packs.

    Returns:
        Counts that occur, ``(numbers, packed)``, and the number of each entry's, ``(entries,)``.
    """
    pes, packed, share = plan.blocks.pes, plan.blocks.packed, plan.blocks.outputs
    owned = np.arange(pes) < outputs[:, None]
    working = owned & works if len(works) else owned
    if packed == 1:
        return np.arange(pes + 1)[:, None], working.sum(axis=1)
    counts = working[:, : packed * share].reshape(-1, packed, share).sum(axis=2)
    distinct, number_of = np.unique(counts, axis=0, return_inverse=True)
    return distinct.astype(np.int64), number_of.reshape(-1).astype(np.int64)
