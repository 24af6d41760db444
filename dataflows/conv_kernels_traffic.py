"""Tiles, bursts and results of GTW of a convolution (sections 6 and 7 of the machine's definition)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataflows.array import PEArray
from dataflows.bursts import UNLIMITED_BYTES, pack_kernels
from dataflows.conv_rows_traffic import span_rows
from dataflows.dealing import Blocks, count_kernels_per_pe
from dataflows.memory import MemoryShare, RowFormat, Traffic
from dataflows.row_cycles import cost_taps, count_partners
from dataflows.storage import choose_format, size_raw, size_rows
from dataflows.taps import pair_rows
from dataflows.tiles import Entries, list_entries, require_tiling
from dataflows.tiling_search import measure_kernels_tile, search_kernels
from workloads.operands import Operands
from workloads.shapes import ConvShape, Step

IntArray = NDArray[np.int64]

# Costs of row operations are made for so many filters at a time that they stay below this.
COST_BYTES = 2**26


@dataclass(frozen=True, eq=False)
class KernelsPlan:
    """Stored sizes of a GTW step: driver_bytes ``(N, M, P)``, input_bytes ``(N, groups, C / G, H)``."""

    operands: Operands
    shape: ConvShape
    array: PEArray
    memory: MemoryShare
    blocks: Blocks
    pairs: IntArray
    driver_bytes: IntArray
    input_bytes: IntArray

    @property
    def block_channels(self) -> IntArray:
        """First channel, counted within its group, of each block, and behind the last one C / G."""
        size = self.blocks.pes * self.blocks.run
        return np.append(np.arange(self.blocks.per_group) * size, self.shape.group_in_channels).astype(np.int64)

    @property
    def kernel_bytes(self) -> int:
        """Bytes of one kernel of grad_weight, raw in accumulator words."""
        return self.shape.kernel_height * size_raw(self.shape.kernel_width, self.memory.acc_bits)


def plan_kernels(operands: Operands, array: PEArray, memory: MemoryShare) -> KernelsPlan:
    """Size the rows of both sparse operands as they are stored."""
    assert isinstance(operands.shape, ConvShape)
    shape = operands.shape
    sizes = []
    for tensor in (operands.grad_output, operands.input):
        nonzeros = np.count_nonzero(tensor, axis=-1).astype(np.int64)
        form = choose_format(nonzeros, tensor.shape[-1], memory) if array.skip_zeros else RowFormat.RAW
        sizes.append(size_rows(nonzeros, tensor.shape[-1], form, memory.data_bits))
    run = count_kernels_per_pe(shape, array)
    inputs = sizes[1].reshape(shape.batch, shape.groups, shape.group_in_channels, shape.in_height)
    blocks = Blocks(shape.group_in_channels, array.pes_per_group, run)
    return KernelsPlan(operands, shape, array, memory, blocks, pair_rows(shape), sizes[0], inputs)


def make_kernels_traffic(operands: Operands, array: PEArray, memory: MemoryShare) -> tuple[Traffic, IntArray]:
    """Cut GTW into tiles and its tasks into bursts; also give the task of each dispatch entry.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    plan = plan_kernels(operands, array, memory)
    shape = plan.shape
    limits, cuts = (shape.out_channels, plan.blocks.per_group), (shape.batch, shape.in_height)
    sizes = np.array([*limits, *cuts], dtype=np.int64)
    span_low, span_high = span_rows(plan.pairs)
    met = (plan.pairs >= 0).any(axis=1)
    drivers = sum_corners(plan.driver_bytes.transpose(1, 0, 2)[None])[0]
    inputs = sum_corners(np.where(met, plan.input_bytes, 0).transpose(1, 0, 3, 2))
    tables = (drivers, inputs, span_low, span_high, shape.group_out_channels, plan.block_channels)
    if memory.capacity_bytes is not None:
        sizes, _ = search_kernels(*tables, plan.kernel_bytes, memory.capacity_bytes)
        if not sizes.all():
            smallest = np.ones(4, dtype=np.int64)
            factor = 2 if shape.batch * shape.in_height == 1 else 1
            least = factor * int(plan.block_channels[1]) * plan.kernel_bytes
            least += 2 * int(measure_kernels_tile(smallest, *tables))
            require_tiling(operands.layer, Step.GTW.value, sizes, least, memory.capacity_bytes)
    entries = list_entries(limits, cuts, tuple(int(size) for size in sizes))
    traffic = pack_kernels_traffic(plan, entries, drivers, inputs, span_low, span_high, sizes)
    return traffic, entries.task_numbers(limits)


