"""Tiles, bursts and results of GTW of a convolution (sections 6 and 7 of the machine's definition)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.entries import Entries, list_entries, require_tiling
from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.rows.cycles import cost_taps
from dataflows.rows.taps import tabulate_taps
from dataflows.sparsetrain.conv_kernels.bursts import (
    COST_BYTES,
    KernelCycles,
    PackedBursts,
    gather_bursts,
    make_packing_room,
    make_room,
    pack_entries,
)
from dataflows.sparsetrain.conv_kernels.plan import KernelsPlan, plan_kernels
from dataflows.sparsetrain.conv_kernels.tile_tables import size_kernel_bits, size_kernel_loads, tabulate_kernels
from dataflows.tiling.bursts import UNLIMITED_BYTES
from dataflows.tiling.drivers import gather_drivers, make_drivers
from dataflows.tiling.kernels_search import KernelsTables, measure_kernels_tile, search_kernels
from dataflows.tiling.kinds import find_kinds
from dataflows.tiling.pinned import pin_sizes, require_fit
from dataflows.tiling.rows_search import find_widest
from dataflows.tiling.traffic import Bursts, EntryResults, TileBytes, assemble_traffic
from workloads.arrays import BoolArray, IntArray
from workloads.shapes import Step


def make_kernels_traffic(problem: StepProblem) -> tuple[Traffic, IntArray]:
    """Cut GTW into tiles and its tasks into bursts; also give the task of each dispatch entry.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    plan = plan_kernels(problem)
    tables = tabulate_kernels(plan.move())
    sizes = find_kernels_tiling(plan, tables)
    entries = list_entries(plan.limits, plan.reductions, tuple(int(size) for size in sizes))
    return pack_kernels_traffic(plan, tables, entries, sizes, plan.find_idle()), entries.task_numbers(plan.limits)


def find_kernels_tiling(plan: KernelsPlan, tables: KernelsTables) -> IntArray:
    """Find the run lengths of the task indices, of images and of rows.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    memory, is_cut = plan.problem.share, len(plan.runs) > 1
    if (pinned := pin_sizes(plan.problem, plan.limits, plan.reductions)) is not None:
        require_fit(plan.problem, measure_need(plan, tables, pinned if is_cut else np.insert(pinned, 2, 1)))
        return pinned
    if memory.capacity_bytes is None:
        return np.array([*plan.limits, *plan.reductions], dtype=np.int64)
    sizes = search_kernels(tables, memory.capacity_bytes).sizes
    if not sizes.all():
        least = measure_need(plan, tables, np.ones(5, dtype=np.int64))
        require_tiling(plan.problem.operands.layer, Step.GTW.value, sizes, least, memory)
    return sizes if is_cut else np.delete(sizes, 2)


def measure_need(plan: KernelsPlan, tables: KernelsTables, sizes: IntArray) -> int:
    """Give the bytes of the buffer that run lengths of (outer, inner, run, image, row) need."""
    outer, inner, run, images, rows = (int(size) for size in sizes)
    kernels = int(find_widest(tables.outer_kernels, outer)) * int(find_widest(tables.inner_kernels, inner))
    output = kernels * int(find_widest(tables.run_bytes, run))
    is_whole = (images, rows) == plan.reductions
    return (2 if is_whole else 1) * output + 2 * int(measure_kernels_tile(sizes, *tables.parts()))


def pack_kernels_traffic(
    plan: KernelsPlan, tables: KernelsTables, entries: Entries, sizes: IntArray, idle: BoolArray
) -> Traffic:
    """Pack the entries' operand bursts and size what passes the PPU and the DRAM channel.

    Args:
        idle: Tasks without a row operation in any part of the reduction, which hand nothing to the PPU,
            ``(outer, inner, runs)``.
    """
    outer, inner, run = plan.split_places(entries.places)
    first, channels = plan.tasks.own_channels(outer, inner)
    kernel_bytes = channels * plan.run_bytes[run]
    heights = np.array([len(one) for one in plan.runs], dtype=np.int64)
    results = EntryResults(
        pes=-(-channels // plan.tasks.kernels),
        elements=channels * heights[run] * plan.shape.kernel_width,
        partial_bytes=kernel_bytes,
        whole_bytes=kernel_bytes,
        written_bytes=kernel_bytes,
        added_bytes=np.zeros_like(kernel_bytes),
        passes=~idle[outer, inner, run],
    )
    bursts = pack_all_kernels(plan, entries, first, channels)
    loads = size_kernel_loads(plan, tables, entries)
    tiles = TileBytes(loads.total, bits=size_kernel_bits(plan.move(), entries), places=loads)
    if not plan.problem.share.kept.is_empty:
        loads = size_kernel_loads(plan, tabulate_kernels(plan), entries)
        tiles = replace(tiles, in_full=TileBytes(loads.total, bits=size_kernel_bits(plan, entries)))
    return assemble_traffic(entries, sizes, bursts, results, tiles)


def pack_all_kernels(plan: KernelsPlan, entries: Entries, first: IntArray, channels: IntArray) -> Bursts:
    """Pack every entry's bursts; on a dense machine those of filters that work the same channels and rows are alike."""
    outer, inner, run = plan.split_places(entries.places)
    columns = [first, channels, entries.low[:, 0], entries.high[:, 0], entries.low[:, 1], entries.high[:, 1]]
    columns += [np.array([getattr(one, side) for one in plan.runs], dtype=np.int64)[run] for side in ("start", "stop")]
    filters = plan.tasks.first_filters(outer, inner)
    if plan.problem.array.skip_zeros:
        order = np.argsort(filters, kind="stable")
        kind_of = np.empty_like(order)
        kind_of[order] = np.arange(len(order))
        packed = pack_sparse(plan, filters[order], np.stack(columns, axis=1)[order])
    else:
        kinds, kind_of = find_kinds(columns)
        packed = pack_dense(plan, kinds)
    sizes = np.diff(packed.ends, prepend=0)
    burst_first = np.append(0, np.cumsum(sizes[kind_of])).astype(np.int64)
    burst_bytes = np.zeros(burst_first[-1], dtype=np.int64)
    burst_cycles = np.zeros((burst_first[-1], plan.tasks.pes), dtype=np.int64)
    gather_bursts(kind_of, packed.ends, packed.size_bytes, packed.cycles, burst_first, burst_bytes, burst_cycles)
    drivers = None
    if plan.problem.share.shares_reads:
        drivers = make_drivers(len(burst_bytes), is_told=True)
        gather_drivers(kind_of, filters, packed.ends, packed.drivers, burst_first, drivers)
    return Bursts(burst_first, burst_bytes, burst_cycles, packed.store_writes[kind_of], drivers)


