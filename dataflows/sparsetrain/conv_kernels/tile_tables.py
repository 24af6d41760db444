"""What tiles of GTW of a convolution load: running sums of stored bytes, and which rows are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from dataflows.contract.entries import Entries
from dataflows.sparsetrain.conv_kernels.plan import KernelsPlan
from dataflows.tiling.kernels_search import KernelsTables, StreamedRows
from dataflows.tiling.occupancy import pair_bits, size_bits
from dataflows.tiling.spans import RowSpans, count_met, run_sums
from dataflows.tiling.streams import Placed, TileLoads, find_starts
from workloads.arrays import IntArray


def tabulate_kernels(plan: KernelsPlan) -> KernelsTables:
    """Sum the stored bytes of both operands."""
    drivers, inputs = stream_drivers(plan), stream_inputs(plan)
    tasks, count = plan.tasks, len(plan.runs)
    ranges = np.zeros((count + 1, count + 1), dtype=np.int64)
    ranges[np.triu_indices(count + 1, 1)] = np.arange(len(plan.ranges))
    outer, inner = (np.arange(limit) for limit in tasks.limits)
    if tasks.packed > 1:
        units, lone, paired = outer, inputs, drivers
        outer_kernels, inner_kernels = tasks.own_channels(outer, outer)[1], np.ones_like(inner)
    else:
        units, lone, paired = outer // tasks.group_filters, drivers, inputs
        outer_kernels, inner_kernels = np.ones_like(outer), tasks.own_channels(inner, inner)[1]
    return KernelsTables(
        lone, paired, units, ranges, add_up(outer_kernels), add_up(inner_kernels), add_up(plan.run_bytes),
        plan.shape.out_channels * plan.shape.group_in_channels * int(plan.run_bytes.sum()),
    )  # fmt: skip


def add_up(amounts: IntArray) -> IntArray:
    """Give running sums, with a zero before them."""
    return np.append(0, np.cumsum(amounts)).astype(np.int64)


def stream_drivers(plan: KernelsPlan) -> StreamedRows:
    """Tabulate rows of grad_output, which input rows meet: by filter, or by place for each block of groups."""
    tasks, rows = plan.tasks, plan.driver_bytes.transpose(0, 2, 1)
    by_value = rows[None]
    if tasks.packed > 1:
        grouped = np.zeros((tasks.count * tasks.packed, *rows.shape[:2], tasks.group_filters), dtype=np.int64)
        grouped[: tasks.groups] = np.moveaxis(rows.reshape(*rows.shape[:2], tasks.groups, -1), 2, 0)
        by_value = grouped.reshape(tasks.count, tasks.packed, *grouped.shape[1:]).sum(axis=1)
    met = np.zeros((len(plan.ranges), 1, 1), dtype=np.int64)
    if any(spans.met.size > 1 for spans in plan.driver_spans):
        counts = [count_met(plan.pairs[:, run.start : run.stop]) for run in plan.ranges]
        met = np.stack([np.pad(one, [(0, 0), (0, rows.shape[1] - one.shape[1])]) for one in counts])
    return stack_rows([by_value] * len(plan.ranges), plan.driver_spans, met)


def stream_inputs(plan: KernelsPlan) -> StreamedRows:
    """Tabulate rows of the input that meet any: by block of channels for each group, or by block of groups."""
    tasks, rows = plan.tasks, plan.input_bytes.transpose(0, 2, 1)
    N, H, _ = rows.shape
    if tasks.packed > 1:
        size = tasks.packed * tasks.group_channels
        by_value = np.add.reduceat(rows, np.arange(0, rows.shape[2], size), axis=2)[None]
    else:
        size = tasks.pes * tasks.kernels
        grouped = np.moveaxis(rows.reshape(N, H, tasks.groups, tasks.group_channels), 2, 0)
        by_value = np.add.reduceat(grouped, np.arange(0, tasks.group_channels, size), axis=3)
    met = [np.any(plan.pairs[:, run.start : run.stop] >= 0, axis=1).astype(np.int64) for run in plan.ranges]
    one, none = np.arange(H), np.zeros((1, 1), dtype=np.int64)
    spans = [RowSpans(one, one + 1, none)] * len(met)
    return stack_rows([by_value * is_met[:, None] for is_met in met], spans, np.stack([none] * len(met)))


def stack_rows(tables: Sequence[IntArray], spans: Sequence[RowSpans], met: IntArray) -> StreamedRows:
    """Stack bytes ``(units, N, rows, values)`` and spans of every range of runs of kernel rows."""
    sums = run_sums(np.stack(tables), 3)
    low, high = np.stack([one.low for one in spans]), np.stack([one.high for one in spans])
    return StreamedRows(sums, low, high, met)


def size_kernel_bits(plan: KernelsPlan, entries: Entries) -> tuple[IntArray, IntArray] | None:
    """Size the bits of the rows of both operands that tiles load; none are written."""
    array = plan.problem.array
    if not array.passes_empty_rows:
        return None
    counted = dataclasses.replace(plan, gradients=plan.gradients.count_rows(), inputs=plan.inputs.count_rows())
    rows = measure_tiles(counted, tabulate_kernels(counted), entries)
    return pair_bits([size_bits(array, list(pair)) for pair in rows], [0] * len(rows))


def size_kernel_loads(plan: KernelsPlan, tables: KernelsTables, entries: Entries) -> TileLoads:
    """Size the loads of all tiles: rows of both operands."""
    pairs = measure_tiles(plan, tables, entries)
    # Of packed groups the rows of the input are those that depend on the outer index alone.
    sizes = [pair[::-1] for pair in pairs] if plan.tasks.packed > 1 else pairs
    shape, tasks = plan.shape, plan.tasks
    outer, inner, image, h = find_starts(entries, (0, 1, -2, -1))
    m, own = tasks.first_filters(outer, inner), tasks.own_channels(outer, inner)[0]
    c = m // shape.group_out_channels * shape.group_in_channels + own
    gradients = (image * shape.out_channels + m) * shape.out_height + plan.driver_spans[0].low[h]
    inputs = (image * shape.in_channels + c) * shape.in_height + h
    first_rows = np.stack([gradients, inputs, m * shape.group_in_channels + own], axis=1)
    kernels = shape.out_channels * shape.group_in_channels
    tensors = [Placed(int(one.row_bytes.sum()), one.nonzeros.size) for one in (plan.gradients, plan.inputs)]
    return TileLoads([*tensors, Placed(tables.written_bytes, kernels)], sizes, first_rows)


def measure_tiles(plan: KernelsPlan, tables: KernelsTables, entries: Entries) -> list[tuple[int, int]]:
    """Sum what every tile loads of the rows that depend on the outer index alone, and of the others."""
    loads = []
    for tile in entries.tiles:
        outer, inner, images, rows = tile[0], tile[1], tile[-2], tile[-1]
        runs = tile[2] if len(plan.runs) > 1 else range(1)
        kind = int(tables.ranges[runs.start, runs.stop])
        units = slice(tables.units[outer.start], tables.units[outer.stop - 1] + 1)
        lone, paired = tables.lone, tables.paired
        alone = lone.spans(kind).sum_up(lone.sums[kind], images, rows, outer)
        loads.append((alone, paired.spans(kind).sum_up(paired.sums[kind, units], images, rows, inner)))
    return loads
