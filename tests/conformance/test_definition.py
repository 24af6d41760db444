"""The simulator against the definition, cycle for cycle and value for value, on random geometries."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from conformance.defined import define_layer, define_step
from drawn_cases import exhaustive, thin
from ideal_machine import DATAFLOW, lower, run_tasks
from oracle import definition, definition_layers
from random_layers import ALL_STEPS, draw_case

from dataflows.contract.array import PEArray
from dataflows.contract.problem import StepProblem
from dataflows.rows.dealing import count_packed_groups
from sim.machine.ledger import State
from sim.step.values import finish_values
from workloads.operands import Operands
from workloads.shapes import ConvShape, LinearShape, Step

SEED = 20
GEOMETRIES = 320


@pytest.mark.parametrize("index", thin(range(GEOMETRIES)))
def test_cycles_counts_and_values_are_those_of_the_definition(index: int) -> None:
    operands, array = draw_case(SEED, index)
    for step in ALL_STEPS:
        sparse = define_step(operands, step, array)
        compare_step(operands, step, array, sparse, effectual_macs=sparse.multiplications)
        dense_array = dataclasses.replace(array, skip_zeros=False)
        dense = define_step(operands, step, dense_array)
        compare_step(operands, step, dense_array, dense, effectual_macs=sparse.multiplications)


def compare_step(
    operands: Operands, step: Step, array: PEArray, defined: definition.StepOracle, effectual_macs: int
) -> None:
    """Compare tasks, time, counts and values of one step with the definition's."""
    layer = define_layer(operands.shape)
    table = lower(operands, step, array)
    assert table.pe_cycles.tolist() == defined.pe_cycles
    assert [tuple(index) for index in table.indices.tolist()] == defined.task_indices

    counts = table.counts
    assert counts.row_ops == defined.row_ops
    assert counts.multiplications == defined.multiplications
    assert counts.actions["taps_examined"] == defined.examined_taps
    examined_row_ops = defined.examined_row_ops * (array.skip_zeros and array.skip_empty_rows)
    assert counts.actions["rows_examined"] == examined_row_ops
    assert counts.effectual_macs == effectual_macs
    assert counts.dense_macs == definition_layers.dense_macs(layer)
    assert counts.nominal_macs == definition_layers.nominal_macs(layer)
    assert counts.header_cycles == defined.row_ops * array.row_overhead_cycles
    if array.empty_issue_cycles <= 1:
        # A floor above 1 also lengthens issues that do multiply, which the definition's counter leaves out.
        assert counts.empty_issue_cycles == defined.empty_issue_cycles

    timing = run_tasks(table, array.groups)
    assert timing.cycles == defined.cycles
    assert timing.spent[:, State.BUSY].tolist() == defined.group_busy
    assert timing.executed.all()

    values = DATAFLOW.execute(StepProblem(operands, step, array), timing.executed)
    assert (values.row_ops, values.multiplications) == (defined.row_ops, defined.multiplications)
    output = finish_values(operands, step, values)
    assert output.dtype == np.float32
    np.testing.assert_array_equal(output, defined.output)


CASES = [draw_case(SEED, index) for index in range(GEOMETRIES)]
CONV_SHAPES = [operands.shape for operands, _ in CASES if isinstance(operands.shape, ConvShape)]


def test_the_geometries_cover_the_range_of_the_definition() -> None:
    assert {shape.stride_height for shape in CONV_SHAPES} == {1, 2, 3, 4}
    assert {shape.pad_top for shape in CONV_SHAPES} == {0, 1, 2, 3}
    assert {shape.pad_left for shape in CONV_SHAPES} == {0, 1, 2, 3}
    assert {shape.kernel_height for shape in CONV_SHAPES} == set(range(1, 12))
    assert {shape.kernel_width for shape in CONV_SHAPES} == set(range(1, 12))
    assert {shape.groups for shape in CONV_SHAPES} == {1, 2, 3}
    assert {shape.batch for shape in CONV_SHAPES} == {1, 2, 3}
    assert any(shape.kernel_height != shape.kernel_width for shape in CONV_SHAPES)
    assert any(shape.groups == shape.in_channels > 1 for shape in CONV_SHAPES)
    assert any(
        (shape.in_height + 2 * shape.pad_top - shape.kernel_height) % shape.stride_height for shape in CONV_SHAPES
    )
    assert {operands.shape.batch for operands, _ in CASES if isinstance(operands.shape, LinearShape)} == {1, 2, 3}


def test_the_machines_cover_few_and_many_groups_and_every_option() -> None:
    arrays = [array for _, array in CASES]
    assert {array.groups for array in arrays} == {1, 2, 5, 56}
    assert {array.multipliers_per_pe for array in arrays} == {1, 2, 3}
    assert {array.pes_per_group for array in arrays} == {1, 2, 3, 4}
    assert {array.empty_issue_cycles for array in arrays} == {0, 1, 2}
    assert {array.row_overhead_cycles for array in arrays} == {0, 1, 2}
    assert {array.skip_weights for array in arrays} == {False, True}
    assert {array.pack_groups for array in arrays} == {False, True}


@exhaustive
@pytest.mark.parametrize("step", ALL_STEPS)
def test_rows_and_kernels_are_cut_and_groups_packed_in_some_of_the_cases(step: Step) -> None:
    tables = [lower(operands, step, array) for operands, array in CASES if isinstance(operands.shape, ConvShape)]
    assert sum(table.index_names[-2 if step is not Step.GTW else -1] in ("strip", "run") for table in tables) >= 20
    packed = [array for operands, array in CASES if isinstance(operands.shape, ConvShape)
              and count_packed_groups(operands.shape, step, array) > 1]  # fmt: skip
    assert len(packed) >= 10


def test_geometries_are_unequal_in_half_of_the_cases() -> None:
    assert sum(shape.stride_height != shape.stride_width for shape in CONV_SHAPES) >= 50
    assert sum(shape.padding[:2] != shape.padding[2:] for shape in CONV_SHAPES) >= 50
    assert sum(max(shape.dilation) > 1 for shape in CONV_SHAPES) >= 50


@pytest.mark.parametrize("tensor", ["input", "weight", "grad_output"])
def test_every_tensor_is_all_zero_all_dense_and_partly_empty_somewhere(tensor: str) -> None:
    values = [getattr(operands, tensor) for operands, _ in CASES if isinstance(operands.shape, ConvShape)]
    rows = [np.any(value != 0, axis=-1) for value in values]
    assert any(not value.any() for value in values)
    assert any(value.all() for value in values)
    assert any(row.any() and not row.all() for row in rows)


def test_masks_are_absent_from_some_layers_and_differ_from_the_input_in_others() -> None:
    masks = [(operands.mask, operands.input != 0) for operands, _ in CASES]
    assert any(mask is None for mask, _ in masks)
    assert any(mask is not None and np.array_equal(mask, present) for mask, present in masks)
    assert any(mask is not None and not np.array_equal(mask, present) for mask, present in masks)
    assert any(mask is not None and not mask.any(axis=-1).all() for mask, _ in masks)
