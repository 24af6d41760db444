"""Tiles, bursts and results of GTW of a convolution (sections 6 and 7 of the machine's definition)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.entries import Entries, list_entries, require_tiling
from dataflows.contract.memory import RowFormat, Traffic
from dataflows.contract.problem import StepProblem
from dataflows.rows.cycles import cost_taps
from dataflows.rows.dealing import Blocks, count_kernels_per_pe
from dataflows.rows.geometry import span_rows
from dataflows.rows.taps import pair_rows, tabulate_taps
from dataflows.sparsetrain.conv_kernels.bursts import (
    COST_BYTES,
    KernelCycles,
    PackedBursts,
    gather_bursts,
    make_room,
    pack_entries,
)
from dataflows.storage.row_sizes import size_raw
from dataflows.storage.stored_tensor import StoredTensor, store_tensor
from dataflows.tiling.bursts import UNLIMITED_BYTES
from dataflows.tiling.kinds import find_kinds
from dataflows.tiling.search import measure_kernels_tile, search_kernels
from dataflows.tiling.traffic import Bursts, EntryResults, TileBytes, assemble_traffic
from workloads.arrays import IntArray
from workloads.shapes import ConvShape, Step


@dataclass(frozen=True, eq=False)
class KernelsPlan:
    """GTW of a convolution: both operands as they are stored; pairs: output row of (input row, kernel row) or -1."""

    problem: StepProblem
    shape: ConvShape
    blocks: Blocks
    pairs: IntArray
    gradients: StoredTensor
    inputs: StoredTensor

    @property
    def formats(self) -> tuple[RowFormat, ...]:
        """Formats of the gradient and of the input."""
        return self.gradients.row_format, self.inputs.row_format

    @property
    def driver_bytes(self) -> IntArray:
        """Stored bytes of the rows of grad_output, ``(N, M, P)``."""
        return self.gradients.row_bytes

    @property
    def input_bytes(self) -> IntArray:
        """Stored bytes of the rows of the input, ``(N, groups, C / G, H)``."""
        shape = self.shape
        return self.inputs.row_bytes.reshape(shape.batch, shape.groups, shape.group_in_channels, shape.in_height)

    @property
    def limits(self) -> tuple[int, int, int, int]:
        """Limits of the task indices filter and block, and of the reduction indices image and row."""
        return self.shape.out_channels, self.blocks.per_group, self.shape.batch, self.shape.in_height

    @property
    def block_channels(self) -> IntArray:
        """First channel, counted within its group, of each block, and behind the last one C / G."""
        size = self.blocks.pes * self.blocks.run
        return np.append(np.arange(self.blocks.per_group) * size, self.shape.group_in_channels).astype(np.int64)

    @property
    def kernel_bytes(self) -> int:
        """Bytes of one kernel of grad_weight, raw in accumulator words."""
        return self.shape.kernel_height * size_raw(self.shape.kernel_width, self.problem.share.acc_bits)

    def repeat(self, images: IntArray) -> KernelsPlan:
        """Give the plan of a batch in which each of these images stands where it is named."""
        return dataclasses.replace(
            self,
            shape=dataclasses.replace(self.shape, batch=len(images)),
            gradients=self.gradients.repeat(images),
            inputs=self.inputs.repeat(images),
        )


def plan_kernels(problem: StepProblem, formats: tuple[RowFormat | None, ...] | None = None) -> KernelsPlan:
    """Store both operands; formats: as in `KernelsPlan`, by default the best for these operands."""
    shape, given = problem.conv_shape, (None, None) if formats is None else formats
    gradients = store_tensor(problem.operands.grad_output, problem.array, problem.share, given[0])
    inputs = store_tensor(problem.operands.input, problem.array, problem.share, given[1])
    run = count_kernels_per_pe(shape, problem.array)
    blocks = Blocks(shape.group_in_channels, problem.array.pes_per_group, run)
    return KernelsPlan(problem, shape, blocks, pair_rows(shape), gradients, inputs)


@dataclass(frozen=True, eq=False)
class KernelsTables:
    """Running sums of stored bytes, as `measure_kernels_tile` takes them, and the output rows that input rows meet."""

    drivers: IntArray
    inputs: IntArray
    span_low: IntArray
    span_high: IntArray


def tabulate_kernels(plan: KernelsPlan) -> KernelsTables:
    """Sum the stored bytes of both operands."""
    span_low, span_high = span_rows(plan.pairs)
    met = (plan.pairs >= 0).any(axis=1)
    drivers = sum_corners(plan.driver_bytes.transpose(1, 0, 2)[None])[0]
    inputs = sum_corners(np.where(met, plan.input_bytes, 0).transpose(1, 0, 3, 2))
    return KernelsTables(drivers, inputs, span_low, span_high)


def make_kernels_traffic(problem: StepProblem) -> tuple[Traffic, IntArray]:
    """Cut GTW into tiles and its tasks into bursts; also give the task of each dispatch entry.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    plan = plan_kernels(problem)
    tables = tabulate_kernels(plan)
    sizes = find_kernels_tiling(plan, tables)
    entries = list_entries(plan.limits[:2], plan.limits[2:], tuple(int(size) for size in sizes))
    return pack_kernels_traffic(plan, tables, entries, sizes), entries.task_numbers(plan.limits[:2])


