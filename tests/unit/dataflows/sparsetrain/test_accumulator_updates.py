"""How often a partial sum is read and written: once for all products of an issue that go into it, counted by loops."""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np
import pytest
from random_layers import draw_operands

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare
from dataflows.contract.problem import StepProblem
from dataflows.sparsetrain.dataflow import RowConvolution
from dataflows.sparsetrain.linear_products.plan import find_products_tiling, plan_products
from workloads.operands import Operands
from workloads.shapes import ConvShape, LinearShape, MatmulShape, Step

ARRAY = PEArray(groups=2, pes_per_group=2, multipliers_per_pe=3, min_tasks_per_group=1)
SHAPE = LinearShape(3, 41, 7)


def draw(shape: ConvShape | LinearShape | MatmulShape) -> Operands:
    generator = np.random.default_rng(5)
    operands = draw_operands(generator, shape)
    thinned = {
        name: np.where(generator.random(tensor.shape) < 0.6, np.float32(1), np.float32(0))
        for name, tensor in (("input", operands.input), ("grad_output", operands.grad_output))
    }
    return dataclasses.replace(operands, **thinned, mask=thinned["input"] != 0)


def list_dot_products(operands: Operands, step: Step, skips: bool) -> list[tuple[np.ndarray, int]]:
    """List for each image what its driver row holds, and how many results are wanted of it."""
    drivers, results = operands.input, operands.grad_output
    if step is Step.GTA:
        drivers, results = operands.grad_output, operands.input
    wanted = operands.mask if step is Step.GTA and skips else np.ones_like(results, dtype=np.bool_)
    assert wanted is not None
    return [
        (row != 0 if skips else np.ones_like(row), int(want.sum())) for row, want in zip(drivers, wanted, strict=True)
    ]


def count_updates(operands: Operands, step: Step, array: PEArray, piece: int) -> int:
    """Count the issues of every piece of every row, for each wanted result."""
    updates = 0
    for row, wanted in list_dot_products(operands, step, array.skip_zeros):
        for low in range(0, len(row), piece):
            updates += wanted * -(-int(np.count_nonzero(row[low : low + piece])) // array.multipliers_per_pe)
    return updates


@pytest.mark.parametrize("overhead", [0, 2])
@pytest.mark.parametrize("passes", [True, False])
@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize(("step", "capacity"), list(product([Step.FORWARD, Step.GTA], [None, 200])))
def test_a_dot_product_updates_its_sum_once_an_issue(
    step: Step, capacity: int | None, skips: bool, passes: bool, overhead: int
) -> None:
    array = dataclasses.replace(ARRAY, skip_zeros=skips, skip_empty_rows=passes, row_overhead_cycles=overhead)
    operands = draw(SHAPE)
    operands.input[1, 8:] = 0
    problem = StepProblem(operands, step, array, MemoryShare(capacity_bytes=capacity))
    depth = SHAPE.in_features if step is Step.FORWARD else SHAPE.out_features
    piece = int(find_products_tiling(plan_products(problem))[2])
    assert (piece < depth) == (capacity is not None)
    counts = RowConvolution().lower(problem).counts
    assert counts.actions["accumulator_updates"] == count_updates(operands, step, array, piece)
    assert counts.actions["accumulator_updates"] < counts.multiplications
    ideal = RowConvolution().lower(dataclasses.replace(problem, memory=None)).counts
    assert ideal.actions["accumulator_updates"] == count_updates(operands, step, array, depth)


@pytest.mark.parametrize(
    ("shape", "step"),
    [
        (SHAPE, Step.GTW),
        (MatmulShape(2, 4, 5, 6), Step.GTW),
        *product([ConvShape(1, 2, 4, 5, 3, 3, 3)], Step),
    ],
)
def test_products_with_words_of_their_own_update_one_each(shape: ConvShape | LinearShape, step: Step) -> None:
    problem = StepProblem(draw(shape), step, ARRAY, MemoryShare())
    counts = RowConvolution().lower(problem).counts
    assert counts.actions["accumulator_updates"] == counts.multiplications > 0


@pytest.mark.parametrize("step", [Step.FORWARD, Step.GTA])
def test_a_product_of_activations_updates_as_the_fully_connected_layers_that_it_consists_of(step: Step) -> None:
    operands = draw(MatmulShape(2, 4, 5, 6))
    rows = dataclasses.replace(
        operands, input=operands.input.reshape(8, 5), grad_output=operands.grad_output.reshape(8, 6),
        mask=operands.input.reshape(8, 5) != 0,
    )  # fmt: skip
    problem = StepProblem(operands, step, ARRAY, MemoryShare())
    found = RowConvolution().lower(problem).counts.actions["accumulator_updates"]
    assert found == count_updates(rows, step, ARRAY, 6)


@pytest.mark.parametrize("step", [Step.FORWARD, Step.GTA])
def test_one_multiplier_updates_for_each_product(step: Step) -> None:
    problem = StepProblem(draw(SHAPE), step, dataclasses.replace(ARRAY, multipliers_per_pe=1), MemoryShare())
    counts = RowConvolution().lower(problem).counts
    assert counts.actions["accumulator_updates"] == counts.multiplications
