"""Gradient pruning: thresholds, draws, the FIFO, where it acts, and its settings in a workload."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from math import pi, sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter
from slow_pruning import draw_uniforms, prune_slowly, sum_slowly

from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.kinds import Layer
from workloads.network import Network, build_network
from workloads.opening import open_operands
from workloads.pruners.normal import share_left
from workloads.pruning import PruningKey, PruningState, measure_density, prune, prune_and_count, threshold
from workloads.pruning_sites import find_pruning_sites
from workloads.workers import shared_work
from workloads.workload import make_workload

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
KEY = PruningKey(seed=7, layer="conv1", iteration=3)
# The outputs of SplitMix64 for the seed 1234567, https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64
SPLITMIX_OUTPUTS = (
    6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
)  # fmt: skip


def draw_gradient(shape: tuple[int, ...], seed: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def test_draws_are_the_upper_53_bits_of_splitmix64() -> None:
    uniforms = draw_uniforms(1234567, np.arange(5))
    assert uniforms.tolist() == [(output >> 11) / 2**53 for output in SPLITMIX_OUTPUTS]
    assert draw_uniforms(1234567, np.array([4, 1])).tolist() == uniforms[[4, 1]].tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 3, 4, 7), (5, 1000), (7, 33, 31), (0, 4)])
@pytest.mark.parametrize("images", [None, (4, 0, 9, 2**40, 3, 1, 8)])
def test_what_is_pruned_is_to_the_bit_what_the_definition_prunes(
    dtype: type[np.floating[Any]], shape: tuple[int, ...], images: tuple[int, ...] | None
) -> None:
    gradient = draw_gradient(shape).astype(dtype)
    gradient[np.abs(gradient) < 0.2] = 0
    gradient.reshape(-1)[::5] *= -1
    key = dataclasses.replace(KEY, seed=2**63 - 1, images=images)
    for tau in (0.3, 1.0, float(np.float32(1.3)), 50.0):
        for workers in (1, 2):
            with shared_work(workers):
                pruned = prune(gradient, tau, key)
            expected = prune_slowly(gradient, tau, key)
            assert pruned.dtype == dtype
            assert pruned.tobytes() == expected.tobytes()


def test_a_gradient_that_lies_otherwise_in_memory_is_pruned_alike() -> None:
    gradient = draw_gradient((4, 6, 8))
    turned = np.asfortranarray(gradient)
    mask = gradient > 0
    np.testing.assert_array_equal(prune(turned, 1.0, KEY), prune(gradient, 1.0, KEY))
    assert threshold(turned, np.asfortranarray(mask), 0.9) == threshold(gradient, mask, 0.9)


def test_what_is_no_number_is_left_as_it_is() -> None:
    gradient = np.array([[np.nan, np.inf, -np.inf, 0.5]], np.float32)
    np.testing.assert_array_equal(prune(gradient, 1.0, KEY)[0, :3], gradient[0, :3])


@pytest.mark.parametrize("size", [1, 255, 256, 257, 5000])
@pytest.mark.parametrize("is_masked", [False, True])
def test_a_threshold_is_that_of_sums_made_by_numpy(size: int, is_masked: bool) -> None:
    gradient = draw_gradient((size,))
    mask = draw_gradient((size,), 4) > -1 if is_masked else None
    total, positions = sum_slowly(gradient, mask)
    tau = NormalDist().inv_cdf(0.95) * sqrt(pi / 2) * total / positions
    # Both sums are of float64, in other orders: rounding to float32 hides the difference, but for one unit at most.
    assert threshold(gradient, mask, 0.9) == pytest.approx(tau, rel=2**-23)
    with shared_work(2):
        assert threshold(gradient, mask, 0.9) == threshold(gradient, mask, 0.9)


@pytest.mark.parametrize("tau", [0.0, 0.7, 1.5])
def test_what_becomes_of_elements_is_counted(tau: float) -> None:
    gradient = draw_gradient((3, 41, 29))
    gradient[0, :5], gradient[1, :3], gradient[2, 0, 0] = 0, -tau, np.nan
    done = prune_and_count(gradient, tau, KEY)
    assert done.density == np.count_nonzero(done.gradient) / gradient.size
    assert done.snapped == (np.count_nonzero(np.abs(done.gradient) == np.float32(tau)) / gradient.size if tau else 0)


def test_a_density_counts_what_is_not_zero() -> None:
    assert measure_density(np.array([[0, -1.5], [-0.0, np.nan]], np.float32)) == 0.5


def test_draws_are_uniform() -> None:
    uniforms = draw_uniforms(KEY.image_key(0), np.arange(100_000))
    counts, _ = np.histogram(uniforms, bins=100, range=(0, 1))
    chi_square = float(((counts - 1000) ** 2 / 1000).sum())
    # 99 degrees of freedom: mean 99, deviation sqrt(198); the draws are fixed, and a fair source passes in 99.99 %.
    assert abs(chi_square - 99) < 4 * sqrt(198)


def test_a_threshold_is_the_quantile_of_the_deviation_that_the_mean_magnitude_tells() -> None:
    gradient = np.array([[1, -2, 0, 5], [0, 0, 3, -1]], dtype=np.float32)
    for rate in (0.7, 0.9):
        sigma = sqrt(pi / 2) * 12 / 8
        assert threshold(gradient, None, rate) == np.float32(NormalDist().inv_cdf((1 + rate) / 2) * sigma)


def test_only_positions_of_the_mask_count_zeros_among_them() -> None:
    gradient = np.array([[1, -2, 0, 0], [0, 0, 3, 0]], dtype=np.float32)
    mask = np.array([[True, True, True, False], [False, False, True, False]])
    sigma = sqrt(pi / 2) * 6 / 4
    assert threshold(gradient, mask, 0.8) == np.float32(NormalDist().inv_cdf(0.9) * sigma)


def test_nothing_to_prune_gives_the_threshold_0() -> None:
    gradient = np.zeros((2, 3), dtype=np.float32)
    assert threshold(gradient, None, 0.9) == 0
    assert threshold(gradient + 1, np.zeros((2, 3), dtype=np.bool_), 0.9) == 0
    assert threshold(gradient + 1, None, 0) == 0


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_a_rate_outside_0_to_1_has_no_threshold(rate: float) -> None:
    with pytest.raises(ValueError, match=f"^a pruning rate must be at least 0 and below 1, got {rate}$"):
        threshold(draw_gradient((2, 2)), None, rate)


def test_the_threshold_0_prunes_nothing() -> None:
    gradient = draw_gradient((2, 3, 4))
    np.testing.assert_array_equal(prune(gradient, 0.0, KEY), gradient)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_elements_are_kept_snapped_to_the_threshold_or_zero(dtype: type[np.floating[Any]]) -> None:
    gradient = draw_gradient((2, 40, 50)).astype(dtype)
    gradient[0, :2] = 0
    before = gradient.copy()
    pruned = prune(gradient, 1.25, KEY)
    is_large = np.abs(gradient) >= 1.25
    np.testing.assert_array_equal(gradient, before)
    assert pruned.dtype == dtype
    np.testing.assert_array_equal(pruned[is_large], gradient[is_large])
    small = ~is_large & (gradient != 0)
    assert set(np.abs(pruned[small]).tolist()) == {0.0, 1.25}
    snapped = small & (pruned != 0)
    np.testing.assert_array_equal(np.sign(pruned[snapped]), np.sign(gradient[snapped]))
    assert not pruned[gradient == 0].any()


def test_an_element_at_the_threshold_is_kept() -> None:
    gradient = np.full((1, 1000), -1.5, dtype=np.float32)
    np.testing.assert_array_equal(prune(gradient, 1.5, KEY), gradient)


@pytest.mark.parametrize("value", [0.1, -0.4, 0.9])
def test_the_expectation_of_an_element_is_unchanged(value: float) -> None:
    elements = 400_000
    gradient = np.full((4, elements // 4), value, dtype=np.float32)
    pruned = prune(gradient, 1.0, KEY)
    # Snapped with probability |value|: the mean deviates by more than 4 deviations in one of 15,000 fair draws.
    deviation = sqrt(abs(value) * (1 - abs(value)) / elements)
    assert abs(float(pruned.mean(dtype=np.float64)) - value) < 4 * deviation


@pytest.mark.parametrize(("rate", "density"), [(0.7, 0.62), (0.8, 0.55), (0.9, 0.46), (0.99, 0.31)])
def test_densities_of_a_normal_gradient_are_those_of_the_definition(rate: float, density: float) -> None:
    gradient = draw_gradient((4, 100_000))
    tau = threshold(gradient, None, rate)
    pruned = prune(gradient, tau, KEY)
    expected = share_left(rate)
    assert round(expected, 2) == density
    # The deviation of a share of 400,000 draws is below 0.001, that of tau adds as much at most.
    assert abs(np.count_nonzero(pruned) / pruned.size - expected) < 4 * 0.001
    assert abs(float((np.abs(gradient) < tau).mean()) - rate) < 4 * 0.001


@pytest.mark.parametrize("rate", [0.7, 0.99])
def test_the_sum_of_a_pruned_normal_gradient_is_unbiased_for_every_magnitude(rate: float) -> None:
    gradient = draw_gradient((4, 100_000))
    tau = threshold(gradient, None, rate)
    change = (prune(gradient, tau, KEY) - gradient).astype(np.float64)
    edges = np.linspace(0, tau, 9)
    for low, high in pairwise(edges):
        chosen = (np.abs(gradient) >= low) & (np.abs(gradient) < high)
        sizes = np.abs(gradient[chosen]).astype(np.float64)
        # An element of magnitude a becomes tau with probability a / tau: its variance is a (tau - a).
        deviation = sqrt(float((sizes * (tau - sizes)).sum()))
        assert abs(float((np.sign(gradient[chosen]) * change[chosen]).sum())) < 4 * deviation, (low, high)


OTHER_KEYS = {
    "image": KEY.image_key(1),
    "seed": dataclasses.replace(KEY, seed=8).image_key(0),
    "layer": dataclasses.replace(KEY, layer="conv2").image_key(0),
    "iteration": dataclasses.replace(KEY, iteration=4).image_key(0),
}


@pytest.mark.parametrize("place", OTHER_KEYS)
def test_draws_of_another_place_are_not_correlated(place: str) -> None:
    count = 100_000
    own, other = (draw_uniforms(key, np.arange(count)) for key in (KEY.image_key(0), OTHER_KEYS[place]))
    for lag in range(4):
        correlation = np.corrcoef(own[: count - lag], other[lag:])[0, 1]
        assert abs(correlation) < 4 / sqrt(count), lag


def test_draws_of_neighbouring_elements_are_not_correlated() -> None:
    count = 100_000
    draws = draw_uniforms(KEY.image_key(0), np.arange(count))
    # Neighbours in a row, in a column, and in the next channel of usual sizes.
    for lag in (1, 2, 3, 7, 8, 14, 28, 32, 49, 56, 64, 224, 1024):
        assert abs(np.corrcoef(draws[:-lag], draws[lag:])[0, 1]) < 4 / sqrt(count - lag), lag


def test_an_image_is_pruned_alike_in_any_batch_and_any_order() -> None:
    gradient = draw_gradient((5, 6, 7))
    whole = prune(gradient, 2.0, KEY)
    np.testing.assert_array_equal(prune(gradient[:2], 2.0, KEY), whole[:2])
    assert len({KEY.image_key(image) for image in range(5)}) == 5
    flat = gradient[3].ravel()
    uniforms = draw_uniforms(KEY.image_key(3), np.arange(flat.size)[::-1])[::-1]
    expected = np.where(uniforms * 2 < np.abs(flat), np.copysign(np.float32(2), flat), 0)
    np.testing.assert_array_equal(whole[3].ravel(), np.where(np.abs(flat) >= 2, flat, expected))


@pytest.mark.parametrize("change", [{"seed": 8}, {"layer": "conv2"}, {"iteration": 4}])
def test_draws_depend_on_seed_layer_and_iteration(change: dict[str, Any]) -> None:
    gradient = draw_gradient((2, 100))
    other = prune(gradient, 2.0, dataclasses.replace(KEY, **change))
    assert (other != prune(gradient, 2.0, KEY)).any()


def test_a_fifo_gives_the_mean_of_the_last_batches_and_nothing_before_it_is_full() -> None:
    state = PruningState(depth=3)
    found = []
    for tau in (1.0, 2.0, 6.0, 4.0, 8.0):
        found.append(state.threshold("conv1"))
        pushed = state.push({"conv1": tau})
        assert pushed is not state
        state = pushed
    assert found == [0, 0, 0, (1 + 2 + 6) / 3, (2 + 6 + 4) / 3]
    assert state.threshold("conv1") == 6
    assert state.threshold("conv2") == 0
    assert state == PruningState(3, {"conv1": (6.0, 4.0, 8.0)})


def test_a_state_does_not_change_when_it_is_pushed() -> None:
    taus = {"conv1": (1.0, 2.0)}
    state = PruningState(2, taus)
    state.push({"conv1": 5.0, "conv2": 1.0})
    taus["conv1"] = (9.0,)
    assert dict(state.taus) == {"conv1": (1.0, 2.0)}
    with pytest.raises(TypeError):
        state.taus["conv1"] = (3.0,)  # type: ignore[index]


def test_a_fifo_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a FIFO of thresholds must be at least 1 deep, got 0$"):
        PruningState(0)
    with pytest.raises(ValueError, match=r"^a FIFO of depth 1 cannot hold 2 thresholds$"):
        PruningState(1, {"conv1": (1.0, 2.0)})


def conv(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": "conv2d", "out_channels": 2, "kernel": 3, "padding": 1, **fields}


def layer(name: str, kind: str, *inputs: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **({"inputs": list(inputs)} if inputs else {}), **fields}


def make_network(*layers: dict[str, Any]) -> Network:
    end = (layer("flat", "flatten"), layer("fc", "linear", out_features=3), layer("loss", "softmax_cross_entropy"))
    return build_network("net", (2, 2, 8, 8), LAYERS.validate_python([*layers, *end]))


def sites_of(network: Network) -> dict[str, tuple[str, str]]:
    return {name: (site.writer, site.place.value) for name, site in find_pruning_sites(network).items()}


def test_behind_relu_the_gradient_that_a_layer_hands_on_is_pruned() -> None:
    network = make_network(
        conv("conv1"), layer("relu1", "relu"), layer("pool1", "max_pool", kernel=2),
        conv("conv2"), layer("relu2", "relu"),
    )  # fmt: skip
    assert sites_of(network) == {"pool1": ("conv2", "behind_mask"), "flat": ("fc", "behind_mask")}


def test_before_batch_norm_the_gradient_to_the_output_is_pruned_and_none_behind_it() -> None:
    network = make_network(
        conv("conv1"), layer("norm1", "batch_norm"), layer("relu1", "relu"),
        conv("conv2"), layer("norm2", "batch_norm"), layer("relu2", "relu"),
    )  # fmt: skip
    assert sites_of(network) == {"conv1": ("norm1", "batch_norm"), "conv2": ("norm2", "batch_norm")}


def test_without_relu_or_batch_norm_nothing_is_pruned() -> None:
    assert sites_of(make_network(conv("conv1"), conv("conv2"))) == {}


def test_where_branches_meet_the_reader_that_completes_the_sum_prunes_it() -> None:
    network = make_network(
        conv("conv1"), layer("relu1", "relu"), conv("conv2"), conv("conv3", inputs=["relu1"]),
        layer("add", "add", "conv2", "conv3", "relu1"), layer("relu2", "relu"),
    )  # fmt: skip
    assert sites_of(network) == {"relu1": ("conv2", "behind_mask"), "flat": ("fc", "behind_mask")}


def test_a_sum_that_no_reader_completes_is_pruned_in_a_pass_of_its_own() -> None:
    network = make_network(
        conv("conv1"), layer("relu1", "relu"), conv("side", inputs=["input"]), layer("early", "add", "side", "relu1"),
        conv("conv2", inputs=["relu1"]), layer("late", "add", "conv2", "early"), layer("relu2", "relu"),
    )  # fmt: skip
    assert network.unsummed_gradients("relu1")
    assert sites_of(network)["relu1"] == ("relu1", "behind_mask")


DOCUMENT: dict[str, Any] = {
    "name": "net",
    "input": {"channels": 1, "height": 8, "width": 8},
    "layers": [{"name": "flat", "type": "flatten"}, {"name": "fc", "type": "linear", "out_features": 2}],
}


def load(pruning: dict[str, Any], **fields: Any) -> Any:
    return make_workload(YamlDocument("net.yaml", {**DOCUMENT, "pruning": pruning, **fields}), Path())


def test_the_settings_of_pruning_have_the_defaults_of_the_definition() -> None:
    assert load({"rate": 0.9}).form.pruning.model_dump() == {
        "method": "stochastic", "rate": 0.9, "fifo_depth": 5, "threshold": "fifo", "warmup_batches": 6,
        "model": "normal", "for": "both",
    }  # fmt: skip


def test_a_warm_up_too_short_for_the_fifo_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        load({"rate": 0.9, "warmup_batches": 4})
    assert str(caught.value) == (
        "net.yaml: pruning: warmup_batches must be at least fifo_depth, or nothing would be pruned, got 4 and 5"
    )
    assert load({"rate": 0.9, "warmup_batches": 4, "threshold": "own_batch"}).form.pruning.warmup_batches == 4


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        ({"rate": 1.0}, "pruning.rate must be a number of at least 0.0 and below 1.0, got 1.0"),
        ({"rate": 0.5, "fifo_depth": 0}, "pruning.fifo_depth must be a whole number from 1 to 1024, got 0"),
        ({"rate": 0.5, "threshold": "own"}, "pruning.threshold must be 'fifo' or 'own_batch', got 'own'"),
    ],
)
def test_a_setting_that_is_not_allowed_is_refused(pruning: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        load(pruning)
    assert str(caught.value) == f"net.yaml: {message}"


def test_given_gradients_cannot_be_pruned() -> None:
    workload = load({"rate": 0.9}, operands={"source": "synthetic", "seed": 1})
    with pytest.raises(InputError) as caught:
        open_operands(workload)
    assert str(caught.value) == (
        "net.yaml: pruning acts on gradients that are computed; the operands are synthetic, use source host or "
        "profile, or leave pruning out"
    )
