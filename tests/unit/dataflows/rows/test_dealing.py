"""How outputs are dealt to blocks, tasks and PEs."""

from __future__ import annotations

import numpy as np
import pytest
from ideal_machine import lower
from random_layers import ALL_STEPS

from dataflows.contract.array import PEArray
from dataflows.contract.errors import UnmappableLayerError
from dataflows.rows.dealing import (
    Blocks,
    GroupedBlocks,
    KernelTasks,
    count_kernels_per_pe,
    count_packed_groups,
    enumerate_tasks,
)
from workloads.operands import Operands
from workloads.shapes import ConvShape, LayerShape, LinearShape, Step


def test_a_block_is_dealt_in_runs_with_the_first_pe_filled_first() -> None:
    blocks = Blocks(outputs=10, pes=3, run=2)
    assert blocks.per_group == 2
    ones = np.ones(10, dtype=np.int64)
    assert blocks.deal(ones).tolist() == [[2, 2, 2], [2, 2, 0]]
    powers = 2 ** np.arange(10)
    assert blocks.deal(powers).tolist() == [[3, 12, 48], [192, 768, 0]]


def test_flags_of_blocks_are_spread_over_their_outputs() -> None:
    blocks = Blocks(outputs=5, pes=2, run=1)
    assert blocks.spread(np.array([True, False, True])).tolist() == [True, True, False, False, True]


def test_tasks_are_numbered_with_the_last_index_fastest() -> None:
    assert enumerate_tasks(2, 3).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]


@pytest.mark.parametrize(
    ("shape", "array", "kernels"),
    [
        (ConvShape(1, 64, 8, 8, 64, 3, 3), PEArray(), 1),
        (ConvShape(1, 64, 8, 8, 64, 3, 3), PEArray(groups=1, min_tasks_per_group=1), 256 // 9),
        (ConvShape(1, 64, 8, 8, 64, 3, 3, groups=4), PEArray(groups=2), 64 * 16 // (3 * 2 * 32)),
        (ConvShape(1, 1, 20, 20, 1, 16, 16), PEArray(groups=1, min_tasks_per_group=1), 1),
        (LinearShape(1, 1000, 100), PEArray(), 1000 * 100 // (3 * 56 * 32)),
        (LinearShape(1, 4000, 4000), PEArray(), 256),
        (LinearShape(1, 2, 2), PEArray(), 1),
    ],
)
def test_a_pe_holds_as_many_kernels_as_fit_but_leaves_tasks_for_all_groups(
    shape: LayerShape, array: PEArray, kernels: int
) -> None:
    assert count_kernels_per_pe(shape, array) == kernels


SHAPE = ConvShape(1, 2, 9, 12, 2, 2, 3)


def zero_operands(shape: LayerShape) -> Operands:
    """Give operands of zeros."""
    input, weight, grad_output = (
        np.zeros(size, np.float32) for size in (shape.input_shape, shape.weight_shape, shape.output_shape)
    )
    return Operands("conv7", shape, input, weight, None, grad_output, None, ALL_STEPS)


@pytest.mark.parametrize(
    ("step", "accumulators", "indices"),
    [
        (Step.FORWARD, 10, ("image", "row", "block")),
        (Step.FORWARD, 9, ("image", "row", "strip", "block")),
        (Step.GTA, 12, ("image", "row", "block")),
        (Step.GTA, 11, ("image", "row", "strip", "block")),
        (Step.GTW, 6, ("filter", "block")),
        (Step.GTW, 5, ("filter", "block", "run")),
    ],
)
def test_results_that_do_not_fit_the_accumulators_are_cut(step: Step, accumulators: int, indices: object) -> None:
    assert lower(zero_operands(SHAPE), step, PEArray(accumulators=accumulators)).index_names == indices


def test_a_kernel_row_of_one_word_more_than_the_accumulators_is_refused() -> None:
    operands, few = zero_operands(SHAPE), PEArray(accumulators=SHAPE.kernel_width - 1)
    assert len(lower(operands, Step.GTW, PEArray(accumulators=SHAPE.kernel_width))) > 0
    assert len(lower(operands, Step.FORWARD, few)) > 0
    with pytest.raises(UnmappableLayerError) as caught:
        lower(operands, Step.GTW, few)
    assert str(caught.value) == (
        "layer 'conv7', step gtw: one grad_weight kernel row needs 3 accumulators in a PE, array.accumulators = 2"
    )


def test_small_groups_are_packed_where_at_least_two_of_them_fill_the_pes() -> None:
    depthwise = ConvShape(1, 7, 4, 4, 14, 3, 3, groups=7)
    array = PEArray(pes_per_group=5)
    # Two filters, one channel a group.
    assert [count_packed_groups(depthwise, step, array) for step in ALL_STEPS] == [2, 5, 5]
    assert count_packed_groups(depthwise, Step.FORWARD, PEArray(pes_per_group=3)) == 1
    assert {count_packed_groups(depthwise, step, PEArray(pack_groups=False)) for step in ALL_STEPS} == {1}
    assert count_packed_groups(ConvShape(1, 1, 4, 4, 1, 3, 3), Step.GTW, array) == 1


def test_a_block_holds_whole_groups_and_the_last_one_may_hold_fewer() -> None:
    blocks = GroupedBlocks(groups=5, outputs=2, pes=5, packed=2)
    assert blocks.first_outputs.tolist() == [0, 4, 8, 10]
    assert [ends.tolist() for ends in blocks.group_ends] == [[0, 2, 4], [1, 3, 4]]
    assert blocks.deal(np.arange(1, 11).reshape(5, 2)).tolist() == [[1, 2, 3, 4, 0], [5, 6, 7, 8, 0], [9, 10, 0, 0, 0]]
    assert blocks.spread(np.array([True, False, True])).tolist() == [True] * 4 + [False] * 4 + [True] * 2


def test_packed_kernels_are_those_of_one_place_of_every_group() -> None:
    tasks = KernelTasks(groups=3, group_filters=2, group_channels=1, pes=2, kernels=1, packed=2)
    assert tasks.limits == (2, 2)
    work = np.arange(1, 7).reshape(3, 2, 1)
    assert tasks.deal(work).tolist() == [[[1, 3], [2, 4]], [[5, 0], [6, 0]]]
    assert tasks.first_filters(np.array([1]), np.array([1])).tolist() == [5]
    spread = tasks.spread(np.array([[True, False], [False, True]]))
    assert spread[:, 0].tolist() == [True, False, True, False, False, True]


@pytest.mark.parametrize("step", Step)
def test_a_fully_connected_layer_fits_any_pe(step: Step) -> None:
    assert len(lower(zero_operands(LinearShape(1, 50, 50)), step, PEArray(accumulators=1))) > 0
