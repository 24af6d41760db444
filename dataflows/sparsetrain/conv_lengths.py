"""A convolution's steps as tasks of exact length (sections 3 and 4 of the machine's definition)."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.array import PEArray
from dataflows.contract.tasks import StepCounts, TaskTable
from dataflows.rows.cycles import (
    cost_taps,
    count_classes,
    count_partners,
    gather_kernel_rows,
    group_classes,
    multiply_exactly,
    scatter_kernel_rows,
    skips_weights,
)
from dataflows.rows.dealing import Blocks, count_kernels_per_pe, enumerate_tasks, require_accumulators
from dataflows.rows.masked_cycles import list_masked_rows
from dataflows.rows.taps import pair_rows, tabulate_taps
from dataflows.storage.compressed_rows import compress_rows
from workloads.arrays import BoolArray, IntArray
from workloads.operands import Operands
from workloads.shapes import ConvShape, Step


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
    """Cut one step of a convolution into tasks, as long as their PEs compute.

    Raises:
        UnmappableLayerError: a row or a kernel of results does not fit the accumulators of a PE.
    """
    require_accumulators(operands, step, array)
    deal = {Step.FORWARD: deal_forward, Step.GTA: deal_gta, Step.GTW: deal_gtw}[step]
    names, indices = list_conv_tasks(conv_shape(operands), step, array)
    return TaskTable(deal(operands, array), names, indices, count_conv(operands, step, array))


def list_conv_tasks(shape: ConvShape, step: Step, array: PEArray) -> tuple[tuple[str, ...], IntArray]:
    """Name the indices of a step's tasks and list them, in the order of dispatch."""
    G, B = shape.groups, array.pes_per_group
    if step is Step.GTW:
        blocks = Blocks(shape.group_in_channels, B, count_kernels_per_pe(shape, array))
        indices = enumerate_tasks(shape.out_channels, blocks.per_group)
        indices[:, 1] += indices[:, 0] // shape.group_out_channels * blocks.per_group
        return ("filter", "block"), indices
    if step is Step.FORWARD:
        rows, blocks = shape.out_height, Blocks(shape.group_out_channels, B)
    else:
        rows, blocks = shape.in_height, Blocks(shape.group_in_channels, B)
    return ("image", "row", "block"), enumerate_tasks(shape.batch, rows, G * blocks.per_group)


def count_conv(operands: Operands, step: Step, array: PEArray) -> StepCounts:
    """Count what the PEs do in one step of a convolution, without dealing it to them."""
    count = {Step.FORWARD: tally_forward, Step.GTA: tally_gta, Step.GTW: tally_gtw}[step]
    tally = count(operands, array)
    effectual = tally.multiplications
    if not array.skip_zeros:
        effectual = count(operands, dataclasses.replace(array, skip_zeros=True)).multiplications
    shape = conv_shape(operands)
    return StepCounts(
        row_ops=tally.row_ops,
        multiplications=tally.multiplications,
        effectual_macs=effectual,
        dense_macs=count_dense_macs(shape),
        nominal_macs=shape.nominal_macs,
        header_cycles=tally.row_ops * array.row_overhead_cycles,
        empty_issue_cycles=tally.empty_issue_cycles,
        taps_examined=tally.driver_elements * shape.kernel_width if array.skip_zeros else 0,
    )


def find_drivers(operands: Operands, array: PEArray) -> BoolArray:
    """Tell which input elements drive a multiplication in Forward: all of them on a dense machine."""
    shape = conv_shape(operands)
    return operands.input != 0 if array.skip_zeros else np.ones(shape.input_shape, dtype=np.bool_)


