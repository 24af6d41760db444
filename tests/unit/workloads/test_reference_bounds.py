"""Bounds of a step's sums: never below them, and the length of the longest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from workloads.operands import Operands
from workloads.reference import (
    bound_forward,
    bound_gta,
    bound_gtw,
    conv_forward,
    conv_gta,
    conv_gtw,
    linear_forward,
    linear_gta,
    linear_gtw,
    sum_length,
)
from workloads.shapes import ConvShape, LayerShape, LinearShape, Step

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def layer_shapes(draw: st.DrawFn) -> LayerShape:
    if draw(st.booleans()):
        return LinearShape(draw(st.integers(1, 4)), draw(st.integers(1, 8)), draw(st.integers(1, 8)))
    groups, kernel, padding = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(0, 3))
    size = st.integers(max(1, kernel - 2 * padding), 8)
    return ConvShape(
        draw(st.integers(1, 3)), groups * draw(st.integers(1, 3)), draw(size), draw(size),
        groups * draw(st.integers(1, 3)), kernel, kernel, stride=(draw(st.integers(1, 4)), draw(st.integers(1, 4))),
        padding=tuple(padding + draw(st.integers(0, 1)) for _ in range(4)), groups=groups,
        dilation=(draw(st.integers(1, 2)), draw(st.integers(1, 2))) if kernel <= 1 + 2 * padding else (1, 1),
    )  # fmt: skip


def make_operands(shape: LayerShape, seed: int, density: float) -> Operands:
    random = np.random.default_rng(seed)

    def draw(size: tuple[int, ...]) -> NDArray[np.float32]:
        values = random.standard_normal(size) * 10.0 ** random.integers(-3, 4, size)
        return (values * (random.random(size) < density)).astype(np.float32)

    mask = random.random(shape.input_shape) < 0.5
    tensors = [draw(size) for size in (shape.input_shape, shape.weight_shape, shape.output_shape)]
    return Operands("layer", shape, tensors[0], tensors[1], draw(shape.weight_shape[:1]), tensors[2], mask, tuple(Step))


def run_steps(shape: LayerShape, input: Any, weight: Any, grad_output: Any, mask: Any) -> dict[Step, NDArray[Any]]:
    if isinstance(shape, ConvShape):
        return {
            Step.FORWARD: conv_forward(input, weight, shape),
            Step.GTA: conv_gta(grad_output, weight, shape, mask),
            Step.GTW: conv_gtw(input, grad_output, shape),
        }
    return {
        Step.FORWARD: linear_forward(input, weight, shape),
        Step.GTA: linear_gta(grad_output, weight, shape, mask),
        Step.GTW: linear_gtw(input, grad_output, shape),
    }


@given(shape=layer_shapes(), seed=SEEDS, density=st.sampled_from([0.1, 0.5, 1.0]))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_no_sum_of_absolute_products_is_above_its_bound(shape: LayerShape, seed: int, density: float) -> None:
    operands = make_operands(shape, seed, density)
    tensors = {name: np.abs(getattr(operands, name), dtype=np.float64) for name in ("input", "weight", "grad_output")}
    sums = run_steps(shape, **tensors, mask=operands.mask)
    assert operands.bias is not None
    sums[Step.FORWARD] += np.abs(operands.bias).reshape(-1, *(1,) * (sums[Step.FORWARD].ndim - 2))
    for step, bound in ((Step.FORWARD, bound_forward), (Step.GTA, bound_gta), (Step.GTW, bound_gtw)):
        computed = bound(operands)
        assert computed.dtype == np.float64
        assert (np.broadcast_to(computed, sums[step].shape) >= sums[step]).all(), step


@pytest.mark.parametrize("shape", [ConvShape(1, 1, 1, 1, 1, 1, 1), LinearShape(1, 1, 1)])
def test_the_bound_of_a_single_product_is_that_product(shape: LayerShape) -> None:
    input, weight, grad_output = (
        np.full(size, value, dtype=np.float32)
        for size, value in ((shape.input_shape, -3), (shape.weight_shape, 5), (shape.output_shape, 7))
    )
    operands = Operands("layer", shape, input, weight, None, grad_output, None, tuple(Step))
    # The relative tolerance is the margin for the bound's own rounding.
    assert bound_forward(operands).item() == pytest.approx(3 * 5, rel=2e-9)
    assert bound_gta(operands).item() == pytest.approx(7 * 5, rel=2e-9)
    assert bound_gtw(operands).item() == pytest.approx(7 * 3, rel=2e-9)
    with_bias = replace(operands, bias=np.array([-2], dtype=np.float32))
    assert bound_forward(with_bias).item() == pytest.approx(3 * 5 + 2, rel=2e-9)


def test_the_bound_of_a_masked_gradient_is_zero() -> None:
    operands = make_operands(ConvShape(2, 3, 5, 5, 4, 3, 3, padding=(1, 1, 1, 1)), 1, 1.0)
    bound = bound_gta(operands)
    assert operands.mask is not None
    assert not bound[~operands.mask].any()
    assert bound[operands.mask].all()


@given(shape=layer_shapes())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_longest_sum_is_the_largest_output_of_all_ones(shape: LayerShape) -> None:
    input, weight, grad_output = (np.ones(size) for size in (shape.input_shape, shape.weight_shape, shape.output_shape))
    for step, counts in run_steps(shape, input, weight, grad_output, None).items():
        assert sum_length(shape, step) == counts.max(), step
