"""Threshold models against their formulas: exact places, fitted logarithms, aimed densities, no bias."""

from __future__ import annotations

from math import exp, floor, sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workloads.conformance import ConformanceError, check_threshold_model
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.opening import open_operands
from workloads.presets import find_preset
from workloads.pruners.lognormal import TAIL, LognormalModel, expect_snapped
from workloads.pruners.normal import NormalModel, share_left
from workloads.pruners.quantile import ExactQuantile
from workloads.pruners.site import StochasticPruner
from workloads.pruners.table import THRESHOLD_MODELS
from workloads.pruners.threshold_model import FittedThreshold, ThresholdModel
from workloads.pruning import PruningKey, PruningState, prune, threshold
from workloads.pruning_sites import PruningPlace, PruningSite
from workloads.settings import GradientPruning
from workloads.workload import make_workload
from workloads.yaml_file import parse_yaml

SITE = PruningSite("conv1", "conv1", PruningPlace.BATCH_NORM)
MODELS = ("normal", "quantile", "lognormal")


def draw_lognormal(size: int, deviation: float = 2.0) -> NDArray[np.float32]:
    generator = np.random.default_rng(5)
    signs = np.where(generator.random(size) < 0.5, -1, 1)
    return (signs * np.exp(deviation * generator.standard_normal(size) - 7)).astype(np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_that_ships_keeps_the_laws(name: str) -> None:
    check_threshold_model(THRESHOLD_MODELS.make(name))


def test_the_normal_model_is_the_definition_s_threshold() -> None:
    gradient = draw_lognormal(1000).reshape(2, 500)
    assert NormalModel().fit(gradient, None, 0.9) == FittedThreshold(threshold(gradient, None, 0.9), share_left(0.9))


def test_the_exact_quantile_has_so_many_elements_below_it_zeros_among_them() -> None:
    gradient = np.array([[0, -4, 1, 0, 3], [0.5, -2, 7, 6, 5]], dtype=np.float32)
    # 0 0 0.5 1 2 3 4 5 6 7
    for rate in (0.3, 0.5, 0.9):
        tau = ExactQuantile().fit(gradient, None, rate).tau
        assert np.count_nonzero(np.abs(gradient) < tau) == floor(rate * 10)
    assert ExactQuantile().fit(gradient, None, 0.5) == FittedThreshold(3, (0.5 + 1 + 2 + 5 * 3) / 10 / 3)
    assert ExactQuantile().fit(gradient, None, 0.15) == FittedThreshold(0, 0.8)
    mask = gradient > 0
    # 0.5 1 3 5 6 7
    assert ExactQuantile().fit(gradient, mask, 0.5).tau == 5


def test_the_log_normal_model_follows_from_mean_and_deviation_of_the_logarithms() -> None:
    gradient = np.array([[1, -exp(2), 0, exp(4), 0]], dtype=np.float32)
    mask = np.array([[True, True, True, True, False]])
    deviation = sqrt(8 / 3)
    for rate in (0.5, 0.9):
        below = (rate * 4 - 1) / 3
        z = NormalDist().inv_cdf(below)
        found = LognormalModel().fit(gradient, mask, rate)
        # float32 rounds the given magnitudes and tau.
        assert found.tau == pytest.approx(exp(2 + deviation * z), rel=3e-7)
        snapped = exp(deviation**2 / 2 - deviation * z) * NormalDist().cdf(z - deviation)
        assert found.density == pytest.approx(3 / 4 * (1 - below + snapped), rel=1e-6)
    assert LognormalModel().fit(gradient, mask, 0.25) == FittedThreshold(0.0, 3 / 4)


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.99])
def test_of_log_normal_numbers_the_log_normal_model_hits_the_rate_and_the_normal_one_does_not(rate: float) -> None:
    gradient = draw_lognormal(200_000).reshape(4, -1)
    gradient[:, :10_000] = 0
    names = ("quantile", "lognormal", "normal")
    exact, fitted, normal = (THRESHOLD_MODELS.make(name).fit(gradient, None, rate) for name in names)
    shares = [float((np.abs(gradient) < one.tau).mean()) for one in (exact, fitted, normal)]
    assert shares[0] == pytest.approx(rate, abs=1e-5)
    # The deviation of a share of 200,000 draws is below 0.0011.
    assert shares[1] == pytest.approx(rate, abs=4 * 0.0011)
    if rate != 0.9:  # Where their quantiles cross, by chance.
        assert abs(shares[2] - rate) > 0.002


def test_what_is_snapped_of_log_normal_numbers_is_the_integral_and_has_no_step_far_out() -> None:
    for deviation, z in ((0.5, 0.3), (2.0, 1.2), (3.0, -1.0)):
        x = np.linspace(-12, z, 200_001)
        density = np.exp(-(x**2) / 2) / sqrt(2 * np.pi)
        integral = np.trapezoid(np.exp(deviation * (x - z)) * density, x)
        assert expect_snapped(deviation, z) == pytest.approx(float(integral), rel=1e-6)
    near, far = (expect_snapped(TAIL + shift, 0.0) for shift in (-1e-9, 1e-9))
    assert near == pytest.approx(far, rel=2 / TAIL**2)
    assert expect_snapped(0.0, 1.0) == pytest.approx(NormalDist().cdf(1.0))