def find_kernels_tiling(plan: KernelsPlan, made: KernelsTables) -> IntArray:
    """Find the run lengths of (filter, block, image, row), int64 ``(4,)``.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    shape, memory = plan.shape, plan.problem.share
    sizes = np.array(plan.limits, dtype=np.int64)
    spans = made.span_low, made.span_high
    tables = (made.drivers, made.inputs, *spans, shape.group_out_channels, plan.block_channels)
    if memory.capacity_bytes is not None:
        sizes, _ = search_kernels(*tables, plan.kernel_bytes, memory.capacity_bytes)
        if not sizes.all():
            smallest = np.ones(4, dtype=np.int64)
            factor = 2 if shape.batch * shape.in_height == 1 else 1
            least = factor * int(plan.block_channels[1]) * plan.kernel_bytes
            least += 2 * int(measure_kernels_tile(smallest, *tables))
            require_tiling(plan.problem.operands.layer, Step.GTW.value, sizes, least, memory.capacity_bytes)
    return sizes


def sum_corners(table: IntArray) -> IntArray:
    """Make running sums along the last three axes, with a zero before each."""
    padded = np.pad(table, [(0, 0), (1, 0), (1, 0), (1, 0)])
    return np.ascontiguousarray(padded.cumsum(1).cumsum(2).cumsum(3))


def pack_kernels_traffic(plan: KernelsPlan, tables: KernelsTables, entries: Entries, sizes: IntArray) -> Traffic:
    """Pack the entries' operand bursts and size what passes the PPU and the DRAM channel."""
    b = entries.places[:, 1]
    first = plan.block_channels[b]
    channels = plan.block_channels[b + 1] - first
    kernel_bytes = channels * plan.kernel_bytes
    results = EntryResults(
        pes=-(-channels // plan.blocks.run),
        elements=channels * plan.shape.kernel_height * plan.shape.kernel_width,
        partial_bytes=kernel_bytes,
        whole_bytes=kernel_bytes,
        written_bytes=kernel_bytes,
        added_bytes=np.zeros_like(kernel_bytes),
        passes=np.full(len(b), (plan.pairs >= 0).any()),
    )
    bursts = pack_all_kernels(plan, entries, first, channels)
    return assemble_traffic(entries, sizes, bursts, results, TileBytes(size_loads(plan, tables, entries)))


def size_loads(plan: KernelsPlan, tables: KernelsTables, entries: Entries) -> IntArray:
    """Size the loads of all tiles."""
    loads = []
    per_group = plan.shape.group_out_channels
    for filters, blocks, images, rows in entries.tiles:
        h, h_end = rows.start, rows.stop
        low, high = tables.span_low[h], max(tables.span_low[h], tables.span_high[h_end - 1])
        corners = tables.drivers[[filters.start, filters.stop]][:, [images.start, images.stop]][:, :, [low, high]]
        c, c_end = plan.block_channels[[blocks.start, blocks.stop]]
        groups = slice(filters.start // per_group, (filters.stop - 1) // per_group + 1)
        seconds = tables.inputs[groups][:, [images.start, images.stop]][:, :, [h, h_end]][:, :, :, [c, c_end]]
        load = np.diff(np.diff(np.diff(corners, axis=0), axis=1), axis=2).sum()
        load += np.diff(np.diff(np.diff(seconds, axis=1), axis=2), axis=3).sum()
        loads.append(int(load))
    return np.array(loads, dtype=np.int64)


def pack_all_kernels(plan: KernelsPlan, entries: Entries, first: IntArray, channels: IntArray) -> Bursts:
    """Pack every entry's bursts; on a dense machine those of filters that work the same channels and rows are alike."""
    columns = [first, channels, entries.low[:, 0], entries.high[:, 0], entries.low[:, 1], entries.high[:, 1]]
    filters = entries.places[:, 0]
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
    burst_cycles = np.zeros((burst_first[-1], plan.blocks.pes), dtype=np.int64)
    gather_bursts(kind_of, packed.ends, packed.size_bytes, packed.cycles, burst_first, burst_bytes, burst_cycles)
    return Bursts(burst_first, burst_bytes, burst_cycles, packed.store_writes[kind_of])


def pack_sparse(plan: KernelsPlan, filters: IntArray, bounds: IntArray) -> PackedBursts:
    """Pack entries in the order of their filters, for some of which at a time the cycles are made."""
    shape, packed = plan.shape, make_room(len(filters), plan.blocks.pes)
    source = KernelCycles(plan.problem.operands, shape, plan.problem.array, plan.pairs)
    per_filter = 4 * shape.batch * shape.in_height * shape.kernel_height * shape.group_in_channels
    chunk = max(1, min(shape.group_out_channels, COST_BYTES // per_filter))
    for start in range(0, shape.out_channels, shape.group_out_channels):
        for base in range(start, start + shape.group_out_channels, chunk):
            span = range(base, min(base + chunk, start + shape.group_out_channels))
            begin, end = (int(entry) for entry in np.searchsorted(filters, [span.start, span.stop]))
            if begin < end:
                wanted = range(int(filters[begin]), int(filters[end - 1]) + 1)
                pack_span(plan, packed, (begin, end), filters, wanted.start, bounds, source.issue(wanted))
    return packed


def pack_dense(plan: KernelsPlan, bounds: IntArray) -> PackedBursts:
    """Pack entries of the first filter, every row operation of which issues all its in-range taps."""
    shape, packed = plan.shape, make_room(len(bounds), plan.blocks.pes)
    issued = int(cost_taps(tabulate_taps(shape, Step.GTW).counts, plan.problem.array).cycles.sum())
    size = (shape.batch, shape.in_height, shape.kernel_height, 1, shape.group_in_channels)
    filters = np.zeros(len(bounds), dtype=np.int64)
    pack_span(plan, packed, (0, len(bounds)), filters, 0, bounds, np.full(size, issued, dtype=np.float32))
    return packed


def pack_span(
    plan: KernelsPlan, packed: PackedBursts, span: tuple[int, int], filters: IntArray, base: int, bounds: IntArray,
    issued: NDArray[np.float32],
) -> None:  # fmt: skip
    """Pack a span of entries whose filters begin with `base`, and make more room where it does not suffice."""
    array, share = plan.problem.array, plan.problem.share
    half = share.half_store_bytes or UNLIMITED_BYTES
    drivers = np.ascontiguousarray(plan.driver_bytes.transpose(1, 0, 2))
    seconds = np.ascontiguousarray(plan.input_bytes[:, base // plan.shape.group_out_channels])
    done = span[0]
    while done < span[1]:
        done = pack_entries(
            done, span[1], filters, base, bounds, plan.blocks.run, plan.pairs, drivers, seconds, issued,
            array.row_overhead_cycles, half, share.data_bits, packed.ends, packed.store_writes, packed.size_bytes,
            packed.cycles, np.zeros(drivers.shape[2], dtype=np.int64),
        )  # fmt: skip
        if done < span[1]:
            packed.grow()
