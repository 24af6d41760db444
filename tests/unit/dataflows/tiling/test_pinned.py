"""A pinned tiling is the one that a step is cut by; one that is none of the step's, or does not fit, is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from compiled_kernels import compile_kernels
from random_layers import draw_case, draw_operands

from dataflows.contract.array import PEArray
from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import MemoryShare, Tiling, Traffic
from dataflows.contract.problem import StepProblem
from dataflows.sparsetrain.dataflow import RowConvolution
from dataflows.tiling.pinned import pin_sizes, require_fit
from workloads.operands import Operands
from workloads.shapes import LinearShape, MatmulShape, Step

CASES = 40
DATAFLOW = RowConvolution()
LINEAR = LinearShape(2, 6, 5)


def lower(operands: Operands, step: Step, array: PEArray, memory: MemoryShare) -> Traffic:
    traffic = DATAFLOW.lower(StepProblem(operands, step, array, memory)).traffic
    assert traffic is not None
    return traffic


def draw_tiling(rng: np.random.Generator, whole: str) -> Tiling:
    """Draw run lengths up to those of one tile."""
    tasks, reductions = (tuple(int(rng.integers(1, int(size) + 1)) for size in part.split("x"))
                         for part in whole.split("|"))  # fmt: skip
    return Tiling(tasks, reductions)


def draw_layer(number: int) -> tuple[Operands, PEArray]:
    """Draw a convolution, a fully connected layer or a product; one in two cuts rows and kernels."""
    rng = np.random.default_rng((71, number))
    operands, array = draw_case(24, number)
    if number % 4 == 0:
        operands = draw_operands(rng, MatmulShape(2, 3, 5, 4, transpose_b=True))
    return operands, replace(array, accumulators=12 if number % 2 else 256)


@pytest.mark.parametrize("number", range(CASES))
def test_a_step_is_cut_by_the_tiling_that_is_pinned_if_it_fits(number: int) -> None:
    compile_kernels()
    operands, array = draw_layer(number)
    rng = np.random.default_rng((72, number))
    for step in operands.steps:
        whole = lower(operands, step, array, MemoryShare(None)).tiling
        tiling = draw_tiling(rng, whole)
        found = lower(operands, step, array, MemoryShare(None, tiling=tiling))
        assert found.tiling == str(tiling)
        needed = found.footprint_bytes
        fitting = lower(operands, step, array, MemoryShare(needed, tiling=tiling))
        np.testing.assert_array_equal(fitting.tile_load_bytes, found.tile_load_bytes)
        with pytest.raises(UnmappableLayerError) as caught:
            lower(operands, step, array, MemoryShare(needed - 1, tiling=tiling))
        assert str(caught.value) == (
            f"layer '{operands.layer}', step {step}: the tiling {tiling} needs {needed} bytes of the global buffer, "
            f"buffer.capacity_bytes = {needed - 1}"
        )


@pytest.mark.parametrize("step", Step)
def test_the_best_tiling_pinned_is_the_tiling_that_is_found(step: Step) -> None:
    for number in range(CASES):
        operands, array = draw_layer(number)
        capacity = lower(operands, step, array, MemoryShare(None)).footprint_bytes * 2 // 3
        try:
            found = lower(operands, step, array, MemoryShare(capacity))
        except UnmappableLayerError:
            continue
        tasks, reductions = (tuple(int(size) for size in part.split("x")) for part in found.tiling.split("|"))
        pinned = lower(operands, step, array, MemoryShare(capacity, tiling=Tiling(tasks, reductions)))
        np.testing.assert_array_equal(pinned.tile_load_bytes, found.tile_load_bytes)
        np.testing.assert_array_equal(pinned.burst_cycles, found.burst_cycles)


@pytest.mark.parametrize(
    "tiling",
    [Tiling((2, 2), (7,)), Tiling((2, 3), (6,)), Tiling((0, 2), (6,)), Tiling((2, 2, 1), (6,)), Tiling((2,), (6,))],
    ids=str,
)
def test_run_lengths_that_are_none_of_the_step_are_refused(tiling: Tiling) -> None:
    operands = draw_operands(np.random.default_rng(1), LINEAR)
    with pytest.raises(UnmappableLayerError) as caught:
        lower(operands, Step.FORWARD, PEArray(), MemoryShare(None, tiling=tiling))
    assert str(caught.value) == (
        f"layer '{operands.layer}', step forward: the tiling must have run lengths from 1 to those of one tile, which "
        f"are 2x2|6, got {tiling}"
    )


def test_without_a_pinned_tiling_there_is_none_to_fit() -> None:
    problem = StepProblem(draw_operands(np.random.default_rng(1), LINEAR), Step.FORWARD, PEArray(), MemoryShare(10))
    assert pin_sizes(problem, (2, 2), (6,)) is None
    require_fit(problem, 10)
    with pytest.raises(UnmappableLayerError, match=r"needs 11 bytes of the global buffer, buffer\.capacity_bytes = 10"):
        require_fit(problem, 11)


def test_the_tiling_of_a_sampled_step_is_pinned_too() -> None:
    operands = draw_operands(np.random.default_rng(2), LINEAR)
    for step in Step:
        whole = lower(operands, step, PEArray(), MemoryShare(None)).tiling
        tiling = draw_tiling(np.random.default_rng(3), whole)
        problem = StepProblem(operands, step, PEArray(), MemoryShare(tiling=tiling))
        assert DATAFLOW.plan_tiles(problem, np.arange(LINEAR.batch)).sizes == tiling.sizes
