"""A convolution's steps as tasks of exact length (sections 3 and 4 of the machine's definition)."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from dataflows.array import PEArray
from dataflows.compressed import compress_rows
from dataflows.dealing import Blocks, count_kernels_per_pe, enumerate_tasks, require_accumulators
from dataflows.masked_rows import list_masked_rows
from dataflows.row_cycles import (
    cost_taps,
    count_classes,
    count_partners,
    gather_kernel_rows,
    group_classes,
    multiply_exactly,
    scatter_kernel_rows,
)
from dataflows.taps import pair_rows, tabulate_taps
from dataflows.tasks import StepCounts, TaskTable
from workloads.operands import Operands
from workloads.shapes import ConvShape, Step

IntArray = NDArray[np.int64]


def conv_shape(operands: Operands) -> ConvShape:
    """Give the geometry of operands known to be a convolution's."""
    assert isinstance(operands.shape, ConvShape)
    return operands.shape


def count_dense_macs(shape: ConvShape) -> int:
    """Count the multiplications of one step without those on padding."""
    row_pairs = int((pair_rows(shape) >= 0).sum())
    column_pairs = len(tabulate_taps(shape, Step.FORWARD).tap)
    return shape.batch * shape.out_channels * shape.group_in_channels * row_pairs * column_pairs


@dataclasses.dataclass(frozen=True, slots=True)
class Tally:
    """What the row operations of a step add up to."""

    row_ops: int
    multiplications: int
    empty_issue_cycles: int
    driver_elements: int


def lower_conv(operands: Operands, step: Step, array: PEArray) -> TaskTable:
    """Cut one step of a convolution into tasks.

    Raises:
        UnmappableLayerError: a row or a kernel of results does not fit the accumulators of a PE.
    """
    require_accumulators(operands, step, array)
    lower = {Step.FORWARD: lower_forward, Step.GTA: lower_gta, Step.GTW: lower_gtw}[step]
    pe_cycles, names, indices, tally = lower(operands, array)
    if array.skip_zeros:
        effectual = tally.multiplications
    else:
        effectual = lower(operands, dataclasses.replace(array, skip_zeros=True))[3].multiplications
    shape = conv_shape(operands)
    counts = StepCounts(
        row_ops=tally.row_ops,
        multiplications=tally.multiplications,
        effectual_macs=effectual,
        dense_macs=count_dense_macs(shape),
        nominal_macs=shape.nominal_macs,
        header_cycles=tally.row_ops * array.row_overhead_cycles,
        empty_issue_cycles=tally.empty_issue_cycles,
        taps_examined=tally.driver_elements * shape.kernel_width if array.skip_zeros else 0,
    )
    return TaskTable(pe_cycles, names, indices, counts)


Lowered = tuple[IntArray, tuple[str, ...], IntArray, Tally]


def lower_forward(operands: Operands, array: PEArray) -> Lowered:
    """Deal output rows: one task for each image, output row p and block of filters."""
    shape = conv_shape(operands)
    N, G, Mg, P, B = shape.batch, shape.groups, shape.group_out_channels, shape.out_height, array.pes_per_group
    present = operands.input != 0 if array.skip_zeros else np.ones(shape.input_shape, dtype=np.bool_)
    row_pairs = (pair_rows(shape) >= 0).sum(axis=1)
    row_ops = N * shape.out_channels * shape.group_in_channels * int(row_pairs.sum())
    drivers = int((present.sum(axis=(0, 1, 3)) * row_pairs).sum()) * Mg

    taps = tabulate_taps(shape, Step.FORWARD)
    if array.skip_zeros and array.skip_weights and not np.all(operands.weight):
        issued, live, empty = sum_weighted_rows(operands, array)
    else:
        costs = cost_taps(taps.counts, array)
        columns = np.stack([costs.cycles, costs.taps, costs.empty(array)], axis=1)
        rows = multiply_exactly(present.astype(np.int64).reshape(-1, shape.in_width), columns)
        rows = rows.reshape(N, G, shape.group_in_channels, shape.in_height, 3).sum(axis=2)
        sums = scatter_kernel_rows(rows, shape)
        issued, live, empty = (np.repeat(sums[:, :, None, :, part], Mg, axis=2) for part in range(3))

    headers = scatter_kernel_rows(np.ones((shape.in_height, 1), dtype=np.int64), shape)[:, 0]
    work = issued + headers * shape.group_in_channels * array.row_overhead_cycles
    blocks = Blocks(Mg, B)
    pe_cycles = blocks.deal(np.moveaxis(work, 2, 3))
    pe_cycles = np.moveaxis(pe_cycles, 2, 1).reshape(-1, B)
    tally = Tally(row_ops, int(live.sum()), int(empty.sum()), drivers)
    return pe_cycles, ("image", "row", "block"), enumerate_tasks(N, P, G * blocks.per_group), tally


def sum_weighted_rows(operands: Operands, array: PEArray) -> tuple[IntArray, IntArray, IntArray]:
    """Sum issue cycles, live taps, empty issue cycles of every output row where zero weights are skipped.

    Returns three int64 ``(N, G, M / G, P)``.
    """
    shape = conv_shape(operands)
    N, G, Cg, Mg = shape.batch, shape.groups, shape.group_in_channels, shape.group_out_channels
    classes, members = group_classes(tabulate_taps(shape, Step.FORWARD), shape.kernel_width)
    rows = count_classes(operands.input != 0, members, len(classes))
    rows = rows.reshape(N, G, Cg, shape.in_height, len(classes))
    weights = (operands.weight != 0).reshape(G, Mg, Cg, shape.kernel_height, shape.kernel_width)
    live = multiply_exactly(weights.astype(np.int64), classes.T.astype(np.int64))
    costs = cost_taps(live, array)
    pairs = pair_rows(shape)
    sums = np.zeros((3, N, G, Mg, shape.out_height), dtype=np.int64)
    for r in range(shape.kernel_height):
        h = np.flatnonzero(pairs[:, r] >= 0)
        elements = rows[:, :, :, h, :]
        for part, cost in enumerate((costs.cycles, costs.taps, costs.empty(array))):
            sums[part][..., pairs[h, r]] += np.einsum("ngchx,gmcx->ngmh", elements, cost[:, :, :, r], optimize=True)
    return sums[0], sums[1], sums[2]


