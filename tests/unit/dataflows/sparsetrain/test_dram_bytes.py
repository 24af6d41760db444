"""The DRAM bytes of a step by its shape are those that a machine which stores everything raw moves."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from compiled_kernels import compile_kernels
from random_layers import draw_case, draw_operands

from dataflows.contract.array import PEArray
from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import Kept, MemoryShare
from dataflows.contract.problem import StepProblem
from dataflows.contract.step_form import StepForm
from dataflows.sparsetrain.dataflow import RowConvolution
from dataflows.sparsetrain.dram_bytes import measure_dram_bytes
from workloads.kinds.conv_transpose2d import ConvTranspose2d
from workloads.operands import GradientFinish, Operands
from workloads.shapes import LayerShape, LinearShape, MatmulShape, Step

CASES = 60
DATAFLOW = RowConvolution()
UP = ConvTranspose2d.model_validate({"name": "up", "type": "conv_transpose2d", "out_channels": 3, "kernel": 3})
OTHERS: tuple[LayerShape, ...] = (
    LinearShape(2, 6, 5, tokens=(3,)), MatmulShape(2, 3, 5, 4, transpose_b=True), UP.infer_geometry((2, 4, 3, 3)),
)  # fmt: skip


def draw_layer(number: int) -> tuple[Operands, PEArray]:
    """Draw a layer of any kind; one in two cuts rows and kernels."""
    operands, array = draw_case(31, number)
    if number % 2:
        operands = draw_operands(np.random.default_rng((31, number)), OTHERS[number // 2 % 3])
    return operands, replace(array, accumulators=12 if number % 4 == 1 else 256, skip_zeros=False)


def draw_form(rng: np.random.Generator, operands: Operands, step: Step) -> tuple[StepForm, Operands]:
    """Draw gradients that are added to what is written, and a mask of it."""
    shape, is_factor = operands.shape, step is Step.GTW and operands.shape.weighs_activations
    if step is Step.FORWARD or (step is Step.GTW and not is_factor):
        return StepForm("layer", shape, step), operands
    size = shape.weight_shape if is_factor else shape.input_shape
    summed = tuple(rng.random(size).astype(np.float32) for _ in range(int(rng.integers(3))))
    mask = rng.random(size) < 0.5 if rng.random() < 0.5 else None
    if is_factor:
        operands = replace(operands, weight_summed=summed, weight_finish=GradientFinish(mask))
    else:
        operands = replace(operands, summed=summed, mask=mask, finish=GradientFinish(mask))
    return StepForm("layer", shape, step, mask is not None, len(summed)), operands


@pytest.mark.parametrize("number", range(CASES))
def test_the_bytes_of_a_step_are_those_of_its_tiles_where_all_is_raw(number: int) -> None:
    compile_kernels()
    drawn, array = draw_layer(number)
    rng = np.random.default_rng((32, number))
    for step in Step:
        form, operands = draw_form(rng, drawn, step)
        names = ["input", "grad_output", *(["weight"] if drawn.shape.weighs_activations else [])]
        kept = Kept(
            frozenset(name for name in names if rng.random() < 0.3),
            summed=frozenset([0] if rng.random() < 0.3 else []),
            has_result=(step is not Step.GTW or drawn.shape.weighs_activations) and bool(rng.random() < 0.3),
        )  # fmt: skip
        capacity = int(rng.choice([150, 400, 1500, 10**6]))
        for memory in (MemoryShare(capacity, kept=kept), MemoryShare(None, kept=kept)):
            found = measure_dram_bytes(form, array, memory)
            try:
                traffic = DATAFLOW.lower(StepProblem(operands, step, array, memory)).traffic
            except UnmappableLayerError:
                assert found is None
                continue
            assert traffic is not None
            assert found == int(traffic.tile_load_bytes.sum() + traffic.tile_write_back_bytes.sum())


def test_the_least_bytes_never_grow_with_capacity_and_residency_moves_no_more() -> None:
    for number in range(CASES):
        operands, array = draw_layer(number)
        for step in Step:
            form, found = StepForm("layer", operands.shape, step), []
            for capacity in range(100, 3000, 150):
                whole = measure_dram_bytes(form, array, MemoryShare(capacity))
                kept = Kept(frozenset(["input", "grad_output"]), has_result=step is not Step.GTW)
                less = measure_dram_bytes(form, array, MemoryShare(capacity, kept=kept))
                if whole is not None:
                    assert less is not None
                    assert 32 * less <= 33 * whole
                    found.append(whole)
            # Of the tilings that move next to the least, the one taken may move up to a part in 32 more.
            for before, after in pairwise(found):
                assert 32 * after <= 33 * before


@pytest.mark.parametrize("capacity", [0, -5])
def test_nothing_fits_where_no_capacity_is_left(capacity: int) -> None:
    assert (
        measure_dram_bytes(StepForm("fc", LinearShape(2, 3, 4), Step.FORWARD), PEArray(), MemoryShare(capacity)) is None
    )
