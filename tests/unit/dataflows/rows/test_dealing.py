"""How outputs are dealt to blocks, tasks and PEs."""

from __future__ import annotations

import numpy as np
import pytest
from ideal_machine import lower
from random_layers import ALL_STEPS

from dataflows.contract.array import PEArray
from dataflows.contract.errors import UnmappableLayerError
from dataflows.rows.dealing import Blocks, count_kernels_per_pe, enumerate_tasks
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
        (ConvShape(1, 64, 8, 8, 64, 3, 3), PEArray(), 64 * 64 // (3 * 56 * 8)),
        (ConvShape(1, 64, 8, 8, 64, 3, 3), PEArray(groups=1, min_tasks_per_group=1), 256 // 9),
        (ConvShape(1, 64, 8, 8, 64, 3, 3, groups=4), PEArray(groups=2), 64 * 16 // (3 * 2 * 8)),
        (ConvShape(1, 1, 20, 20, 1, 16, 16), PEArray(groups=1, min_tasks_per_group=1), 1),
        (LinearShape(1, 1000, 100), PEArray(), 1000 * 100 // (3 * 56 * 8)),
        (LinearShape(1, 4000, 4000), PEArray(), 256),
        (LinearShape(1, 2, 2), PEArray(), 1),
    ],
)
def test_a_pe_holds_as_many_kernels_as_fit_but_leaves_tasks_for_all_groups(
    shape: LayerShape, array: PEArray, kernels: int
) -> None:
    assert count_kernels_per_pe(shape, array) == kernels


SHAPE = ConvShape(1, 2, 9, 12, 2, 2, 3)
NEEDED = {Step.FORWARD: (10, "output row"), Step.GTA: (12, "grad_input row"), Step.GTW: (6, "grad_weight kernel")}


def zero_operands(shape: LayerShape) -> Operands:
    """Give operands of zeros."""
    input, weight, grad_output = (
        np.zeros(size, np.float32) for size in (shape.input_shape, shape.weight_shape, shape.output_shape)
    )
    return Operands("conv7", shape, input, weight, None, grad_output, None, ALL_STEPS)


@pytest.mark.parametrize("step", Step)
def test_results_that_just_fit_the_accumulators_are_taken_and_one_word_more_is_refused(step: Step) -> None:
    needed, what = NEEDED[step]
    assert len(lower(zero_operands(SHAPE), step, PEArray(accumulators=needed))) > 0
    with pytest.raises(UnmappableLayerError) as caught:
        lower(zero_operands(SHAPE), step, PEArray(accumulators=needed - 1))
    assert str(caught.value) == (
        f"layer 'conv7', step {step}: one {what} needs {needed} accumulators in a PE, array.accumulators = {needed - 1}"
    )


@pytest.mark.parametrize("step", Step)
def test_a_fully_connected_layer_fits_any_pe(step: Step) -> None:
    assert len(lower(zero_operands(LinearShape(1, 50, 50)), step, PEArray(accumulators=1))) > 0