def pack_sparse(plan: KernelsPlan, filters: IntArray, bounds: IntArray) -> PackedBursts:
    """Pack entries in the order of their filters, for some of which at a time the cycles are made."""
    shape, tasks = plan.shape, plan.tasks
    packed = make_room(len(filters), tasks.pes, plan.problem.share.shares_reads)
    source = KernelCycles(plan.problem.operands, shape, plan.problem.array, plan.pairs)
    per_filter = 4 * shape.batch * shape.in_height * shape.kernel_height * shape.group_in_channels * tasks.packed
    chunk = max(1, min(shape.group_out_channels, COST_BYTES // per_filter))
    for unit in range(tasks.count):
        groups = range(unit * tasks.packed, min(shape.groups, (unit + 1) * tasks.packed))
        start = groups.start * shape.group_out_channels
        for base in range(start, start + shape.group_out_channels, chunk):
            span = range(base, min(base + chunk, start + shape.group_out_channels))
            begin, end = (int(entry) for entry in np.searchsorted(filters, [span.start, span.stop]))
            if begin < end:
                wanted = range(int(filters[begin]), int(filters[end - 1]) + 1)
                issued = source.issue_groups(wanted, len(groups))
                pack_span(plan, packed, (begin, end), filters, wanted.start, bounds, issued)
    return packed


def pack_dense(plan: KernelsPlan, bounds: IntArray) -> PackedBursts:
    """Pack entries of the first filter, every row operation of which issues all its in-range taps."""
    shape, packed = plan.shape, make_room(len(bounds), plan.tasks.pes, plan.problem.share.shares_reads)
    issued = int(cost_taps(tabulate_taps(shape, Step.GTW).counts, plan.problem.array).cycles.sum())
    channels = min(plan.tasks.packed, shape.groups) * shape.group_in_channels
    size = (shape.batch, shape.in_height, shape.kernel_height, 1, channels)
    filters = np.zeros(len(bounds), dtype=np.int64)
    pack_span(plan, packed, (0, len(bounds)), filters, 0, bounds, np.full(size, issued, dtype=np.float32))
    return packed


def pack_span(
    plan: KernelsPlan, packed: PackedBursts, span: tuple[int, int], filters: IntArray, base: int, bounds: IntArray,
    issued: NDArray[np.float32],
) -> None:  # fmt: skip
    """Pack a span of entries whose filters begin with `base`, and make more room where it does not suffice."""
    array, share, shape = plan.problem.array, plan.problem.share, plan.shape
    half = share.half_store_bytes or UNLIMITED_BYTES
    drivers, inputs = plan.fetched_bytes
    first_channel = base // shape.group_out_channels * shape.group_in_channels
    seconds = np.ascontiguousarray(inputs[:, first_channel : first_channel + issued.shape[4]])
    room, done = make_packing_room(plan.tasks.packed, drivers.shape[2], plan.tasks.pes), span[0]
    while done < span[1]:
        done = pack_entries(
            done, span[1], filters, base, bounds, plan.tasks.kernels, shape.group_out_channels,
            shape.group_in_channels, plan.pairs, drivers, seconds, issued, array.row_overhead_cycles, half,
            share.data_bits, packed.ends, packed.store_writes, packed.size_bytes, packed.cycles,
            packed.drivers, room,
        )  # fmt: skip
        if done < span[1]:
            packed.grow()
