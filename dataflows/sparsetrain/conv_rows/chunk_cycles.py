"""Cycles of the row operations of Forward and GTA, summed over the items of each chunk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataflows.rows.cycles import (
    cost_taps,
    count_classes,
    count_partners,
    group_classes,
    multiply_exactly,
    skips_weights,
)
from dataflows.rows.occupied import mark_drivers
from dataflows.rows.strips import Strip, tabulate_strip
from dataflows.sparsetrain.conv_rows.chunks import GROUP, IMAGE, RESULT_ROW, Chunks, sum_drivers, sum_issues
from dataflows.sparsetrain.conv_rows.lengths import weigh_masked_rows
from dataflows.sparsetrain.conv_rows.masked_outputs import cost_columns, weigh_masked_outputs
from dataflows.sparsetrain.conv_rows.plan import RowsPlan
from workloads.arrays import IntArray
from workloads.shapes import Step


class ChunkCycles:
    """Sums the cycles of chunks of one strip; kinds are given in order, best some at a time."""

    def __init__(self, plan: RowsPlan, strip: Strip) -> None:
        """Prepare what all chunks share."""
        self._plan, self.strip = plan, strip
        self._rows = self._partners = self._weighted = None
        self._occupied = mark_drivers(plan.problem, strip).astype(np.int64) if plan.blocks.packed > 1 else None
        if skips_weights(plan.problem):
            self._weighted = WeightedRows(plan, strip)
        elif plan.problem.array.skip_zeros and (plan.problem.step is Step.GTA or plan.problem.mask is not None):
            self._present, self._partners = find_partners(plan, strip)
        else:
            self._rows = issue_rows(plan, strip)

    def sum_up(self, kinds: IntArray, chunks: Chunks) -> tuple[IntArray, int]:
        """Give the cycles of every chunk, int64 ``(chunks, columns)``, and the outputs that share a column.

        The columns are those of the outputs of a group, or of each of the groups that a block packs.
        """
        parts = [self._issue(self._shift(kinds, group), chunks) for group in range(self._plan.blocks.packed)]
        issued = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return issued, self._plan.blocks.outputs if self._rows is not None else 1

    def _shift(self, kinds: IntArray, group: int) -> IntArray:
        """Give the kinds of another group of the same blocks; the last block may be short."""
        if group == 0:
            return kinds
        shifted = kinds.copy()
        shifted[:, GROUP] = np.minimum(kinds[:, GROUP] + group, self._plan.shape.groups - 1)
        return shifted

    def _issue(self, kinds: IntArray, chunks: Chunks) -> IntArray:
        if self._weighted is not None:
            issued = sum_weighted_items(self._plan, self._weighted, kinds, chunks)
        elif self._partners is not None:
            issued = multiply_partners(self._plan, self._present, self._partners, kinds, chunks)
        else:
            assert self._rows is not None
            issued = self._sum_rows(kinds, chunks, self._rows)[:, None]
        # Of the items of a chunk, not all are operations of each of the groups that a block packs.
        operations = chunks.count if self._occupied is None else self._sum_rows(kinds, chunks, self._occupied)
        issued += (operations * self._plan.problem.array.row_overhead_cycles)[:, None]
        return issued

    def _sum_rows(self, kinds: IntArray, chunks: Chunks, amounts: IntArray) -> IntArray:
        return sum_issues(kinds, chunks.first, chunks.low, chunks.high, self._plan.pairs, amounts)


def issue_rows(plan: RowsPlan, strip: Strip) -> IntArray:
    """Give the issue cycles of every driver row where they are the same for all outputs: ``(N, groups, depth, Y)``."""
    taps = tabulate_strip(plan.shape, plan.problem.step, strip)
    costs = cost_taps(strip.cut_drivers(taps.counts), plan.problem.array).cycles
    if not plan.problem.array.skip_zeros:
        return np.full(plan.driver_bytes.shape, costs.sum(), dtype=np.int64)
    present = strip.cut_drivers(plan.problem.operands.input != 0)
    rows = present.reshape(plan.driver_bytes.size, len(costs))
    return multiply_exactly(rows, costs[:, None]).reshape(plan.driver_bytes.shape)


def find_partners(plan: RowsPlan, strip: Strip) -> tuple[NDArray[np.bool_], IntArray]:
    """Tell which driver elements are present, and the issue cycles of each column for each result row."""
    operands, shape, mask = plan.problem.operands, plan.shape, plan.problem.mask
    if plan.problem.step is Step.FORWARD:
        assert mask is not None
        present = np.ascontiguousarray(strip.cut_drivers(operands.input != 0))
        costs = cost_columns(plan.problem, mask, strip).cycles
        return present.reshape(*plan.driver_bytes.shape, len(strip.window)), costs
    present = np.ascontiguousarray(strip.cut_drivers(operands.grad_output != 0))
    allowed = np.ones(shape.input_shape, dtype=np.bool_) if mask is None else mask
    costs = cost_taps(count_partners(strip.limit(allowed), shape, strip.window), plan.problem.array).cycles
    by_group = shape.batch, shape.groups, shape.group_in_channels, shape.in_height, len(strip.window)
    return present.reshape(*plan.driver_bytes.shape, len(strip.window)), costs.reshape(by_group)


def multiply_partners(
    plan: RowsPlan, present: NDArray[np.bool_], partners: IntArray, kinds: IntArray, chunks: Chunks
) -> IntArray:
    """Sum the issue cycles of MSRC row operations: present driver elements by column, times what each column costs."""
    drivers = sum_drivers(kinds, chunks.first, chunks.low, chunks.high, plan.pairs, present)
    issued = np.zeros((len(drivers), plan.blocks.outputs), dtype=np.int64)
    places = kinds[:, [IMAGE, RESULT_ROW, GROUP]]
    starts = np.flatnonzero(np.any(np.diff(places, axis=0, prepend=-1), axis=1))
    for start, end in zip(starts, [*starts[1:], len(kinds)], strict=True):
        n, x, group = places[start]
        span = slice(chunks.first[start], chunks.first[end])
        issued[span] = multiply_exactly(drivers[span], partners[n, group, :, x].T)
    return issued


def sum_weighted_items(plan: RowsPlan, rows: WeightedRows, kinds: IntArray, chunks: Chunks) -> IntArray:
    """Sum the issue cycles of row operations where zero weights are skipped, item by item: each output has its own."""
    shape = plan.shape
    cycles = np.zeros((len(chunks.low), plan.blocks.outputs), dtype=np.int64)
    for kind, (n, x, group) in enumerate(kinds[:, [IMAGE, RESULT_ROW, GROUP]]):
        met = np.append(0, np.cumsum(np.tile(plan.pairs[x] >= 0, plan.reductions)))
        items = rows.cycles(int(n), int(x)).reshape(shape.groups, plan.blocks.outputs, -1)[group][:, np.diff(met) > 0]
        running = np.pad(items, [(0, 0), (1, 0)]).cumsum(axis=1)
        for chunk in range(chunks.first[kind], chunks.first[kind + 1]):
            cycles[chunk] = running[:, met[chunks.high[chunk]]] - running[:, met[chunks.low[chunk]]]
    return cycles


class WeightedRows:
    """Issue cycles of every row operation of one (image, result row) after the other, zero weights skipped."""

    def __init__(self, plan: RowsPlan, strip: Strip) -> None:
        """Prepare what all rows share."""
        self._plan, self._strip = plan, strip
        self._made: tuple[int, int] | None = None
        self._cycles = np.zeros(0, dtype=np.int64)
        operands, shape, array = plan.problem.operands, plan.shape, plan.problem.array
        if plan.problem.step is Step.FORWARD and plan.problem.mask is None:
            classes, members = group_classes(tabulate_strip(shape, Step.FORWARD, strip), shape.kernel_width)
            self._elements = count_classes(strip.limit_drivers(operands.input != 0), members, len(classes))
            live = multiply_exactly((operands.weight != 0).astype(np.int64), classes.T.astype(np.int64))
            self._costs = cost_taps(live, array).cycles

    def cycles(self, n: int, x: int) -> IntArray:
        """Give the issue cycles of the row operations that add into result row x of image n: ``(outputs, depth, R)``.

        Kinds of one (image, result row) follow one another, so the last ones are kept.
        """
        if self._made != (n, x):
            self._cycles = self._forward(n, x) if self._plan.problem.step is Step.FORWARD else self._gta(n, x)
            self._made = (n, x)
        return self._cycles

    def _forward(self, n: int, x: int) -> IntArray:
        plan, shape = self._plan, self._plan.shape
        if plan.problem.mask is not None:
            return weigh_masked_outputs(plan.problem, plan.problem.mask, (n, x), self._strip)[..., 0]
        G, depth, R = shape.groups, plan.reductions, shape.kernel_height
        rows = np.maximum(plan.pairs[x], 0)
        elements = self._elements[n].reshape(G, 1, depth, shape.in_height, -1)[:, :, :, rows]
        costs = self._costs.reshape(G, -1, depth, R, self._costs.shape[-1])
        weighted: IntArray = (elements * costs).sum(axis=-1).reshape(-1, depth, R)
        return weighted

    def _gta(self, n: int, x: int) -> IntArray:
        plan, shape, mask = self._plan, self._plan.shape, self._plan.problem.mask
        allowed = np.ones(shape.input_shape, dtype=np.bool_) if mask is None else mask
        allowed = self._strip.limit(allowed)
        return weigh_masked_rows(plan.problem, shape, allowed, (n, x), self._strip)[..., 0]
