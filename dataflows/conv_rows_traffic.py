"""Tiles, bursts and results of Forward and GTA of a convolution (sections 6 and 7 of the machine's definition)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataflows.array import PEArray
from dataflows.bursts import UNLIMITED_BYTES, pack_rows
from dataflows.conv_lowering import weigh_masked_rows
from dataflows.dealing import Blocks
from dataflows.memory import MemoryShare, RowFormat, Traffic
from dataflows.row_cycles import cost_taps, count_classes, count_partners, group_classes, multiply_exactly
from dataflows.storage import choose_format, size_raw, size_rows
from dataflows.taps import pair_rows, tabulate_taps
from dataflows.tiles import Entries, list_entries, require_tiling
from dataflows.tiling_search import measure_rows_tile, search_rows
from dataflows.written_rows import find_written
from workloads.operands import Operands
from workloads.shapes import ConvShape, Step

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RowsPlan:
    """What Forward and GTA have in common: driver rows, blocks of outputs, a reduction over driver channels.

    x stands for the result row (p, or h), y for the driver row (h, or p), o for the driver channel in its group.
    driver_bytes: ``(N, groups, depth, Y)``; pairs: driver row of (x, kernel row r) or -1, ``(X, R)``; summed_bytes: of
    the gradients that the PPU adds to a result row, ``(N, outputs, X)``, None where there are none.
    """

    operands: Operands
    step: Step
    shape: ConvShape
    array: PEArray
    memory: MemoryShare
    blocks: Blocks
    driver_bytes: IntArray
    pairs: IntArray
    result_width: int
    written_bytes: IntArray
    mask_row_bytes: int
    summed_bytes: IntArray | None

    @property
    def limits(self) -> tuple[int, int, int]:
        """Limits of the task indices: images, result rows, blocks."""
        return self.shape.batch, len(self.pairs), self.shape.groups * self.blocks.per_group

    @property
    def reductions(self) -> int:
        """Driver channels of a group."""
        return int(self.driver_bytes.shape[2])

    def first_outputs(self) -> IntArray:
        """First output of each block, ``(blocks,)``, and behind the last one their number: ``(blocks + 1,)``."""
        per_group = np.arange(self.blocks.per_group) * self.blocks.pes
        starts = (np.arange(self.shape.groups)[:, None] * self.blocks.outputs + per_group).reshape(-1)
        return np.append(starts, self.shape.groups * self.blocks.outputs).astype(np.int64)


def plan_rows(operands: Operands, step: Step, array: PEArray, memory: MemoryShare) -> RowsPlan:
    """Size the rows of a step: the drivers as they are stored, the results as they will be."""
    assert isinstance(operands.shape, ConvShape)
    shape = operands.shape
    rows_of_driver = pair_rows(shape)
    if step is Step.FORWARD:
        driver, group_channels, outputs, width = (
            operands.input,
            shape.group_in_channels,
            shape.group_out_channels,
            shape.out_width,
        )
        pairs = np.full((shape.out_height, shape.kernel_height), -1, dtype=np.int64)
        for h, r in zip(*np.nonzero(rows_of_driver >= 0), strict=True):
            pairs[rows_of_driver[h, r], r] = h
        is_sparse = operands.relu_follows
    else:
        driver, group_channels, outputs, width = (
            operands.grad_output,
            shape.group_out_channels,
            shape.group_in_channels,
            shape.in_width,
        )
        pairs = rows_of_driver
        is_sparse = True
    nonzeros = np.count_nonzero(driver, axis=-1).astype(np.int64)
    form = choose_format(nonzeros, driver.shape[-1], memory) if array.skip_zeros else RowFormat.RAW
    driver_bytes = size_rows(nonzeros, driver.shape[-1], form, memory.data_bits)
    if array.skip_zeros and is_sparse:
        written = np.count_nonzero(find_written(operands, step), axis=-1).astype(np.int64)
        result_form = choose_format(written, width, memory)
    else:
        written = np.zeros(shape.output_shape[:3] if step is Step.FORWARD else shape.input_shape[:3], dtype=np.int64)
        result_form = RowFormat.RAW
    return RowsPlan(
        operands=operands,
        step=step,
        shape=shape,
        array=array,
        memory=memory,
        blocks=Blocks(outputs, array.pes_per_group),
        driver_bytes=driver_bytes.reshape(shape.batch, shape.groups, group_channels, -1),
        pairs=pairs,
        result_width=width,
        written_bytes=size_rows(written, width, result_form, memory.data_bits),
        mask_row_bytes=-(-width // 8) if step is Step.GTA and operands.mask is not None else 0,
        summed_bytes=size_summed_rows(operands, array, memory) if step is Step.GTA and operands.summed else None,
    )


def size_summed_rows(operands: Operands, array: PEArray, memory: MemoryShare) -> IntArray:
    """Size the rows of the stored gradients that the PPU adds, all of them together: ``(N, C, H)``."""
    total = np.zeros(operands.input.shape[:3], dtype=np.int64)
    for gradient in operands.summed:
        nonzeros = np.count_nonzero(gradient, axis=-1).astype(np.int64)
        form = choose_format(nonzeros, gradient.shape[-1], memory) if array.skip_zeros else RowFormat.RAW
        total += size_rows(nonzeros, gradient.shape[-1], form, memory.data_bits)
    return total


@dataclass(frozen=True, eq=False)
class RowsTables:
    """What measuring a tile of rows needs, as `measure_rows_tile` takes it."""

    drivers: IntArray
    span_low: IntArray
    span_high: IntArray
    kernel_rows: IntArray
    block_group: IntArray
    block_outputs: IntArray
    summed: IntArray

    def parts(self) -> tuple[IntArray, ...]:
        """Give the tables in the order of the search's arguments."""
        rows = self.drivers, self.span_low, self.span_high, self.kernel_rows
        return *rows, self.block_group, self.block_outputs, self.summed


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


