"""A fully connected layer's steps as tasks of exact length: the channel vector is one row."""

from __future__ import annotations

import numpy as np

from dataflows.contract.array import PEArray
from dataflows.contract.tasks import StepCounts, TaskTable
from dataflows.rows.dealing import Blocks, count_kernels_per_pe, enumerate_tasks
from workloads.arrays import BoolArray, IntArray
from workloads.operands import Operands
from workloads.shapes import LinearShape, Step


def lower_linear(operands: Operands, step: Step, array: PEArray) -> TaskTable:
    """Cut one step of a fully connected layer into tasks."""
    assert isinstance(operands.shape, LinearShape)
    shape, B, sparse = operands.shape, array.pes_per_group, array.skip_zeros
    inputs, gradients = operands.input != 0, operands.grad_output != 0
    mask = np.ones(shape.input_shape, dtype=np.bool_) if operands.mask is None else operands.mask
    effectual = count_effectual_macs(step, inputs, gradients, mask, shape)
    if not sparse:
        inputs, gradients, mask = np.ones_like(inputs), np.ones_like(gradients), np.ones_like(mask)

    names, sizes = ("image", "block"), (shape.batch, Blocks(shape.out_features, B).per_group)
    if step is Step.FORWARD:
        active = np.ones(shape.output_shape, dtype=np.bool_)
        pe_cycles = Blocks(shape.out_features, B).deal(cost_dot_products(inputs, active, array))
        row_ops = active.sum()
    elif step is Step.GTA:
        blocks = Blocks(shape.in_features, B)
        sizes = (shape.batch, blocks.per_group)
        pe_cycles = blocks.deal(cost_dot_products(gradients, mask, array))
        row_ops = mask.sum()
    else:
        blocks = Blocks(shape.in_features, B, count_kernels_per_pe(shape, array))
        names, sizes = ("filter", "block"), (shape.out_features, blocks.per_group)
        elements = blocks.deal(inputs.astype(np.int64))
        owners = blocks.deal(np.ones(shape.in_features, dtype=np.int64)) > 0
        per_image = np.where(owners, array.row_overhead_cycles - (-elements // array.multipliers_per_pe), 0)
        pe_cycles = np.einsum("nm,nbi->mbi", gradients.astype(np.int64), per_image)
        row_ops = gradients.sum() * owners.sum()

    multiplications = count_effectual_macs(step, inputs, gradients, mask, shape)
    counts = StepCounts(
        row_ops=int(row_ops),
        multiplications=multiplications,
        effectual_macs=effectual,
        dense_macs=shape.nominal_macs,
        nominal_macs=shape.nominal_macs,
        header_cycles=int(row_ops) * array.row_overhead_cycles,
        empty_issue_cycles=0,
        taps_examined=multiplications if sparse else 0,
    )
    return TaskTable(pe_cycles.reshape(-1, B), names, enumerate_tasks(*sizes), counts)


def cost_dot_products(drivers: BoolArray, active: BoolArray, array: PEArray) -> IntArray:
    """Give the cycles of every output's dot product, 0 where it is not wanted: ``(N, outputs)``."""
    cycles = array.row_overhead_cycles - (-drivers.sum(axis=1) // array.multipliers_per_pe)
    return np.where(active, cycles[:, None], 0).astype(np.int64)


def count_effectual_macs(
    step: Step, inputs: BoolArray, gradients: BoolArray, mask: BoolArray, shape: LinearShape
) -> int:
    """Count the multiplications whose operands are present and whose result is wanted."""
    if step is Step.FORWARD:
        return int(inputs.sum()) * shape.out_features
    other = mask if step is Step.GTA else inputs
    return int((gradients.sum(axis=1) * other.sum(axis=1)).sum())
