"""Optimisers, against their formulas worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from workloads.conformance import ConformanceError, check_optimiser
from workloads.host import Parameters
from workloads.optimisers.optimiser import ElementwiseCost, OptimiserState, TensorUpdate
from workloads.optimisers.sgd import Sgd
from workloads.optimisers.table import OPTIMISERS
from workloads.reference.arrays import Array
from workloads.workers import shared_work

WEIGHT, GRADIENT = np.array([4.0, 8.0]), np.array([2.0, -4.0])


def test_descent_goes_against_the_gradient() -> None:
    done = Sgd(method="sgd", learning_rate=0.5).update({"a": WEIGHT}, {"a": GRADIENT}, OptimiserState())
    np.testing.assert_array_equal(done.parameters["a"], [4 - 0.5 * 2, 8 + 0.5 * 4])
    assert (done.state.updates, dict(done.state.slots["a"])) == (1, {})


def test_momentum_is_the_gradient_first_and_then_gathers() -> None:
    sgd = Sgd(method="sgd", learning_rate=0.5, momentum=0.25)
    first = sgd.update({"a": WEIGHT}, {"a": GRADIENT}, OptimiserState())
    np.testing.assert_array_equal(first.state.slots["a"]["momentum"], [2, -4])
    np.testing.assert_array_equal(first.parameters["a"], [3, 10])
    second = sgd.update(first.parameters, {"a": np.array([1.0, 3.0])}, first.state)
    np.testing.assert_array_equal(second.state.slots["a"]["momentum"], [0.25 * 2 + 1, 0.25 * -4 + 3])
    np.testing.assert_array_equal(second.parameters["a"], [3 - 0.5 * 1.5, 10 - 0.5 * 2])
    assert second.state.updates == 2


def test_weight_decay_adds_a_share_of_the_weight_to_its_gradient() -> None:
    sgd = Sgd(method="sgd", learning_rate=0.5, momentum=0.5, weight_decay=0.125)
    done = sgd.update({"a": WEIGHT}, {"a": GRADIENT}, OptimiserState(1, {"a": {"momentum": np.array([1.0, 6.0])}}))
    steps = [0.5 * 1 + 2 + 0.125 * 4, 0.5 * 6 - 4 + 0.125 * 8]
    np.testing.assert_array_equal(done.parameters["a"], [4 - 0.5 * steps[0], 8 - 0.5 * steps[1]])


@pytest.mark.parametrize(
    ("settings", "cost"),
    [
        ({}, ElementwiseCost(reads=2, writes=1, multiplications=1, additions=1)),
        ({"momentum": 0.9}, ElementwiseCost(reads=3, writes=2, multiplications=2, additions=2)),
        ({"weight_decay": 0.1}, ElementwiseCost(reads=2, writes=1, multiplications=2, additions=2)),
        ({"momentum": 0.9, "weight_decay": 0.1}, ElementwiseCost(reads=3, writes=2, multiplications=3, additions=3)),
    ],
)
def test_each_term_costs_a_multiplication_and_an_addition(settings: dict[str, float], cost: ElementwiseCost) -> None:
    sgd = Sgd(method="sgd", learning_rate=0.1, **settings)
    assert sgd.cost() == cost
    check_optimiser(sgd)


@pytest.mark.parametrize(
    "settings", [{"learning_rate": 0.0}, {"learning_rate": -1.0}, {"momentum": 1.0}, {"momentum": -0.1}]
)
def test_settings_that_do_not_descend_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Sgd(method="sgd", **{"learning_rate": 0.1, **settings})


def test_a_missing_gradient_is_named() -> None:
    with pytest.raises(ValueError, match=r"^no gradient is given for a$"):
        Sgd(method="sgd", learning_rate=0.1).update({"a": WEIGHT}, {}, OptimiserState())


def test_the_table_has_three() -> None:
    assert {name: OPTIMISERS.load(name).__name__ for name in ("sgd", "adam", "adamw")} == {
        "sgd": "Sgd", "adam": "Adam", "adamw": "AdamW"
    }  # fmt: skip


def test_an_optimiser_whose_elements_know_of_each_other_is_refused() -> None:
    class Clipped(Sgd):
        def update_tensor(self, parameter: Array, gradient: Array, slots: Parameters, updates: int) -> TensorUpdate:
            return super().update_tensor(parameter, gradient / np.abs(gradient).max(), slots, updates)

    with pytest.raises(ConformanceError) as caught:
        check_optimiser(Clipped(method="sgd", learning_rate=0.1))
    assert str(caught.value) == "the optimiser 'sgd': must update each element for itself"


@pytest.mark.parametrize("method", ["sgd", "adam", "adamw"])
def test_parameters_that_threads_share_are_updated_alike_and_stay_in_their_order(method: str) -> None:
    settings = {"momentum": 0.9} if method == "sgd" else {}
    optimiser = OPTIMISERS.load(method)(method=method, learning_rate=0.1, weight_decay=0.01, **settings)
    random = np.random.default_rng(1)
    shapes = {"b": (3,), "a": (50, 40), "d": (1,), "c": (7, 8, 9)}
    parameters, gradients = ({name: random.standard_normal(shape) for name, shape in shapes.items()} for _ in range(2))
    found = []
    for workers in (1, 2):
        with shared_work(workers):
            first = optimiser.update(parameters, gradients, OptimiserState())
            found.append(optimiser.update(first.parameters, gradients, first.state))
    alone, shared = found
    assert list(shared.parameters) == list(shared.state.slots) == list(shapes)
    for name in shapes:
        np.testing.assert_array_equal(shared.parameters[name], alone.parameters[name])
        for slot, values in shared.state.slots[name].items():
            np.testing.assert_array_equal(values, alone.state.slots[name][slot])