def span_rows(pairs: IntArray) -> tuple[IntArray, IntArray]:
    """Give the first driver row and the one behind the last that rows x meet, monotone over rows that meet none."""
    meets = (pairs >= 0).any(axis=1)
    far = int(pairs.max(initial=0)) + 1
    low = np.where(meets, np.where(pairs >= 0, pairs, far).min(axis=1), far)
    high = np.where(meets, pairs.max(axis=1) + 1, 0)
    low = np.minimum.accumulate(low[::-1])[::-1]
    return low.astype(np.int64), np.maximum.accumulate(high).astype(np.int64)


def make_rows_traffic(operands: Operands, step: Step, array: PEArray, memory: MemoryShare) -> tuple[Traffic, IntArray]:
    """Cut Forward or GTA into tiles and its tasks into bursts; also give the task of each dispatch entry.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    plan = plan_rows(operands, step, array, memory)
    tables = tabulate_rows(plan)
    weight_row = size_raw(plan.shape.kernel_width, memory.data_bits)
    limits, cuts = plan.limits, (plan.reductions,)
    sizes = np.array([*limits, *cuts], dtype=np.int64)
    sparse_mask = plan.mask_row_bytes
    if memory.capacity_bytes is not None:
        result_row = size_raw(plan.result_width, memory.data_bits)
        partial_row = size_raw(plan.result_width, memory.acc_bits)
        sizes, _ = search_rows(*tables.parts(), weight_row, sparse_mask, result_row, partial_row, memory.capacity_bytes)
        if not sizes.all():
            # Either all runs are 1, with partial rows at acc_bits, or the reduction is whole, with two output tiles.
            outputs = int(tables.block_outputs[1])
            choices = [(np.array([1, 1, 1, plan.reductions], dtype=np.int64), 2 * outputs * result_row)]
            if plan.reductions > 1:
                choices.append((np.ones(4, dtype=np.int64), outputs * partial_row))
            least = min(
                output + 2 * int(measure_rows_tile(runs, *tables.parts(), weight_row, sparse_mask))
                for runs, output in choices
            )
            require_tiling(operands.layer, step.value, sizes, least, memory.capacity_bytes)
    entries = list_entries(limits, cuts, tuple(int(size) for size in sizes))
    return pack_rows_traffic(plan, tables, entries, weight_row, sizes), entries.task_numbers(limits)


def pack_rows_traffic(
    plan: RowsPlan, tables: RowsTables, entries: Entries, weight_row: int, sizes: IntArray
) -> Traffic:
    """Pack the entries' operand bursts and size what passes the PPU and the DRAM channel."""
    memory, n, x, b = plan.memory, *entries.places.T
    first = tables.block_outputs[b]
    outputs = tables.block_outputs[b + 1] - first
    outputs = np.minimum(outputs, plan.blocks.pes)
    mask_bytes = outputs * plan.mask_row_bytes
    fetched_mask = mask_bytes if plan.array.skip_zeros else np.zeros_like(mask_bytes)
    burst_first, burst_bytes, burst_cycles, words = pack_all_rows(
        plan, entries, first, outputs, fetched_mask, weight_row
    )

    partial = outputs * size_raw(plan.result_width, memory.acc_bits)
    running = np.pad(plan.written_bytes, [(0, 0), (1, 0), (0, 0)]).cumsum(axis=1)
    final = running[n, first + outputs, x] - running[n, first, x]
    read = np.where(entries.is_first, 0, partial)
    if not plan.array.skip_zeros:
        read = read + np.where(entries.is_last, mask_bytes, 0)
    if plan.summed_bytes is not None:
        added = np.pad(plan.summed_bytes, [(0, 0), (1, 0), (0, 0)]).cumsum(axis=1)
        read = read + np.where(entries.is_last, added[n, first + outputs, x] - added[n, first, x], 0)
    loads, write_backs = size_tiles(plan, tables, entries, weight_row, final)
    return Traffic(
        tile_first=entries.tile_first,
        tile_load_bytes=loads,
        tile_write_back_bytes=write_backs,
        burst_first=burst_first,
        burst_bytes=burst_bytes,
        burst_cycles=burst_cycles,
        pes=outputs,
        ppu_read_bytes=read.astype(np.int64),
        ppu_elements=outputs * plan.result_width,
        ppu_write_bytes=np.where(entries.is_last, final, partial).astype(np.int64),
        store_writes=words,
        footprint_bytes=measure_footprint(plan, entries, loads, sizes, tables),
        tiling="x".join(str(size) for size in sizes[:3]) + f"|{sizes[3]}",
    )


