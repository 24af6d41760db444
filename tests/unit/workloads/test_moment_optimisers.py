"""Adam and AdamW: first updates by hand, and twenty of every optimiser against values that torch gave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optimiser_cases import CASES, make_optimiser, run_updates
from pydantic import ValidationError

from workloads.conformance import check_optimiser
from workloads.optimisers.adam import Adam
from workloads.optimisers.adamw import AdamW
from workloads.optimisers.optimiser import ElementwiseCost, OptimiserState

# Behind 20 updates of tests/optimiser_cases.py, by torch 2.13.
STORED = {
    "sgd": [0.0017779929, -0.59077209, 0.24915124, 2.000751, 3.4533612e-05, -0.00099638535],
    "sgd_momentum": [-4.1805382, -0.47049293, 0.12391392, 0.96704978, 0.00033600861, -0.0002693265],
    "adam": [0.96387511, -0.515481, 0.2364932, 2.013335, 0.027706182, 0.10575489],
    "adam_decay": [0.96578622, -0.49510592, 0.093489319, 1.6118912, -0.0046888208, 0.00034853397],
    "adamw": [0.96193731, -0.51445687, 0.23602067, 2.0093162, 0.027659047, 0.10559773],
    "adamw_decay": [0.76453865, -0.45110446, 0.17822063, 1.6991546, 0.053185962, 0.1909543],
}
WEIGHT, GRADIENT = np.array([4.0, 8.0]), np.array([2.0, -4.0])


@pytest.mark.parametrize(("name", "settings"), [case[:2] for case in CASES])
def test_twenty_updates_give_what_torch_gave(name: str, settings: dict[str, Any]) -> None:
    found = run_updates(make_optimiser(settings))[-1]
    # Sums of 20 roundings of numbers up to about 10, and torch fuses a multiplication with an addition.
    np.testing.assert_allclose(found, STORED[name], rtol=1e-5, atol=1e-6)


def test_the_first_update_is_a_step_of_the_learning_rate_against_the_sign() -> None:
    adam = Adam(method="adam", learning_rate=0.5, betas=[0.75, 0.5], epsilon=1e-300)
    done = adam.update({"a": WEIGHT}, {"a": GRADIENT}, OptimiserState())
    np.testing.assert_allclose(done.parameters["a"], [4 - 0.5, 8 + 0.5], rtol=1e-15)
    np.testing.assert_array_equal(done.state.slots["a"]["first_moment"], 0.25 * GRADIENT)
    np.testing.assert_array_equal(done.state.slots["a"]["second_moment"], 0.5 * GRADIENT**2)


def test_decay_is_gathered_by_the_moments_of_adam_and_is_apart_from_those_of_adamw() -> None:
    settings: dict[str, Any] = {"learning_rate": 0.5, "weight_decay": 0.25, "betas": [0.75, 0.5]}
    state, given = OptimiserState(), {"a": GRADIENT}
    gathered = Adam(method="adam", **settings).update({"a": WEIGHT}, given, state).state.slots["a"]["first_moment"]
    apart = AdamW(method="adamw", **settings).update({"a": WEIGHT}, given, state)
    np.testing.assert_array_equal(gathered, 0.25 * (GRADIENT + 0.25 * WEIGHT))
    np.testing.assert_array_equal(apart.state.slots["a"]["first_moment"], 0.25 * GRADIENT)
    signs = 0.5 * np.sign(GRADIENT)
    np.testing.assert_allclose(apart.parameters["a"], WEIGHT * (1 - 0.5 * 0.25) - signs, rtol=1e-8)


@pytest.mark.parametrize(
    ("settings", "multiplications", "additions"),
    [
        ({"method": "adam"}, 6, 5), ({"method": "adam", "weight_decay": 0.1}, 7, 6),
        ({"method": "adamw"}, 7, 5), ({"method": "adamw", "weight_decay": 0.0}, 6, 5),
    ],
)  # fmt: skip
def test_each_operation_is_counted(settings: dict[str, Any], multiplications: int, additions: int) -> None:
    optimiser = make_optimiser({"learning_rate": 0.1, **settings})
    assert optimiser.cost() == ElementwiseCost(4, 3, multiplications, additions, divisions=1, square_roots=1)
    check_optimiser(optimiser)


@pytest.mark.parametrize(
    "settings", [{"betas": [0.9]}, {"betas": [1.0, 0.9]}, {"betas": [0.9, -0.1]}, {"epsilon": 0.0},
                 {"weight_decay": -1.0}, {"learning_rate": 0.0}],
)  # fmt: skip
def test_settings_that_do_not_descend_are_refused(settings: dict[str, Any]) -> None:
    for optimiser in (Adam, AdamW):
        with pytest.raises(ValidationError):
            optimiser.model_validate({"method": optimiser.__name__.lower(), "learning_rate": 0.1, **settings})
