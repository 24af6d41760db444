"""The steps of convolutions and fully connected layers: equal to plain loops, adjoint to each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracle.layer_loops import ConvLoops
from oracle.layer_loops import linear_forward as loop_linear_forward
from oracle.layer_loops import linear_gta as loop_linear_gta
from oracle.layer_loops import linear_gtw as loop_linear_gtw

from workloads.operands import Operands
from workloads.reference import (
    conv_forward,
    conv_gta,
    conv_gtw,
    convolution,
    fully_connected,
    linear_forward,
    linear_gta,
    linear_gtw,
    run_forward,
    run_gta,
    run_gtw,
)
from workloads.shapes import ConvShape, LayerShape, LinearShape, Step
from workloads.workers import shared_work

SEEDS = st.integers(0, 2**32 - 1)
DTYPES = [np.float32, np.float64]


@st.composite
def conv_shapes(draw: st.DrawFn) -> ConvShape:
    """Small convolutions of every geometry: strides, paddings beyond the kernel, dilations, kernels, groups."""
    groups = draw(st.integers(1, 3))
    kernel = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    dilation = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    reach = [D * (taps - 1) + 1 for D, taps in zip(dilation, kernel, strict=True)]
    top, left, bottom, right = (draw(st.integers(0, 3)) for _ in range(4))
    return ConvShape(
        batch=draw(st.integers(1, 3)),
        in_channels=groups * draw(st.integers(1, 2)),
        in_height=draw(st.integers(least := max(1, reach[0] - top - bottom), max(least, 7))),
        in_width=draw(st.integers(least := max(1, reach[1] - left - right), max(least, 7))),
        out_channels=groups * draw(st.integers(1, 2)),
        kernel_height=kernel[0],
        kernel_width=kernel[1],
        stride=(draw(st.integers(1, 4)), draw(st.integers(1, 4))),
        padding=(top, left, bottom, right),
        dilation=dilation,
        groups=groups,
    )


def draw_operands(shape: LayerShape, seed: int, dtype: type[np.floating[Any]]) -> tuple[NDArray[Any], ...]:
    """Small-integer input, weight, grad_output, and a mask: all sums stay far below 2^24, so float32 is exact."""
    random = np.random.default_rng(seed)
    shapes = (shape.input_shape, shape.weight_shape, shape.output_shape)
    input, weight, grad_output = (random.integers(-4, 5, size).astype(dtype) for size in shapes)
    return input, weight, grad_output, random.random(shape.input_shape) < 0.6


def make_loops(shape: ConvShape) -> ConvLoops:
    return ConvLoops(shape.input_shape, shape.weight_shape, shape.stride, shape.padding, shape.dilation, shape.groups)


def assert_steps_equal_loops(shape: ConvShape, seed: int, dtype: type[np.floating[Any]]) -> None:
    input, weight, grad_output, mask = draw_operands(shape, seed, dtype)
    loops = make_loops(shape)
    results = {
        "forward": (conv_forward(input, weight, shape), loops.forward(input, weight)),
        "gta": (conv_gta(grad_output, weight, shape), loops.gta(grad_output, weight)),
        "masked gta": (conv_gta(grad_output, weight, shape, mask), loops.gta(grad_output, weight, mask)),
        "gtw": (conv_gtw(input, grad_output, shape), loops.gtw(input, grad_output)),
    }
    for step, (computed, expected) in results.items():
        assert computed.dtype == dtype, step
        assert computed.flags.c_contiguous, step
        np.testing.assert_array_equal(computed, expected, err_msg=step)


@pytest.mark.parametrize("dtype", DTYPES)
@given(shape=conv_shapes(), seed=SEEDS)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_convolution_steps_equal_plain_loops(dtype: type[np.floating[Any]], shape: ConvShape, seed: int) -> None:
    assert_steps_equal_loops(shape, seed, dtype)


@given(shape=conv_shapes(), seed=SEEDS)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_the_three_steps_of_a_convolution_are_adjoint(shape: ConvShape, seed: int) -> None:
    input, weight, grad_output, _ = draw_operands(shape, seed, np.float64)
    product = np.vdot(conv_forward(input, weight, shape), grad_output)
    assert product == np.vdot(input, conv_gta(grad_output, weight, shape))
    assert product == np.vdot(weight, conv_gtw(input, grad_output, shape))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("places", [1, 4, 10, 30, 60, 10_000])
@pytest.mark.parametrize("turned_elements", [0, 2**17])
def test_a_batch_cut_into_blocks_of_images_and_rows_gives_the_same_values(
    monkeypatch: pytest.MonkeyPatch, places: int, stride: int, turned_elements: int
) -> None:
    monkeypatch.setattr(convolution, "TURNED_ELEMENTS", turned_elements)
    monkeypatch.setattr(convolution, "BLOCK_ELEMENTS", 1)
    monkeypatch.setattr(convolution, "BLOCK_PLACES", places)
    assert_steps_equal_loops(
        ConvShape(5, 4, 7, 4, 6, 3, 2, stride=(stride, stride), padding=(1, 0, 1, 0), groups=2), 1, np.float32
    )


@pytest.mark.parametrize("size", [3, 8])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), (1, 1)])
def test_a_kernel_of_one_by_one_equals_plain_loops(size: int, stride: int, padding: int) -> None:
    # 8 x 8 positions reach POINTWISE_PLACES, 3 x 3 do not.
    assert_steps_equal_loops(
        ConvShape(
            3, 4, size, size, 6, 1, 1, stride=(stride, stride), padding=(padding, padding, padding, padding), groups=2
        ),
        1,
        np.float32,
    )


@pytest.mark.parametrize(("filters", "channels"), [(40, 35), (70, 33)])
def test_large_weights_whose_channels_threads_exchange_equal_plain_loops(
    monkeypatch: pytest.MonkeyPatch, filters: int, channels: int
) -> None:
    monkeypatch.setattr(convolution, "RUN_ELEMENTS", 1)
    with shared_work(2):
        assert_steps_equal_loops(ConvShape(1, channels, 2, 3, filters, 2, 2, padding=(1, 0, 0, 1)), 1, np.float32)


def test_a_large_kernel_on_a_large_stride_equals_plain_loops() -> None:
    assert_steps_equal_loops(ConvShape(2, 2, 19, 15, 3, 11, 7, stride=(4, 4), padding=(2, 3, 2, 3)), 1, np.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@given(
    shape=st.builds(
        LinearShape, batch=st.integers(1, 4), in_features=st.integers(1, 9), out_features=st.integers(1, 9)
    ),
    seed=SEEDS,
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_fully_connected_steps_equal_plain_loops(dtype: type[np.floating[Any]], shape: LinearShape, seed: int) -> None:
    input, weight, grad_output, mask = draw_operands(shape, seed, dtype)
    results = [
        (linear_forward(input, weight, shape), loop_linear_forward(input, weight)),
        (linear_gta(grad_output, weight, shape), loop_linear_gta(grad_output, weight)),
        (linear_gta(grad_output, weight, shape, mask), loop_linear_gta(grad_output, weight, mask)),
        (linear_gtw(input, grad_output, shape), loop_linear_gtw(input, grad_output)),
    ]
    for computed, expected in results:
        assert computed.dtype == dtype
        np.testing.assert_array_equal(computed, expected)


@pytest.mark.parametrize("out_features", [1, 2, 5, 8])
@pytest.mark.parametrize("tokens", [(), (3,)])
def test_products_whose_columns_threads_share_equal_those_of_one(
    monkeypatch: pytest.MonkeyPatch, out_features: int, tokens: tuple[int, ...]
) -> None:
    shape = LinearShape(4, 7, out_features, tokens)
    input, weight, grad_output, mask = draw_operands(shape, 3, np.float32)
    steps = (
        lambda: linear_forward(input, weight, shape),
        lambda: linear_gta(grad_output, weight, shape, mask),
        lambda: linear_gtw(input, grad_output, shape),
    )
    alone = [step() for step in steps]
    monkeypatch.setattr(fully_connected, "SHARED_PRODUCTS", 1)
    with shared_work(2):
        for step, expected in zip(steps, alone, strict=True):
            np.testing.assert_array_equal(step(), expected)


def make_operands(shape: LayerShape, seed: int, *, has_bias: bool, has_mask: bool) -> Operands:
    input, weight, grad_output, mask = draw_operands(shape, seed, np.float32)
    bias = np.arange(1, shape.weight_shape[0] + 1, dtype=np.float32) if has_bias else None
    return Operands("layer", shape, input, weight, bias, grad_output, mask if has_mask else None, tuple(Step))


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("has_mask", [True, False])
def test_steps_run_from_the_operands_of_a_convolution(has_bias: bool, has_mask: bool) -> None:
    shape = ConvShape(2, 3, 6, 5, 4, 3, 3, padding=(1, 1, 1, 1))
    operands, loops = make_operands(shape, 1, has_bias=has_bias, has_mask=has_mask), make_loops(shape)
    bias = np.array([1, 2, 3, 4]) if has_bias else np.zeros(4)
    expected = loops.forward(operands.input, operands.weight) + bias[:, None, None]
    np.testing.assert_array_equal(run_forward(operands), expected)
    expected = loops.gta(operands.grad_output, operands.weight, operands.mask)
    np.testing.assert_array_equal(run_gta(operands), expected)
    np.testing.assert_array_equal(run_gtw(operands), loops.gtw(operands.input, operands.grad_output))


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("has_mask", [True, False])
def test_steps_run_from_the_operands_of_a_fully_connected_layer(has_bias: bool, has_mask: bool) -> None:
    operands = make_operands(LinearShape(3, 5, 4), 1, has_bias=has_bias, has_mask=has_mask)
    bias = np.array([1, 2, 3, 4]) if has_bias else np.zeros(4)
    np.testing.assert_array_equal(run_forward(operands), loop_linear_forward(operands.input, operands.weight) + bias)
    expected = loop_linear_gta(operands.grad_output, operands.weight, operands.mask)
    np.testing.assert_array_equal(run_gta(operands), expected)
    np.testing.assert_array_equal(run_gtw(operands), loop_linear_gtw(operands.input, operands.grad_output))


def test_operands_of_another_shape_are_refused() -> None:
    shape = ConvShape(1, 2, 4, 4, 3, 3, 3)
    input, weight, grad_output, mask = draw_operands(shape, 1, np.float32)
    with pytest.raises(ValueError, match=r"^input must have shape \(1, 2, 4, 4\), got \(1, 2, 4, 3\)$"):
        conv_forward(input[..., 1:], weight, shape)
    with pytest.raises(ValueError, match=r"^weight must have shape \(3, 2, 3, 3\), got \(2, 2, 3, 3\)$"):
        conv_gta(grad_output, weight[1:], shape)
    with pytest.raises(ValueError, match=r"^grad_output must have shape \(1, 3, 2, 2\), got \(1, 2, 2, 2\)$"):
        conv_gtw(input, grad_output[:, 1:], shape)
    with pytest.raises(ValueError, match=r"^mask must have shape \(1, 2, 4, 4\), got \(1, 1, 4, 4\)$"):
        conv_gta(grad_output, weight, shape, mask[:, 1:])