def sum_corners(table: IntArray) -> IntArray:
    """Make running sums along the last three axes, with a zero before each."""
    padded = np.pad(table, [(0, 0), (1, 0), (1, 0), (1, 0)])
    return np.ascontiguousarray(padded.cumsum(1).cumsum(2).cumsum(3))


def pack_kernels_traffic(
    plan: KernelsPlan, entries: Entries, drivers: IntArray, inputs: IntArray, span_low: IntArray, span_high: IntArray,
    sizes: IntArray,
) -> Traffic:  # fmt: skip
    """Pack the entries' operand bursts and size what passes the PPU and the DRAM channel."""
    b = entries.places[:, 1]
    first = plan.block_channels[b]
    channels = plan.block_channels[b + 1] - first
    burst_first, burst_bytes, burst_cycles, words = pack_all_kernels(plan, entries, first, channels)
    write = channels * plan.kernel_bytes
    loads, write_backs = [], []
    for number, (filters, blocks, images, rows) in enumerate(entries.tiles):
        h, h_end = rows.start, rows.stop
        low, high = span_low[h], max(span_low[h], span_high[h_end - 1])
        corners = drivers[[filters.start, filters.stop]][:, [images.start, images.stop]][:, :, [low, high]]
        c, c_end = plan.block_channels[[blocks.start, blocks.stop]]
        per_group = plan.shape.group_out_channels
        groups = slice(filters.start // per_group, (filters.stop - 1) // per_group + 1)
        seconds = inputs[groups][:, [images.start, images.stop]][:, :, [h, h_end]][:, :, :, [c, c_end]]
        load = np.diff(np.diff(np.diff(corners, axis=0), axis=1), axis=2).sum()
        load += np.diff(np.diff(np.diff(seconds, axis=1), axis=2), axis=3).sum()
        loads.append(int(load))
        span = slice(entries.tile_first[number], entries.tile_first[number + 1])
        write_backs.append(int(write[span].sum()) if entries.is_last[span].all() else 0)
    is_cut = int(sizes[2]) < plan.shape.batch or int(sizes[3]) < plan.shape.in_height
    output = max(
        len(filters) * int(plan.block_channels[blocks.stop] - plan.block_channels[blocks.start]) * plan.kernel_bytes
        for filters, blocks, _, _ in entries.tiles
    )
    return Traffic(
        tile_first=entries.tile_first,
        tile_load_bytes=np.array(loads, dtype=np.int64),
        tile_write_back_bytes=np.array(write_backs, dtype=np.int64),
        burst_first=burst_first,
        burst_bytes=burst_bytes,
        burst_cycles=burst_cycles,
        pes=-(-channels // plan.blocks.run),
        ppu_read_bytes=np.where(entries.is_first, 0, write),
        ppu_elements=channels * plan.shape.kernel_height * plan.shape.kernel_width,
        ppu_write_bytes=write,
        store_writes=words,
        footprint_bytes=output * (1 if is_cut else 2) + 2 * max(loads),
        tiling="x".join(str(size) for size in sizes[:2]) + "|" + "x".join(str(size) for size in sizes[2:]),
    )


def pack_all_kernels(
    plan: KernelsPlan, entries: Entries, first: IntArray, channels: IntArray
) -> tuple[IntArray, IntArray, IntArray, int]:
    """Pack the entries of every filter in turn: counted first, then filled."""
    half = plan.memory.half_store_bytes or UNLIMITED_BYTES
    bounds = [np.ascontiguousarray(column) for column in (*entries.low.T, *entries.high.T)]
    counts = np.zeros(len(first), dtype=np.int64)
    nothing, no_cycles = np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=np.int64)
    per_group = plan.shape.group_out_channels
    by_filter = [np.flatnonzero(entries.places[:, 0] == m) for m in range(plan.shape.out_channels)]

    def pack(m: int, cycles: NDArray[np.int32], fills: bool, starts: IntArray, sizes: IntArray, costs: IntArray) -> int:
        return int(
            pack_kernels(
                by_filter[m], first, channels, bounds[0], bounds[2], bounds[1], bounds[3], plan.blocks.run, plan.pairs,
                np.ascontiguousarray(plan.driver_bytes[:, m]),
                np.ascontiguousarray(plan.input_bytes[:, m // per_group]), cycles, half, plan.memory.data_bits,
                fills, counts, starts, sizes, costs,
            )
        )  # fmt: skip

    shape = plan.shape
    free = np.broadcast_to(
        np.array(0, dtype=np.int32), (shape.batch, shape.in_height, shape.kernel_height, shape.group_in_channels)
    )
    for m in range(shape.out_channels):
        pack(m, free, False, nothing, nothing, no_cycles)
    burst_first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    burst_bytes = np.zeros(burst_first[-1], dtype=np.int64)
    burst_cycles = np.zeros((burst_first[-1], plan.blocks.pes), dtype=np.int64)
    source = KernelCycles(plan)
    words = 0
    for m in range(shape.out_channels):
        words += pack(m, source.cycles(m), True, burst_first, burst_bytes, burst_cycles)
    return burst_first, burst_bytes, burst_cycles, words


class KernelCycles:
    """Cycles of every OSRC row operation of one filter after the other: ``(N, H, R, C / G)`` int32."""

    def __init__(self, plan: KernelsPlan) -> None:
        """Prepare what all filters share."""
        shape, sparse = plan.shape, plan.array.skip_zeros
        self._plan = plan
        present = plan.operands.grad_output != 0 if sparse else np.ones(shape.output_shape, dtype=np.bool_)
        allowed = plan.operands.input != 0 if sparse else np.ones(shape.input_shape, dtype=np.bool_)
        self._drivers = present.astype(np.float32)
        costs = cost_taps(count_partners(allowed, shape), plan.array).cycles.astype(np.float32)
        grouped = costs.reshape(shape.batch, shape.groups, shape.group_in_channels, shape.in_height, shape.out_width)
        self._partners = np.ascontiguousarray(grouped.transpose(1, 0, 3, 4, 2))
        per_filter = shape.batch * shape.in_height * shape.kernel_height * shape.group_in_channels * 4
        self._chunk = max(1, min(shape.group_out_channels, COST_BYTES // per_filter))
        self._made = range(0)
        self._cycles = np.zeros(0, dtype=np.int32)

    def cycles(self, m: int) -> NDArray[np.int32]:
        """Give the cycles of the row operations of filter m; filters are best asked for in order."""
        if m not in self._made:
            group = m // self._plan.shape.group_out_channels
            self._made = range(m, min(m + self._chunk, (group + 1) * self._plan.shape.group_out_channels))
            self._cycles = self._make(group)
        made: NDArray[np.int32] = self._cycles[m - self._made.start]
        return made

    def _make(self, group: int) -> NDArray[np.int32]:
        shape = self._plan.shape
        drivers = self._drivers[:, self._made.start : self._made.stop]
        size = (len(self._made), shape.batch, shape.in_height, shape.kernel_height, shape.group_in_channels)
        cycles = np.zeros(size, dtype=np.int32)
        for r in range(shape.kernel_height):
            h = np.flatnonzero(self._plan.pairs[:, r] >= 0)
            rows = drivers[:, :, self._plan.pairs[h, r]].transpose(0, 2, 1, 3)
            # Sums of at most Q small integers: exact in float32.
            with np.errstate(invalid="ignore"):
                sums = rows @ self._partners[group][:, h]
            cycles[:, :, h, r] = np.rint(sums).transpose(2, 0, 1, 3) + self._plan.array.row_overhead_cycles
        return cycles
