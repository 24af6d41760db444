"""Twenty iterations and an evaluation of a network with batch norm and dropout, against what torch gave."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from normalised_trainings import OPTIMISERS, evaluate, open_plans, run_iterations, summarize

# By torch 2.13, as test_torch_trainings.py runs it: some losses, running mean and variance, scale and shift, a bias,
# the sum of the magnitudes of a convolution's weights, and loss and accuracy of the test images.
STORED = {
    "sgd": [
        1.0871356,
        1.1148249,
        1.0743072,
        1.0505751,
        1.0990561,
        0.67686653,
        -0.15277746,
        -0.41894069,
        -0.69176632,
        1.3088816,
        1.0987468,
        1.3201463,
        1.460445,
        0.93892527,
        0.90947294,
        0.85074371,
        0.94487262,
        -0.03882435,
        -0.076761931,
        -0.16050832,
        -0.073718227,
        0.10863013,
        0.1139489,
        -0.22257903,
        13.869925,
        1.1058182,
        0.35,
    ],
    "adam": [
        1.0871356,
        1.1362762,
        1.0629439,
        1.1277936,
        1.116869,
        0.58329785,
        0.078647375,
        -0.36815763,
        -0.49548361,
        1.0635769,
        0.97631615,
        1.1407839,
        1.1624938,
        0.90144384,
        0.9023416,
        0.89143157,
        0.92012691,
        -0.043637503,
        -0.053339556,
        -0.065387242,
        -0.03673194,
        0.0095354496,
        0.04185456,
        -0.039883744,
        11.910982,
        1.1132084,
        0.3,
    ],
    "adamw": [
        1.0871356,
        1.1370864,
        1.0640025,
        1.1295192,
        1.1198164,
        0.68026584,
        0.077778228,
        -0.449806,
        -0.51939923,
        1.3224005,
        1.0641422,
        1.3026853,
        1.3657172,
        0.92212719,
        0.91727591,
        0.91422552,
        0.94321066,
        -0.047020994,
        -0.051077098,
        -0.060451709,
        -0.037215702,
        0.0091796024,
        0.042695962,
        -0.04023353,
        13.374744,
        1.1158936,
        0.25,
    ],
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_twenty_iterations_and_an_evaluation_are_what_torch_gave(tmp_path: Path, name: str) -> None:
    plan, evaluated = open_plans(tmp_path, name)
    losses, states = zip(*run_iterations(plan), strict=True)
    found = summarize(list(losses), states[-1], evaluate(evaluated, states[-1]))
    # Sums of float32 in another order, whose differences twenty updates carry on.
    np.testing.assert_allclose(found, STORED[name], rtol=1e-4, atol=1e-5)


def test_running_statistics_follow_the_batches_and_no_test_image(tmp_path: Path) -> None:
    plan, _ = open_plans(tmp_path, "sgd")
    before = plan.begin()
    for number, (_, state) in enumerate(run_iterations(plan)):
        found = np.asarray(plan.load_batch(number).images, np.float64)
        weight = np.asarray(before.parameters["conv1/weight"], np.float64)
        padded = np.pad(found, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        output = np.einsum("nchwrs,mcrs->nmhw", windows, weight)
        mean, variance = output.mean(axis=(0, 2, 3)), output.var(axis=(0, 2, 3), ddof=1)
        for name, value in (("mean", mean), ("variance", variance)):
            expected = 0.9 * before.statistics[f"bn1/{name}"] + 0.1 * value
            # Rounding of float32.
            np.testing.assert_allclose(state.statistics[f"bn1/{name}"], expected, rtol=1e-5, atol=1e-6)
        evaluate(plan, state)
        before = state


def test_evaluation_draws_nothing_and_weighs_by_images(tmp_path: Path) -> None:
    plan, evaluated = open_plans(tmp_path, "sgd")
    *_, (_, state) = run_iterations(plan)
    assert plan.test is not None
    whole = evaluate(plan, state)
    # With a dropout and without one; in one batch and in several, of which the last is short.
    assert evaluate(evaluated, state) == whole
    parts = dataclasses.replace(plan, test=dataclasses.replace(plan.test, batch=7))
    loss, accuracy = evaluate(parts, state)
    assert (loss, accuracy) == (pytest.approx(whole[0], rel=1e-6), pytest.approx(whole[1]))
    assert 0 < (accuracy or 0) < 1
