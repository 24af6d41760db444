"""Pruning inside a training: unbiased, by thresholds of a FIFO over real updates, and the same wherever it is begun."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from itertools import pairwise
from math import pi, sqrt
from pathlib import Path
from statistics import NormalDist, fmean
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_trainings import EPOCH_ITERATIONS, LAYERS, PRUNING, make_plan

from workloads.host import run_iteration
from workloads.pruning import PruningKey, prune
from workloads.training.batches import Batch
from workloads.training.hosts.numpy_host import NumpyHost
from workloads.training.iteration import run_pruned_iteration
from workloads.training.loop import Training, TrainingProgress
from workloads.training.plan import TrainingPlan
from workloads.training.record import BatchOutcome
from workloads.training.state import TrainingState

RATE, DEPTH = 0.5, 3
assert f"rate: {RATE}, fifo_depth: {DEPTH}" in PRUNING
WITHOUT_DROPOUT = LAYERS.replace("  - {name: drop, type: dropout, rate: 0.25}\n", "")


class Watch:
    """Keeps the state and the batch before each iteration, and what the iteration was."""

    def __init__(self) -> None:
        self.before: list[tuple[TrainingState, Batch]] = []
        self.outcomes: list[BatchOutcome] = []

    def wants(self, _iteration: int) -> bool:
        return True

    def observe(self, state: TrainingState, batch: Batch) -> Mapping[str, Any]:
        self.before.append((state, batch))
        return {}

    def tell(self, progress: TrainingProgress) -> None:
        if progress.outcome is not None:
            self.outcomes.append(progress.outcome)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> TrainingPlan:
    return make_plan(tmp_path_factory.mktemp("plan"), layers=WITHOUT_DROPOUT)


@pytest.fixture(scope="module")
def watched(plan: TrainingPlan) -> Watch:
    watch = Watch()
    Training(plan, NumpyHost(), observer=watch).run(watch.tell)
    assert len(watch.before) == len(watch.outcomes) == plan.iterations
    return watch


def find_threshold(gradient: NDArray[Any], mask: NDArray[Any] | None) -> float:
    """Follow the definition: the quantile of a normal of mean zero, whose deviation the mean magnitude tells."""
    total, count = 0.0, 0
    for index, value in np.ndenumerate(gradient):
        if mask is None or mask[index]:
            total, count = total + abs(float(value)), count + 1
    return NormalDist().inv_cdf((1 + RATE) / 2) * sqrt(pi / 2) * total / count


def replay(plan: TrainingPlan, state: TrainingState, batch: Batch, used: Mapping[str, float]) -> dict[str, float]:
    """Run an iteration from a state with given thresholds, and find those of its own gradients."""
    found: dict[str, float] = {}

    def hook(node: str, gradient: NDArray[Any], mask: NDArray[Any] | None) -> NDArray[Any]:
        if node not in plan.find_sites():
            return gradient
        found[node] = find_threshold(gradient, mask)
        return prune(gradient, used[node], PruningKey(plan.seed, node, state.iteration))

    run_iteration(
        plan.network,
        state.parameters,
        batch.images,
        batch.targets,
        seed=plan.seed,
        iteration=state.iteration,
        hook=hook,
    )
    return found


def test_thresholds_are_means_of_the_last_iterations_own_over_real_updates(plan: TrainingPlan, watched: Watch) -> None:
    sites = plan.find_sites()
    assert len(sites) >= 2
    owns: dict[str, list[float]] = {node: [] for node in sites}
    weights = [state.parameters["conv2/weight"] for state, _ in watched.before]
    assert all((one != other).any() for one, other in pairwise(weights))
    for (state, batch), outcome in zip(watched.before, watched.outcomes, strict=True):
        used = {
            node: float(np.float32(fmean(own[-DEPTH:]))) if len(own) >= DEPTH else 0.0 for node, own in owns.items()
        }
        assert outcome.sites.keys() == sites.keys()
        # A mean in float64 of float32 numbers, rounded once.
        assert {node: one.threshold for node, one in outcome.sites.items()} == pytest.approx(used, rel=2**-23)
        thresholds = {node: one.threshold for node, one in outcome.sites.items()}
        found = replay(plan, state, batch, thresholds)
        for node, one in outcome.sites.items():
            assert one.own_threshold == pytest.approx(found[node], rel=1e-6)
            owns[node].append(one.own_threshold)


def test_nothing_is_pruned_before_the_fifo_is_full(watched: Watch) -> None:
    for number, outcome in enumerate(watched.outcomes):
        for site in outcome.sites.values():
            is_full = number >= DEPTH
            assert (site.threshold > 0) == (site.pruned > 0) == ((site.snapped or 0) > 0) == is_full
            assert (site.density_after < site.density_before) == is_full


def test_an_iteration_from_the_middle_prunes_the_same_wherever_it_is_begun(plan: TrainingPlan, watched: Watch) -> None:
    for number in (DEPTH, EPOCH_ITERATIONS, plan.iterations - 2):
        state, batch = watched.before[number]
        opened = NumpyHost().open(plan, state)
        assert opened.train_batch(batch) == watched.outcomes[number]
        then = watched.before[number + 1][0]
        assert (opened.state.iteration, opened.state.pruning) == (then.iteration, then.pruning)
        for name, values in then.parameters.items():
            np.testing.assert_array_equal(opened.state.parameters[name], values)
        for name, values in then.statistics.items():
            np.testing.assert_array_equal(opened.state.statistics[name], values)


def test_an_epochs_record_is_the_mean_of_its_iterations(plan: TrainingPlan, tmp_path: Path) -> None:
    watch = Watch()
    records = Training(plan, NumpyHost(), tmp_path / "checkpoint.npz", observer=watch).run(watch.tell).records
    for epoch, record in enumerate(records):
        mine = watch.outcomes[epoch * EPOCH_ITERATIONS : (epoch + 1) * EPOCH_ITERATIONS]
        assert record.loss == pytest.approx(fmean(one.loss for one in mine), rel=1e-15)
        assert record.accuracy == pytest.approx(fmean(one.accuracy or 0.0 for one in mine), rel=1e-15)
        # Densities are counted in every second iteration, beginning with the first.
        assert [bool(one.densities) for one in mine] == [True, False, True, False, True]
        for tensor in record.tensors:
            counted = [one.densities[tensor.layer, tensor.tensor] for one in mine[::2]]
            assert tensor.density == pytest.approx(fmean(counted), rel=1e-15)
        for site in record.sites:
            own = [one.sites[site.node] for one in mine]
            assert site.threshold == pytest.approx(fmean(one.threshold for one in own), rel=1e-15)
            assert site.pruned == pytest.approx(fmean(one.density_before - one.density_after for one in own), rel=1e-12)


SEEDS = 256
# Each of the elements is off by more than this many standard errors with a probability of Student's distribution with
# 255 degrees of freedom below 1e-9; of less than 500 elements one is, by chance, with a probability below 5e-7.
MOST_ERRORS = 6.4


def test_pruned_gradients_are_unbiased_in_the_middle_of_a_training(plan: TrainingPlan, watched: Watch) -> None:
    state, batch = watched.before[2 * EPOCH_ITERATIONS + 1]
    assert plan.pruning is not None
    assert state.pruning is not None
    given = batch.images, batch.targets
    exact = run_iteration(plan.network, state.parameters, *given, seed=plan.seed, iteration=state.iteration).grads
    sums = {name: np.zeros(values.shape) for name, values in exact.items()}
    squares = {name: np.zeros(values.shape) for name, values in exact.items()}
    for seed in range(SEEDS):
        done = run_pruned_iteration(
            plan.network, state.parameters, given, pruning=plan.pruning, state=state.pruning, seed=seed,
            iteration=state.iteration,
        )  # fmt: skip
        for name, values in done.iteration.grads.items():
            off = values.astype(np.float64) - exact[name]
            sums[name] += off
            squares[name] += off**2
    cut = run_iteration(
        plan.network, state.parameters, *given, seed=plan.seed, iteration=state.iteration,
        hook=lambda node, gradient, _: cut_small(gradient, state, node),
    ).grads  # fmt: skip
    elements, most_of_cut = 0, 0.0
    for name, total in sums.items():
        mean = total / SEEDS
        error = np.sqrt((squares[name] - SEEDS * mean**2) / (SEEDS - 1) / SEEDS)
        if name.startswith("fc"):
            # Behind every site: not pruned at all.
            assert not squares[name].any()
            continue
        elements += mean.size
        # Gradients before a batch norm sum to nothing but for rounding, which no draw spreads.
        rounding = 1e-6 * np.abs(exact[name]).max()
        assert (np.abs(mean) <= MOST_ERRORS * error + rounding).all(), name
        is_spread = error > rounding
        most_of_cut = max([most_of_cut, *(np.abs(cut[name] - exact[name])[is_spread] / error[is_spread]).tolist()])
    assert 150 < elements < 500
    # Small elements that always become zero, as unbiased pruning may not do, are found by the same measure.
    assert most_of_cut > 2 * MOST_ERRORS


def cut_small(gradient: NDArray[Any], state: TrainingState, node: str) -> NDArray[Any]:
    """Set to zero what is below the threshold, whatever it is."""
    assert state.pruning is not None
    return np.where(np.abs(gradient) < state.pruning.threshold(node), np.float32(0), gradient)


def test_another_seed_prunes_other_elements(plan: TrainingPlan, watched: Watch) -> None:
    state, batch = watched.before[EPOCH_ITERATIONS]
    found = []
    for seed in (plan.seed, plan.seed + 1):
        opened = NumpyHost().open(dataclasses.replace(plan, seed=seed), state)
        opened.train_batch(batch)
        found.append(opened.state.parameters["conv1/weight"])
    assert (found[0] != found[1]).any()
