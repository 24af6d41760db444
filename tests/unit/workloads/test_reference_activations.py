"""Activations equal Python's own mathematical functions, and derivatives what the functions do nearby."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workloads.reference import activations as act

Function = Callable[[NDArray[Any]], NDArray[Any]]
DTYPES = (np.float32, np.float64)
STEP = 1e-6
SLOPE = 0.25
POINTS = np.array([-9.0, -4.5, -3.0, -2.25, -0.5, -1e-3, 0.0, 1e-3, 0.75, 2.25, 3.0, 4.5, 9.0])


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def tanh_gelu(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


FUNCTIONS: dict[str, tuple[Function, Callable[[float], float]]] = {
    "leaky_relu": (lambda x: act.leaky_relu(x, SLOPE), lambda x: x if x > 0 else SLOPE * x),
    "sigmoid": (act.sigmoid, logistic),
    "hard_sigmoid": (act.hard_sigmoid, lambda x: min(max(x + 3, 0), 6) / 6),
    "hard_swish": (act.hard_swish, lambda x: x * min(max(x + 3, 0), 6) / 6),
    "silu": (act.silu, lambda x: x * logistic(x)),
    "gelu": (act.gelu, lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2))),
    "gelu_tanh": (act.gelu_tanh, tanh_gelu),
}
SLOPES: dict[str, tuple[Function, Function]] = {
    "sigmoid": (act.sigmoid, lambda x: act.sigmoid_slope(act.sigmoid(x))),
    "tanh": (np.tanh, lambda x: act.tanh_slope(np.tanh(x))),
    "hard_swish": (act.hard_swish, act.hard_swish_slope),
    "silu": (act.silu, act.silu_slope),
    "gelu": (act.gelu, act.gelu_slope),
    "gelu_tanh": (act.gelu_tanh, act.gelu_tanh_slope),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_equals_the_formula_on_single_numbers(name: str, dtype: type[np.floating[Any]]) -> None:
    function, formula = FUNCTIONS[name]
    computed = function(POINTS.astype(dtype).reshape(1, -1))
    assert computed.dtype == dtype
    expected = [[formula(float(x)) for x in POINTS.astype(dtype)]]
    # Some roundings of the parts; 1 + tanh loses what is far below one.
    unit = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(computed, expected, rtol=8 * unit, atol=8 * unit)


@pytest.mark.parametrize("name", SLOPES)
def test_a_derivative_equals_differences(name: str) -> None:
    function, slope = SLOPES[name]
    points = POINTS[np.abs(POINTS) != 3]
    differences = (function(points + STEP) - function(points - STEP)) / (2 * STEP)
    np.testing.assert_allclose(slope(points), differences, atol=1e-9)
    assert slope(points.astype(np.float32)).dtype == np.float32


def test_the_ends_do_not_overflow() -> None:
    far = np.array([-1e4, 1e4], np.float32)
    for function, at_the_ends in ((act.sigmoid, [0, 1]), (act.silu, [0, 1e4]), (act.gelu, [0, 1e4])):
        np.testing.assert_array_equal(function(far), np.array(at_the_ends, np.float32))
    np.testing.assert_array_equal(act.softmax(far[None], -1), [[0, 1]])


def test_the_normal_probability_keeps_its_relative_accuracy_far_below_zero() -> None:
    """Phi(-x) is phi(x) / x (1 - 1/x^2 + 3/x^4 - 15/x^6 + ...), which is within its next term, 105/x^8, of it."""
    x = 30.0
    series = 1 - x**-2 + 3 * x**-4 - 15 * x**-6
    expected = math.exp(-x * x / 2) / math.sqrt(2 * math.pi) / x * series
    assert act.normal_probability(np.array([-x]))[0] == pytest.approx(expected, rel=105 * x**-8)


def test_the_normal_probability_is_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.linspace(-3, 3, 10).reshape(2, 5)
    whole = act.normal_probability(points)
    monkeypatch.setattr(act, "ERFC_BLOCK", 3)
    np.testing.assert_array_equal(act.normal_probability(points), whole)


def test_what_is_flagged_has_the_second_slope() -> None:
    gradient, flags = np.array([2, 4, 8], np.float32), np.array([True, False, True])
    handed = act.select_slope(gradient, flags, (0.25, 1.0))
    np.testing.assert_array_equal(handed, np.array([2, 1, 8], np.float32))
    assert handed.dtype == np.float32


def test_the_gradient_of_a_slope_sums_what_is_not_positive() -> None:
    input = np.array([[[-1.0, 2.0], [-3.0, 0.0]]])
    gradient = np.array([[[5.0, 7.0], [11.0, 13.0]]])
    handed, by_channel = act.prelu_backward(gradient, input, np.array([0.5, 0.25]))
    np.testing.assert_array_equal(handed, [[[2.5, 7.0], [2.75, 3.25]]])
    np.testing.assert_array_equal(by_channel, [-5.0, -33.0])
    np.testing.assert_array_equal(act.prelu_backward(gradient, input, np.array([0.5]))[1], [-38.0])


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_the_gradient_of_a_softmax_is_that_of_its_whole_jacobian(axis: int) -> None:
    rng = np.random.default_rng(1)
    input, gradient = rng.standard_normal((2, 2, 3, 4)), rng.standard_normal((2, 2, 3, 4))
    output = act.softmax(input, axis)
    handed = np.moveaxis(act.softmax_backward(gradient, output, axis), axis, -1)
    rows, grads = np.moveaxis(output, axis, -1), np.moveaxis(gradient, axis, -1)
    np.testing.assert_allclose(rows.sum(axis=-1), 1, rtol=1e-15)
    for place in np.ndindex(rows.shape[:-1]):
        jacobian = np.diag(rows[place]) - np.outer(rows[place], rows[place])
        np.testing.assert_allclose(handed[place], jacobian @ grads[place], rtol=1e-12, atol=1e-15)