def deal_forward(operands: Operands, array: PEArray) -> IntArray:
    """Give the PEs' cycles of Forward's tasks: one for each image, output row p and block of filters."""
    shape = conv_shape(operands)
    N, G, Mg, B = shape.batch, shape.groups, shape.group_out_channels, array.pes_per_group
    if skips_weights(operands, array):
        issued = sum_weighted_rows(operands, array)[0]
    else:
        costs = cost_taps(tabulate_taps(shape, Step.FORWARD).counts, array).cycles
        rows = multiply_exactly(find_drivers(operands, array).reshape(-1, shape.in_width), costs[:, None])
        rows = rows.reshape(N, G, shape.group_in_channels, shape.in_height, 1).sum(axis=2)
        issued = np.repeat(scatter_kernel_rows(rows, shape)[:, :, None, :, 0], Mg, axis=2)
    headers = scatter_kernel_rows(np.ones((shape.in_height, 1), dtype=np.int64), shape)[:, 0]
    work = issued + headers * shape.group_in_channels * array.row_overhead_cycles
    pe_cycles = Blocks(Mg, B).deal(np.moveaxis(work, 2, 3))
    return np.moveaxis(pe_cycles, 2, 1).reshape(-1, B)


def tally_forward(operands: Operands, array: PEArray) -> Tally:
    """Count what Forward's row operations add up to."""
    shape = conv_shape(operands)
    row_pairs = (pair_rows(shape) >= 0).sum(axis=1)
    row_ops = shape.batch * shape.out_channels * shape.group_in_channels * int(row_pairs.sum())
    # How often each column drives a row operation of one filter.
    met = row_pairs @ find_drivers(operands, array).sum(axis=(0, 1))
    drivers = int(met.sum()) * shape.group_out_channels
    if skips_weights(operands, array):
        _, live, empty = (int(part.sum()) for part in sum_weighted_rows(operands, array))
        return Tally(row_ops, live, empty, drivers)
    costs = cost_taps(tabulate_taps(shape, Step.FORWARD).counts, array)
    live, empty = (int(met @ part) * shape.group_out_channels for part in (costs.taps, costs.empty(array)))
    return Tally(row_ops, live, empty, drivers)


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


def find_gradients(operands: Operands, array: PEArray) -> tuple[BoolArray, BoolArray]:
    """Tell which grad_output elements drive a multiplication in GTA, and which grad_input elements are wanted."""
    shape = conv_shape(operands)
    if not array.skip_zeros:
        return np.ones(shape.output_shape, dtype=np.bool_), np.ones(shape.input_shape, dtype=np.bool_)
    wanted = np.ones(shape.input_shape, dtype=np.bool_) if operands.mask is None else operands.mask
    return operands.grad_output != 0, wanted


def gather_gradients(present: BoolArray, shape: ConvShape) -> IntArray:
    """Count, over the filters of a group, the present grad_output elements that meet input row h: ``(N, G, H, Q)``."""
    N, G, P, Q = shape.batch, shape.groups, shape.out_height, shape.out_width
    filters = present.reshape(N, G, shape.group_out_channels, P, Q).sum(axis=2, dtype=np.int64)
    return gather_kernel_rows(filters, shape)


def sum_masked_rows(operands: Operands, array: PEArray) -> IntArray:
    """Sum issue cycles, live taps and empty issue cycles where zero weights are skipped: ``(N, G, C / G, H, 3)``."""
    shape = conv_shape(operands)
    N, G, Cg, H = shape.batch, shape.groups, shape.group_in_channels, shape.in_height
    _, wanted = find_gradients(operands, array)
    sums = np.zeros((N, G, Cg, H, 3), dtype=np.int64)
    for n in range(N):
        for h in range(H):
            operations = weigh_masked_rows(operands, shape, array, wanted, n, h)
            sums[n, :, :, h] = operations.sum(axis=(1, 2)).reshape(G, Cg, 3)
    return sums