def size_tiles(
    plan: RowsPlan, tables: RowsTables, entries: Entries, weight_row: int, final: IntArray
) -> tuple[IntArray, IntArray]:
    """Size the loads and the write-backs of all tiles."""
    loads, write_backs = [], []
    for number, (images, rows, blocks, channels) in enumerate(entries.tiles):
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
        loads.append(drivers + outputs * len(channels) * used * weight_row + mask + summed)
        span = slice(entries.tile_first[number], entries.tile_first[number + 1])
        write_backs.append(int(final[span].sum()) if entries.is_last[span].all() else 0)
    return np.array(loads, dtype=np.int64), np.array(write_backs, dtype=np.int64)


def measure_footprint(plan: RowsPlan, entries: Entries, loads: IntArray, sizes: IntArray, tables: RowsTables) -> int:
    """Give the largest use of the buffer: output tiles and two operand tiles."""
    is_cut = int(sizes[3]) < plan.reductions
    row = size_raw(plan.result_width, plan.memory.acc_bits if is_cut else plan.memory.data_bits)
    rows = [
        len(images) * len(span) * int(tables.block_outputs[blocks.stop] - tables.block_outputs[blocks.start])
        for images, span, blocks, _ in entries.tiles
    ]
    return max(rows) * row * (1 if is_cut else 2) + 2 * int(loads.max())


def pack_all_rows(
    plan: RowsPlan, entries: Entries, first: IntArray, outputs: IntArray, mask_bytes: IntArray, weight_row: int
) -> tuple[IntArray, IntArray, IntArray, int]:
    """Pack the entries of every (image, result row) in turn: counted first, then filled."""
    half = plan.memory.half_store_bytes or UNLIMITED_BYTES
    data_bits = plan.memory.data_bits
    order = np.lexsort((np.arange(len(first)), entries.places[:, 1], entries.places[:, 0]))
    places = entries.places[order]
    cuts = np.flatnonzero(np.any(np.diff(places[:, :2], axis=0), axis=1)) + 1
    runs = np.split(order, cuts)
    low, high = np.ascontiguousarray(entries.low[:, 0]), np.ascontiguousarray(entries.high[:, 0])
    counts = np.zeros(len(first), dtype=np.int64)
    nothing, no_cycles = np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=np.int64)
    R, depth, total = plan.pairs.shape[1], plan.reductions, plan.shape.groups * plan.blocks.outputs
    nowhere = np.zeros((0, 0, 0), dtype=np.int64)
    zero_cycles = np.broadcast_to(np.array(0, dtype=np.int64), (total, depth, R))

    def pack(run: IntArray, cycles: IntArray, fills: bool, starts: IntArray, sizes: IntArray, costs: IntArray) -> int:
        n, x = (int(place) for place in entries.places[run[0], :2])
        rows = plan.pairs[x]
        drivers = np.where(rows >= 0, plan.driver_bytes[n][:, :, np.maximum(rows, 0)], -1)
        return int(
            pack_rows(
                run, first, outputs, low, high, plan.blocks.outputs, drivers, nowhere, weight_row, cycles, mask_bytes,
                half, data_bits, fills, counts, starts, sizes, costs,
            )
        )  # fmt: skip

    for run in runs:
        pack(run, zero_cycles, False, nothing, nothing, no_cycles)
    burst_first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    burst_bytes = np.zeros(burst_first[-1], dtype=np.int64)
    burst_cycles = np.zeros((burst_first[-1], plan.blocks.pes), dtype=np.int64)
    source = RowCycles(plan)
    words = 0
    for run in runs:
        n, x = (int(place) for place in entries.places[run[0], :2])
        words += pack(run, source.cycles(n, x), True, burst_first, burst_bytes, burst_cycles)
    return burst_first, burst_bytes, burst_cycles, words