def test_thresholds_beyond_float32_are_its_largest_number() -> None:
    gradient = np.array([[1e-38, 1e38, 1e-38, 1e38]], dtype=np.float32)
    found = LognormalModel().fit(gradient, None, 0.99)
    assert found.tau == float(np.finfo(np.float32).max)
    assert 0 < found.density < 0.1


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rate", [0.7, 0.9])
def test_pruning_is_unbiased_over_seeds_with_every_model(name: str, rate: float) -> None:
    gradient = draw_lognormal(40_000, 1.0).reshape(2, 100, 200)
    tau = THRESHOLD_MODELS.make(name).fit(gradient, None, rate).tau
    seeds = 40
    total = sum(prune(gradient, tau, PruningKey(seed, "conv1", 0)).astype(np.float64) for seed in range(seeds))
    sizes = np.abs(gradient).astype(np.float64)
    variance = np.where(sizes < tau, sizes * (tau - sizes), 0)
    below = variance > 0
    assert 0.3 < below.mean() < 1
    change = np.where(gradient < 0, -1, 1) * (total / seeds - gradient)
    # An element of magnitude a is tau with the probability a / tau: its variance is a (tau - a).
    assert abs(float(change.sum())) < 4 * sqrt(float(variance.sum()) / seeds)
    squares = change[below] ** 2 * seeds / variance[below]
    # Each has the mean 1; the mean of some 30,000 of them, of long tails where a is small, lies within a fifth.
    assert float(squares.mean()) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("name", MODELS)
def test_the_fifo_holds_the_thresholds_of_whichever_model(name: str) -> None:
    pruner = StochasticPruner(GradientPruning(rate=0.9, model=name, fifo_depth=2, warmup_batches=2))
    state, taus = PruningState(2), []
    for batch in range(3):
        gradient = (batch + 1) * draw_lognormal(600).reshape(2, 300)
        mask = np.arange(600).reshape(2, 300) % 3 > 0
        gradient *= mask
        fitted = THRESHOLD_MODELS.make(name).fit(gradient, mask, 0.9)
        pruned, done = pruner.prune(SITE, gradient, mask, state, PruningKey(1, "conv1", batch))
        expected = float(np.float32(np.mean(taus))) if batch == 2 else 0.0
        assert (done.threshold, done.own_threshold) == (expected, fitted.tau)
        assert done.aimed_density == fitted.density * (np.count_nonzero(mask) / mask.size)
        np.testing.assert_array_equal(pruned, prune(gradient, expected, PruningKey(1, "conv1", batch)))
        taus.append(fitted.tau)
        state = state.push({"conv1": done.own_threshold})


class Negative(ThresholdModel):
    """Gives what is no threshold."""

    def fit(self, *_: object) -> FittedThreshold:
        return FittedThreshold(-1.0, 1.0)


class Signed(ThresholdModel):
    """Looks at positive elements alone."""

    def fit(self, gradient: Any, mask: Any, rate: float) -> FittedThreshold:
        return FittedThreshold(float(np.float32(rate * gradient[mask].max(initial=0))), 0.5)


def test_a_model_that_breaks_a_law_is_told_which() -> None:
    with pytest.raises(ConformanceError) as caught:
        check_threshold_model(Negative())
    assert str(caught.value) == (
        "the threshold model Negative, normal values: must give finite float32 values of at least 0, "
        "got [-1.0, -1.0, -1.0, -1.0]"
    )
    with pytest.raises(ConformanceError) as caught:
        check_threshold_model(Signed())
    assert str(caught.value).startswith("the threshold model Signed, normal values: gives ")
    assert str(caught.value).endswith("of the gradient with other signs, and other values outside the mask")


def test_a_model_that_gives_no_threshold_is_refused_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    pruner = StochasticPruner(GradientPruning(rate=0.9))
    monkeypatch.setattr(pruner, "_model", Negative())
    with pytest.raises(InputError) as caught:
        pruner.prune(SITE, np.ones((1, 2), np.float32), None, PruningState(5), PruningKey(1, "conv1", 0))
    assert str(caught.value) == ("the threshold model 'normal' gives -1; a threshold is a finite number of at least 0")


def make_pruned(preset: str, pruning: dict[str, Any], **fields: Any) -> Any:
    document = parse_yaml(find_preset(preset).read_text(), f"{preset}.yaml")
    return make_workload(YamlDocument(document.label, {**document.data, "pruning": pruning, **fields}), Path(), batch=2)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        make_pruned("lenet5", {"rate": 0.9, "model": "gauss"})
    assert str(caught.value) == (
        "lenet5.yaml: pruning.model: unknown threshold model 'gauss'; registered are normal, quantile, lognormal"
    )


def test_a_profile_has_normal_gradients_alone() -> None:
    profile = {"source": "profile", "name": "resnet34", "column": "last", "seed": 1}
    made = make_pruned("resnet34", {"rate": 0.9, "model": "quantile"}, operands=profile)
    with pytest.raises(InputError) as caught:
        open_operands(made)
    assert str(caught.value) == (
        "resnet34.yaml: pruning.model must be 'normal' for operands of a profile, whose gradients are normal numbers "
        "of a known deviation, got 'quantile'; source host has gradients that models are fitted to"
    )


def test_a_run_tells_of_its_model_and_of_the_densities_that_it_aims_at() -> None:
    stream = open_operands(make_pruned("lenet5", {"rate": 0.9, "model": "quantile", "threshold": "own_batch"}))
    assert "gradients pruned at 0.9 by the model quantile with the batch's own thresholds" in stream.headline
    assert stream.facts["pruning"]["model"] == "quantile"
    for told in stream.facts["pruning"]["gradients"].values():
        # Of at least 168 elements each is snapped with a probability of its own: 4 / 2 / sqrt(168) are 4 deviations.
        assert told["density_after"] == pytest.approx(told["aimed_density"], abs=0.15)
        assert 0 < told["threshold"] == told["own_threshold"]
