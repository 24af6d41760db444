"""Layers without multipliers: forward and backward equal to plain loops."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracle import layer_loops
from slow_norms import hand_back_slowly, normalise_slowly

from workloads.kinds.avg_pool import AvgPool
from workloads.kinds.max_pool import MaxPool
from workloads.reference import pooling
from workloads.reference.elementwise import (
    add_forward,
    concat_backward,
    concat_forward,
    draw_dropout_mask,
    dropout_forward,
    mask_gradient,
    relu_backward,
    relu_forward,
)
from workloads.reference.loss import cross_entropy_backward, cross_entropy_forward
from workloads.reference.normalisation import batch_norm_backward, batch_norm_forward, normalise_channels
from workloads.reference.pooling import (
    PoolWindow,
    avg_pool_backward,
    avg_pool_forward,
    global_avg_pool_backward,
    global_avg_pool_forward,
    max_pool_backward,
    max_pool_forward,
)
from workloads.workers import shared_work

SEEDS = st.integers(0, 2**32 - 1)
DTYPES = [np.float32, np.float64]
EPSILON = 1e-5


def draw_integers(shape: tuple[int, ...], seed: int, dtype: type[np.floating[Any]] = np.float64) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


@st.composite
def pool_loops(draw: st.DrawFn, kernels: tuple[int, ...], *, dilates: bool = True) -> layer_loops.PoolLoops:
    """Pooling of every geometry: kernels, strides, paddings up to half of the kernel, dilations, ceil_mode."""
    kernel = (draw(st.sampled_from(kernels)), draw(st.sampled_from(kernels)))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2))) if dilates else (1, 1)
    reach = [D * (taps - 1) + 1 for D, taps in zip(dilation, kernel, strict=True)]
    top, left, bottom, right = (draw(st.integers(0, reach[axis] // 2)) for axis in (0, 1, 0, 1))
    size = [
        draw(st.integers(max(1, reach[0] - top - bottom), 9)),
        draw(st.integers(max(1, reach[1] - left - right), 9)),
    ]
    loops = layer_loops.PoolLoops(
        (draw(st.integers(1, 2)), draw(st.integers(1, 2)), size[0], size[1]),
        kernel,
        (draw(st.integers(1, 4)), draw(st.integers(1, 4))),
        (top, left, bottom, right),
        dilation,
        draw(st.booleans()),
        draw(st.booleans()),
    )
    assume(all(members for _, members in loops.windows()))
    return loops


def window_of(loops: layer_loops.PoolLoops) -> PoolWindow:
    return PoolWindow(loops.kernel, loops.stride, loops.padding, loops.dilation, loops.ceil_mode, loops.counts_padding)


@pytest.mark.parametrize("dtype", DTYPES)
@given(loops=pool_loops((1, 2, 3, 4, 5)), seed=SEEDS)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_max_pooling_equals_plain_loops(dtype: type[np.floating[Any]], loops: layer_loops.PoolLoops, seed: int) -> None:
    window = window_of(loops)
    assert window.output_size(*loops.input_shape[2:]) == loops.output_shape[2:]
    input, grad_output = draw_integers(loops.input_shape, seed, dtype), draw_integers(loops.output_shape, seed, dtype)
    output, argmax = max_pool_forward(input, window)
    grad_input = max_pool_backward(grad_output, argmax, window, input.shape)
    assert output.dtype == grad_input.dtype == dtype
    np.testing.assert_array_equal(output, loops.max_forward(input))
    np.testing.assert_array_equal(grad_input, loops.max_backward(grad_output, input))


@pytest.mark.parametrize("dtype", DTYPES)
@given(loops=pool_loops((1, 2, 3, 4), dilates=False), seed=SEEDS)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_average_pooling_equals_plain_loops(
    dtype: type[np.floating[Any]], loops: layer_loops.PoolLoops, seed: int
) -> None:
    window = window_of(loops)
    input, grad_output = draw_integers(loops.input_shape, seed, dtype), draw_integers(loops.output_shape, seed, dtype)
    output, grad_input = avg_pool_forward(input, window), avg_pool_backward(grad_output, window, input.shape)
    assert output.dtype == grad_input.dtype == dtype
    # Sums of integers are exact, a quotient is rounded once, and of its shares at most 16 are summed.
    rounding = 16 * np.finfo(dtype).eps
    np.testing.assert_allclose(output, loops.avg_forward(input), rtol=rounding)
    np.testing.assert_allclose(grad_input, loops.avg_backward(grad_output), rtol=rounding, atol=16 * 9 * rounding)


@pytest.mark.parametrize("run_elements", [1, 50, 10_000])
def test_planes_that_threads_share_are_pooled_alike(monkeypatch: pytest.MonkeyPatch, run_elements: int) -> None:
    monkeypatch.setattr(pooling, "RUN_ELEMENTS", run_elements)
    window = PoolWindow((3, 2), (2, 1), (1, 0, 1, 1))
    loops = layer_loops.PoolLoops((3, 5, 9, 8), (3, 2), (2, 1), (1, 0, 1, 1), (1, 1), False, True)
    input, grad_output = draw_integers(loops.input_shape, 1), draw_integers(loops.output_shape, 2)
    with shared_work(2):
        output, argmax = max_pool_forward(np.asfortranarray(input), window)
        grad_input = max_pool_backward(np.asfortranarray(grad_output), argmax, window, input.shape)
    np.testing.assert_array_equal(output, loops.max_forward(input))
    np.testing.assert_array_equal(grad_input, loops.max_backward(grad_output, input))


def test_the_first_maximum_of_a_window_gets_the_gradient() -> None:
    window = PoolWindow((2, 2), (2, 2))
    input = np.array([[0, 3], [3, 3]], dtype=np.float32).reshape(1, 1, 2, 2)
    output, argmax = max_pool_forward(input, window)
    assert output.item() == 3
    assert argmax.item() == 1
    grad_input = max_pool_backward(np.full((1, 1, 1, 1), 5, dtype=np.float32), argmax, window, input.shape)
    np.testing.assert_array_equal(grad_input, [[[[0, 5], [0, 0]]]])


def test_a_pooling_window_is_read_off_its_layer() -> None:
    shape = (1, 2, 9, 8)
    plain = MaxPool(name="pool", type="max_pool", kernel=3)
    assert plain.window_on(shape) == PoolWindow((3, 3), (3, 3))
    full = MaxPool(
        name="pool", type="max_pool", kernel=[3, 4], stride=[2, 1], padding=[1, 2], dilation=2, ceil_mode=True
    )
    assert full.window_on(shape) == PoolWindow((3, 4), (2, 1), (1, 2, 1, 2), (2, 2), ceil_mode=True)
    mean = AvgPool(name="pool", type="avg_pool", kernel=[2, 3], stride=1, padding="same", count_include_pad=False)
    assert mean.window_on(shape) == PoolWindow((2, 3), (1, 1), (0, 1, 1, 1), counts_padding=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PoolWindow((3, 3), (1, 1), (3, 0, 0, 0)),
         "the padding [3, 0, 0, 0] must be smaller than the pooling kernel of 3 x 3"),
        (lambda: PoolWindow((2, 2), (1, 1), (1, 0, 1, 0), (2, 1)).output_size(1, 4),
         "a window of 3 x 2 meets no element of the image"),
        (lambda: PoolWindow((4, 2), (1, 1)).output_size(3, 4),
         "the kernel of 4 x 2 is larger than the padded input of 3 x 4"),
    ],
)  # fmt: skip
def test_pooling_windows_that_lie_in_padding_alone_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


def test_means_over_a_padded_edge_divide_as_torch_divides() -> None:
    image = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
    # Values of torch 2.13: avg_pool2d(image, 3, 2, 1) with ceil_mode, with count_include_pad=False, and with both.
    ceiling = avg_pool_forward(image, PoolWindow((3, 3), (2, 2), (1, 1, 1, 1), ceil_mode=True))
    np.testing.assert_allclose(ceiling[0, 0], [[14 / 9, 10 / 3, 2], [19 / 3, 11, 6], [4.5, 7.5, 4]], rtol=1e-6)
    excluding = avg_pool_forward(image, PoolWindow((3, 3), (2, 2), (1, 1, 1, 1), counts_padding=False))
    np.testing.assert_array_equal(excluding[0, 0], [[3.5, 5], [9.5, 11]])
    both = avg_pool_forward(image, PoolWindow((3, 3), (2, 2), (1, 1, 1, 1), ceil_mode=True, counts_padding=False))
    np.testing.assert_array_equal(both[0, 0], [[3.5, 5, 6], [9.5, 11, 12], [13.5, 15, 16]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_global_average_pooling_equals_plain_loops(dtype: type[np.floating[Any]]) -> None:
    input, grad_output = draw_integers((2, 3, 4, 2), 1, dtype), draw_integers((2, 3, 1, 1), 2, dtype)
    output, grad_input = global_avg_pool_forward(input), global_avg_pool_backward(grad_output, input.shape)
    assert output.dtype == grad_input.dtype == dtype
    np.testing.assert_array_equal(output, layer_loops.global_avg_forward(input))
    np.testing.assert_array_equal(grad_input, layer_loops.global_avg_backward(grad_output, input.shape))


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_equals_plain_loops(dtype: type[np.floating[Any]]) -> None:
    input, grad_output = draw_integers((2, 3, 4, 5), 1, dtype), draw_integers((2, 3, 4, 5), 2, dtype)
    output, expected = relu_forward(input), layer_loops.relu_backward(grad_output, input)
    assert output.dtype == dtype
    np.testing.assert_array_equal(output, layer_loops.relu_forward(input))
    np.testing.assert_array_equal(relu_backward(grad_output, output), expected)
    np.testing.assert_array_equal(relu_backward(grad_output, output > 0), expected)
    assert relu_backward(grad_output, output > 0).dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ceiling", [float("inf"), 2.0])
@pytest.mark.parametrize("shape", [(3,), (2, 5, 7), (3, 9, 100, 101)])
def test_loops_over_elements_are_the_expressions_of_numpy_to_the_bit(
    dtype: type[np.floating[Any]], ceiling: float, shape: tuple[int, ...]
) -> None:
    input, grad_output = draw_integers(shape, 1, dtype), draw_integers(shape, 2, dtype)
    input.reshape(-1)[:2], grad_output.reshape(-1)[1:3] = np.nan, (np.inf, -np.inf)
    with np.errstate(invalid="ignore"), shared_work(2):
        turned = np.asfortranarray(input)
        output = relu_forward(turned, ceiling)
        flags = (output > 0) & (output < ceiling)
        given = np.asfortranarray(grad_output)
        masked, mask = mask_gradient(given, output, ceiling)
        computed = (
            output, relu_backward(given, output, ceiling), relu_backward(given, flags, ceiling),
            masked, add_forward([turned, given, input]), add_forward([turned, given[..., :1]]),
        )  # fmt: skip
        expected = (
            np.minimum(np.maximum(input, 0), dtype(ceiling)), grad_output * flags, grad_output * flags,
            grad_output * mask, input + grad_output + input, input + grad_output[..., :1],
        )  # fmt: skip
    np.testing.assert_array_equal(mask, (output != 0) & ((output < ceiling) | np.isinf(ceiling)))
    for one, other in zip(computed, expected, strict=True):
        assert one.dtype == dtype
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(np.signbit(one), np.signbit(other))


@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_equals_plain_loops(dtype: type[np.floating[Any]]) -> None:
    input = draw_integers((2, 3, 4, 5), 1, dtype)
    # 1 / (1 - 0.75) is exact.
    kept = draw_dropout_mask(input.shape, 0.75, seed=1, layer="drop")
    output = dropout_forward(input, kept, 0.75)
    assert output.dtype == dtype
    np.testing.assert_array_equal(output, layer_loops.dropout_forward(input, kept, 0.75))


def test_a_dropout_mask_keeps_the_rest_of_the_rate() -> None:
    # 40,000 draws: the share's standard deviation is 0.0023, the tolerance four of them.
    assert draw_dropout_mask((4, 10000), 0.3, seed=1, layer="drop").mean() == pytest.approx(0.7, abs=0.0092)
    assert draw_dropout_mask((4, 100), 0.0, seed=1, layer="drop").all()


def test_a_dropout_mask_depends_on_its_place_alone() -> None:
    first = draw_dropout_mask((4, 200), 0.5, seed=1, layer="drop", iteration=3)
    np.testing.assert_array_equal(first[:2], draw_dropout_mask((2, 200), 0.5, seed=1, layer="drop", iteration=3))
    others = [
        draw_dropout_mask((4, 200), 0.5, seed=2, layer="drop", iteration=3),
        draw_dropout_mask((4, 200), 0.5, seed=1, layer="drop2", iteration=3),
        draw_dropout_mask((4, 200), 0.5, seed=1, layer="drop", iteration=4),
        np.roll(first, 1, axis=0),
    ]
    for other in others:
        # Independent masks agree in half of the 200 elements of an image; 150 are seven standard deviations away.
        assert ((first == other).sum(axis=1) < 150).all()


def test_add_and_concat_equal_plain_loops() -> None:
    inputs = [draw_integers((2, 3, 4, 2), seed) for seed in range(3)]
    np.testing.assert_array_equal(add_forward(inputs), layer_loops.add_forward(inputs))
    inputs = [draw_integers((2, channels, 3, 2), channels) for channels in (1, 3, 2)]
    joined = concat_forward(inputs)
    np.testing.assert_array_equal(joined, layer_loops.concat_forward(inputs))
    for part, expected in zip(
        concat_backward(joined, [1, 3, 2]), layer_loops.concat_backward(joined, [1, 3, 2]), strict=True
    ):
        np.testing.assert_array_equal(part, expected)


# Roots and quotients round: some units in the last place of the dtype, grown by sums of some dozens of terms.
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("offset", [0, 100])
def test_batch_norm_equals_plain_loops(dtype: type[np.floating[Any]], tolerance: float, offset: int) -> None:
    input, grad_output = draw_integers((3, 2, 4, 3), 1, dtype) + dtype(offset), draw_integers((3, 2, 4, 3), 2, dtype)
    scale, shift = np.array([2, -3], dtype=dtype), np.array([1, 5], dtype=dtype)
    output, statistics = batch_norm_forward(input, scale, shift, EPSILON)
    gradients = batch_norm_backward(grad_output, input, scale, statistics)
    expected = layer_loops.batch_norm_backward(grad_output, input.astype(np.float64), scale, EPSILON)
    loop_output = layer_loops.batch_norm_forward(input.astype(np.float64), scale, shift, EPSILON)
    np.testing.assert_allclose(output, loop_output, rtol=tolerance, atol=tolerance)
    for computed, gradient in zip(gradients, expected, strict=True):
        assert computed.dtype == dtype
        np.testing.assert_allclose(computed, gradient, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [(3, 1), (64, 5), (2, 3, 1, 1), (4, 6, 7, 5), (3, 9, 16, 16), (5, 2, 33), (2, 3, 20, 19)]
)
def test_batch_norm_is_that_of_whole_arrays_in_numpy(dtype: type[np.floating[Any]], shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(5)
    input, grad_output = (random.standard_normal(shape).astype(dtype) * 3 + dtype(1) for _ in range(2))
    scale, shift = (random.standard_normal(shape[1]).astype(dtype) for _ in range(2))
    expected, mean, inverse = normalise_slowly(input, scale, shift, EPSILON)
    found = []
    for workers in (1, 2, 3):
        with shared_work(workers):
            output, statistics = batch_norm_forward(np.asfortranarray(input), scale, shift, EPSILON)
            found.append((output, *batch_norm_backward(np.asfortranarray(grad_output), input, scale, statistics)))
    gradients = hand_back_slowly(grad_output, input, scale, statistics.mean, statistics.inverse_deviation)
    # Sums of float64 in another order: their rounding to float32 is the same, or that of its neighbour.
    tolerance = 4 * float(np.finfo(dtype).eps) if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(statistics.mean, mean, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(statistics.inverse_deviation, inverse, rtol=tolerance)
    np.testing.assert_allclose(statistics.variance, 1 / inverse.astype(np.float64) ** 2 - EPSILON, rtol=1e-4, atol=1e-6)
    for computed, slow in zip(found[0], (expected, *gradients), strict=True):
        assert computed.dtype == dtype
        assert computed.shape == slow.shape
        np.testing.assert_allclose(computed, slow, rtol=tolerance, atol=20 * tolerance)
    for other in found[1:]:
        assert all(one.tobytes() == two.tobytes() for one, two in zip(other, found[0], strict=True))
    with shared_work(2):
        again = normalise_channels(np.asfortranarray(input), statistics, scale, shift)
    assert again.tobytes() == found[0][0].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_norm_leaves_mean_shift_and_deviation_scale(dtype: type[np.floating[Any]]) -> None:
    input = np.random.default_rng(1).standard_normal((4, 2, 8, 8)).astype(dtype) * 3 + 10
    output, _ = batch_norm_forward(input, np.array([2, 3], dtype=dtype), np.array([-1, 5], dtype=dtype), EPSILON)
    # epsilon takes 1e-5 / (2 variance) off the deviation; float32 rounds at 6e-8 of values up to 12.
    np.testing.assert_allclose(output.mean(axis=(0, 2, 3)), [-1, 5], atol=1e-5)
    np.testing.assert_allclose(output.std(axis=(0, 2, 3)), [2, 3], rtol=1e-5)


def test_batch_norm_of_a_constant_channel_is_its_shift() -> None:
    input = np.full((2, 1, 3, 3), 1 / 3, dtype=np.float32)
    output, _ = batch_norm_forward(input, np.ones(1, np.float32), np.full(1, 7, np.float32), EPSILON)
    # The mean of equal values can miss them by a rounding of 3e-8, which 1 / sqrt(epsilon) multiplies by 316.
    np.testing.assert_allclose(output, np.full((2, 1, 3, 3), 7), atol=2e-5)


# exp and log round: some units in the last place.
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-6), (np.float64, 1e-14)])
def test_cross_entropy_equals_plain_loops(dtype: type[np.floating[Any]], tolerance: float) -> None:
    scores, labels = draw_integers((5, 4), 1, dtype), np.array([0, 3, 1, 1, 2])
    loss, probabilities = cross_entropy_forward(scores, labels)
    expected_loss, expected_gradient = layer_loops.cross_entropy(scores, labels)
    grad_scores = cross_entropy_backward(probabilities, labels)
    assert loss == pytest.approx(expected_loss, rel=tolerance)
    assert probabilities.dtype == grad_scores.dtype == dtype
    np.testing.assert_allclose(grad_scores, expected_gradient, rtol=tolerance, atol=tolerance)


def test_cross_entropy_of_large_scores_does_not_overflow() -> None:
    loss, probabilities = cross_entropy_forward(np.array([[1000, 0]], dtype=np.float32), np.array([1]))
    assert loss == 1000
    np.testing.assert_array_equal(probabilities, [[1, 0]])