def lower_gta(operands: Operands, array: PEArray) -> Lowered:
    """Deal grad_input rows: one task for each image, input row h and block of input channels."""
    shape = conv_shape(operands)
    N, G, Cg, H, B = shape.batch, shape.groups, shape.group_in_channels, shape.in_height, array.pes_per_group
    sparse = array.skip_zeros
    present = operands.grad_output != 0 if sparse else np.ones(shape.output_shape, dtype=np.bool_)
    allowed = np.ones(shape.input_shape, dtype=np.bool_)
    if sparse and operands.mask is not None:
        allowed = operands.mask

    filters = present.reshape(N, G, shape.group_out_channels, shape.out_height, -1).sum(axis=2)
    drivers = gather_kernel_rows(filters, shape)
    row_pairs = (pair_rows(shape) >= 0).sum(axis=1)
    headers = row_pairs * shape.group_out_channels
    if sparse and array.skip_weights and not np.all(operands.weight):
        sums = np.zeros((N, G, Cg, H, 3), dtype=np.int64)
        for n in range(N):
            for h in range(H):
                operations = weigh_masked_rows(operands, shape, array, allowed, n, h)
                sums[n, :, :, h] = operations.sum(axis=(1, 2)).reshape(G, Cg, 3)
    else:
        costs = cost_taps(count_partners(allowed, shape).reshape(N, G, Cg, H, -1), array)
        parts = (costs.cycles, costs.taps, costs.empty(array))
        sums = np.stack([np.einsum("nghq,ngchq->ngch", drivers, part) for part in parts], axis=-1)

    work = sums[..., 0] + headers * array.row_overhead_cycles
    blocks = Blocks(Cg, B)
    pe_cycles = blocks.deal(np.moveaxis(work, 2, 3))
    pe_cycles = np.moveaxis(pe_cycles, 1, 2).reshape(-1, B)
    row_ops = N * shape.in_channels * int(headers.sum())
    tally = Tally(row_ops, int(sums[..., 1].sum()), int(sums[..., 2].sum()), int(drivers.sum()) * Cg)
    return pe_cycles, ("image", "row", "block"), enumerate_tasks(N, H, G * blocks.per_group), tally


def weigh_masked_rows(
    operands: Operands, shape: ConvShape, array: PEArray, allowed: NDArray[np.bool_], n: int, h: int
) -> IntArray:
    """List issue cycles, live taps and empty issue cycles of the row operations that add into one grad_input row.

    Returns int64 ``(C, M / G, R, 3)``.
    """
    rows = compress_rows(operands.grad_output[n])
    listed: IntArray = list_masked_rows(
        rows.first, rows.position, np.ascontiguousarray(allowed[n, :, h]), operands.weight != 0, pair_rows(shape)[h],
        shape.out_height, shape.stride, shape.pad_width, array.multipliers_per_pe, array.empty_issue_cycles,
    )  # fmt: skip
    return listed


def lower_gtw(operands: Operands, array: PEArray) -> Lowered:
    """Deal kernels of grad_weight: one task for each filter and block of k kernels for each PE."""
    shape = conv_shape(operands)
    N, G, Cg, Mg, B = shape.batch, shape.groups, shape.group_in_channels, shape.group_out_channels, array.pes_per_group
    sparse = array.skip_zeros
    present = operands.grad_output != 0 if sparse else np.ones(shape.output_shape, dtype=np.bool_)
    allowed = operands.input != 0 if sparse else np.ones(shape.input_shape, dtype=np.bool_)

    drivers = gather_kernel_rows(present.astype(np.int64), shape)
    costs = cost_taps(count_partners(allowed, shape), array)
    left = np.moveaxis(drivers.reshape(N, G, Mg, -1), 0, 2).reshape(G, Mg, -1)
    right = np.moveaxis(costs.cycles.reshape(N, G, Cg, -1), 0, 2).reshape(G, Cg, -1)
    issued = multiply_exactly(left, np.swapaxes(right, 1, 2))

    pairs = int((pair_rows(shape) >= 0).sum())
    work = issued + N * pairs * array.row_overhead_cycles
    blocks = Blocks(Cg, B, count_kernels_per_pe(shape, array))
    pe_cycles = blocks.deal(work).reshape(-1, B)
    totals = drivers.reshape(N, G, Mg, *drivers.shape[2:]).sum(axis=2)
    live, empty = (
        int((totals * part.reshape(N, G, Cg, *part.shape[2:]).sum(axis=2)).sum())
        for part in (costs.taps, costs.empty(array))
    )
    tally = Tally(N * shape.out_channels * Cg * pairs, live, empty, int(totals.sum()) * Cg)
    indices = enumerate_tasks(shape.out_channels, blocks.per_group)
    indices[:, 1] += indices[:, 0] // Mg * blocks.per_group
    return pe_cycles, ("filter", "block"), indices, tally