def deal_gta(operands: Operands, array: PEArray) -> IntArray:
    """Give the PEs' cycles of GTA's tasks: one for each image, input row h and block of input channels."""
    shape = conv_shape(operands)
    N, G, Cg, H, B = shape.batch, shape.groups, shape.group_in_channels, shape.in_height, array.pes_per_group
    if skips_weights(operands, array):
        issued = sum_masked_rows(operands, array)[..., 0]
    else:
        present, wanted = find_gradients(operands, array)
        costs = cost_taps(count_partners(wanted, shape).reshape(N, G, Cg, H, -1), array).cycles
        issued = np.einsum("nghq,ngchq->ngch", gather_gradients(present, shape), costs)
    headers = (pair_rows(shape) >= 0).sum(axis=1) * shape.group_out_channels
    work = issued + headers * array.row_overhead_cycles
    pe_cycles = Blocks(Cg, B).deal(np.moveaxis(work, 2, 3))
    return np.moveaxis(pe_cycles, 1, 2).reshape(-1, B)


def tally_gta(operands: Operands, array: PEArray) -> Tally:
    """Count what GTA's row operations add up to."""
    shape = conv_shape(operands)
    present, wanted = find_gradients(operands, array)
    row_ops = shape.batch * shape.in_channels * int((pair_rows(shape) >= 0).sum()) * shape.group_out_channels
    drivers = gather_gradients(present, shape)
    elements = int(drivers.sum()) * shape.group_in_channels
    if skips_weights(operands, array):
        _, live, empty = (int(part) for part in sum_masked_rows(operands, array).sum(axis=(0, 1, 2, 3)))
    else:
        live, empty = tally_partners(drivers, wanted, shape, array)
    return Tally(row_ops, live, empty, elements)


def tally_partners(drivers: IntArray, wanted: BoolArray, shape: ConvShape, array: PEArray) -> tuple[int, int]:
    """Count live taps and empty issue cycles of drivers ``(N, G, H, Q)`` that meet the wanted columns of an input."""
    N, G, Cg = shape.batch, shape.groups, shape.group_in_channels
    costs = cost_taps(count_partners(wanted, shape), array)
    parts = (part.reshape(N, G, Cg, *part.shape[2:]).sum(axis=2) for part in (costs.taps, costs.empty(array)))
    live, empty = (int((drivers * part).sum()) for part in parts)
    return live, empty


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


def find_pairs(operands: Operands, array: PEArray) -> tuple[BoolArray, BoolArray]:
    """Tell which elements of grad_output and of the input take part in GTW: all of them on a dense machine."""
    shape = conv_shape(operands)
    if array.skip_zeros:
        return operands.grad_output != 0, operands.input != 0
    return np.ones(shape.output_shape, dtype=np.bool_), np.ones(shape.input_shape, dtype=np.bool_)


def deal_gtw(operands: Operands, array: PEArray) -> IntArray:
    """Give the PEs' cycles of GTW's tasks: one for each filter and block of k kernels for each PE."""
    shape = conv_shape(operands)
    N, G, Cg, Mg, B = shape.batch, shape.groups, shape.group_in_channels, shape.group_out_channels, array.pes_per_group
    present, allowed = find_pairs(operands, array)
    drivers = gather_kernel_rows(present.astype(np.int64), shape)
    costs = cost_taps(count_partners(allowed, shape), array).cycles
    left = np.moveaxis(drivers.reshape(N, G, Mg, -1), 0, 2).reshape(G, Mg, -1)
    right = np.moveaxis(costs.reshape(N, G, Cg, -1), 0, 2).reshape(G, Cg, -1)
    issued = multiply_exactly(left, np.swapaxes(right, 1, 2))
    work = issued + N * int((pair_rows(shape) >= 0).sum()) * array.row_overhead_cycles
    return Blocks(Cg, B, count_kernels_per_pe(shape, array)).deal(work).reshape(-1, B)


def tally_gtw(operands: Operands, array: PEArray) -> Tally:
    """Count what GTW's row operations add up to."""
    shape = conv_shape(operands)
    present, allowed = find_pairs(operands, array)
    pairs = int((pair_rows(shape) >= 0).sum())
    drivers = gather_gradients(present, shape)
    live, empty = tally_partners(drivers, allowed, shape, array)
    row_ops = shape.batch * shape.out_channels * shape.group_in_channels * pairs
    return Tally(row_ops, live, empty, int(drivers.sum()) * shape.group_in_channels)