class RowCycles:
    """Cycles of every row operation of one (image, result row) after the other: ``(outputs, depth, R)``."""

    def __init__(self, plan: RowsPlan) -> None:
        """Prepare what all rows share."""
        self._plan = plan
        operands, shape, array = plan.operands, plan.shape, plan.array
        self._weighted = array.skip_zeros and array.skip_weights and not np.all(operands.weight)
        self._sparse = array.skip_zeros
        if plan.step is Step.FORWARD:
            self._prepare_forward(operands, shape, array)
        elif not self._weighted:
            self._prepare_gta(operands, shape, array)

    def cycles(self, n: int, x: int) -> IntArray:
        """Give the cycles of the row operations that add into result row x of image n."""
        if self._plan.step is Step.FORWARD:
            return self._forward(n, x)
        return self._weighted_gta(n, x) if self._weighted else self._gta(n, x)

    def _prepare_forward(self, operands: Operands, shape: ConvShape, array: PEArray) -> None:
        present = operands.input != 0 if self._sparse else np.ones(shape.input_shape, dtype=np.bool_)
        taps = tabulate_taps(shape, Step.FORWARD)
        if self._weighted:
            classes, members = group_classes(taps, shape.kernel_width)
            self._elements = count_classes(present, members, len(classes))
            live = multiply_exactly((operands.weight != 0).astype(np.int64), classes.T.astype(np.int64))
            self._costs = cost_taps(live, array).cycles
        else:
            self._issued = multiply_exactly(
                present.astype(np.int64).reshape(-1, shape.in_width), cost_taps(taps.counts, array).cycles[:, None]
            ).reshape(shape.input_shape[:3])

    def _forward(self, n: int, x: int) -> IntArray:
        plan, shape = self._plan, self._plan.shape
        G, depth, R = shape.groups, plan.reductions, shape.kernel_height
        rows = np.maximum(plan.pairs[x], 0)
        overhead = plan.array.row_overhead_cycles
        if self._weighted:
            elements = self._elements[n].reshape(G, 1, depth, shape.in_height, -1)[:, :, :, rows]
            costs = self._costs.reshape(G, -1, depth, R, self._costs.shape[-1])
            weighted: IntArray = (elements * costs).sum(axis=-1).reshape(-1, depth, R) + overhead
            return weighted
        issued = self._issued[n].reshape(G, 1, depth, shape.in_height)[:, :, :, rows] + overhead
        if G == 1:
            return np.broadcast_to(issued[0], (shape.out_channels, depth, R))
        return np.repeat(issued, shape.group_out_channels, axis=1).reshape(-1, depth, R)

    def _prepare_gta(self, operands: Operands, shape: ConvShape, array: PEArray) -> None:
        G = shape.groups
        allowed = np.ones(shape.input_shape, dtype=np.bool_)
        present = np.ones(shape.output_shape, dtype=np.bool_)
        if self._sparse:
            present = operands.grad_output != 0
            if operands.mask is not None:
                allowed = operands.mask
        costs = cost_taps(count_partners(allowed, shape), array).cycles
        self._drivers = present.reshape(shape.batch, G, shape.group_out_channels, shape.out_height, -1).astype(
            np.float32
        )
        self._partners = costs.reshape(shape.batch, G, shape.group_in_channels, shape.in_height, -1).astype(np.float32)

    def _gta(self, n: int, x: int) -> IntArray:
        plan, shape = self._plan, self._plan.shape
        rows = np.maximum(plan.pairs[x], 0)
        drivers = self._drivers[n][:, :, rows, :].reshape(shape.groups, -1, shape.out_width)
        # Sums of at most Q small integers: exact in float32.
        with np.errstate(invalid="ignore"):
            sums = self._partners[n][:, :, x, :] @ drivers.swapaxes(1, 2)
        cycles: IntArray = np.rint(sums).astype(np.int64) + plan.array.row_overhead_cycles
        return cycles.reshape(shape.in_channels, plan.reductions, shape.kernel_height)

    def _weighted_gta(self, n: int, x: int) -> IntArray:
        plan, shape, operands = self._plan, self._plan.shape, self._plan.operands
        allowed = np.ones(shape.input_shape, dtype=np.bool_) if operands.mask is None else operands.mask
        return weigh_masked_rows(operands, shape, plan.array, allowed, n, x)[..., 0] + plan.array.row_overhead_cycles
