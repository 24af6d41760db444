"""General geometry against the definition, cycle for cycle and value for value."""

from __future__ import annotations

import dataclasses

import pytest
from conformance.defined import define_layer, define_step
from conformance.general_cases import draw_general_case
from conformance.test_definition import compare_step
from drawn_cases import thin
from ideal_machine import lower
from oracle.definition import list_tasks
from oracle.definition_layers import Machine
from random_layers import ALL_STEPS

from dataflows.contract.errors import UnmappableLayerError
from workloads.shapes import ConvShape, Step

SEED = 132
CASES = 400


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_cycles_counts_and_values_are_those_of_the_definition(index: int) -> None:
    operands, array = draw_general_case(SEED, index)
    for step in ALL_STEPS:
        dense_array = dataclasses.replace(array, skip_zeros=False)
        assert isinstance(operands.shape, ConvShape)
        if step is Step.GTW and operands.shape.kernel_width > array.accumulators:
            for refusing in (array, dense_array):
                with pytest.raises(UnmappableLayerError, match=r"'layer'.*accumulators"):
                    lower(operands, step, refusing)
            continue
        sparse = define_step(operands, step, array)
        compare_step(operands, step, array, sparse, effectual_macs=sparse.multiplications)
        dense = define_step(operands, step, dense_array)
        compare_step(operands, step, dense_array, dense, effectual_macs=sparse.multiplications)


def test_the_cases_cut_rows_and_kernels_and_pack_groups_in_every_step() -> None:
    cut, packed, refused = dict.fromkeys(ALL_STEPS, 0), dict.fromkeys(ALL_STEPS, 0), 0
    for index in range(CASES):
        operands, array = draw_general_case(SEED, index)
        layer, machine = define_layer(operands.shape), Machine(**dataclasses.asdict(array))
        for step in ALL_STEPS:
            if step is Step.GTW and operands.shape.kernel_width > array.accumulators:
                refused += 1
                continue
            tasks = list_tasks(layer, step.value, machine)
            cut[step] += len(tasks[0].index) > (2 if step is Step.GTW else 3)
            apart = dataclasses.replace(machine, pack_groups=False)
            packed[step] += tasks != list_tasks(layer, step.value, apart)
    assert min(cut.values()) > CASES / 10
    assert min(packed.values()) > CASES / 20
    assert refused > 5


def test_the_cases_hold_unequal_strides_paddings_and_dilations() -> None:
    shapes = [draw_general_case(SEED, index)[0].shape for index in range(CASES)]
    assert sum(shape.stride_height != shape.stride_width for shape in shapes) > CASES / 4
    assert sum(shape.dilation_height != shape.dilation_width for shape in shapes) > CASES / 4
    assert sum(shape.pad_top != shape.pad_bottom for shape in shapes) > CASES / 4
    assert sum(shape.pad_left != shape.pad_right for shape in shapes) > CASES / 4
