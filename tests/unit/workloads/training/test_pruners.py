"""Trainings with other pruners than the normal threshold, and the rates at which they can be asked for."""

from __future__ import annotations

import dataclasses

import pytest

from workloads.errors import InputError
from workloads.settings import GradientPruning, GroupPruning, Pruning
from workloads.training.hosts.numpy_host import NumpyHost
from workloads.training.loop import Training
from workloads.training.opening import TrainingChoice, choose_pruning, open_training
from workloads.training.record import EpochRecord
from workloads.workload import Workload, load_workload

PAIRS = GroupPruning(method="n_m", n=2, m=4)


def make_pruned(pruning: Pruning) -> Workload:
    workload = load_workload("lenet5")
    assert workload.form.training is not None
    sizes = {"epochs": 1, "batch": 8, "images": 32, "test_images": 8}
    workload = workload.with_training(workload.form.training.model_copy(update=sizes))
    return dataclasses.replace(workload, form=workload.form.model_copy(update={"pruning": pruning}))


def train(pruning: Pruning, rate: float | None = None) -> EpochRecord:
    return Training(open_training(make_pruned(pruning), TrainingChoice(rate=rate)), NumpyHost()).run().records[0]


def test_a_training_keeps_of_neighbours_the_largest_in_every_iteration() -> None:
    sites = {one.node: one for one in train(PAIRS).sites}
    # Rows of 14 are three groups of 4 and one of 2.
    assert {node: one.aimed_density for node, one in sites.items()} == {
        "relu4": 0.5, "relu3": 0.5, "flat": 0.5, "pool1": pytest.approx(8 / 14),
    }  # fmt: skip
    for one in sites.values():
        assert 0 < one.density_after < one.aimed_density
        assert (one.threshold, one.own_threshold, one.sigma, one.snapped) == (0, 0, None, 0)
    assert train(PAIRS, rate=0.5) == train(PAIRS)
    assert train(PAIRS, rate=0).sites == ()


@pytest.mark.parametrize("model", ["quantile", "lognormal"])
def test_a_training_fills_its_fifo_with_the_thresholds_of_a_model(model: str) -> None:
    for one in train(GradientPruning(rate=0.9, model=model, fifo_depth=2)).sites:
        # Half of the four iterations are pruned, with the mean of the two before.
        assert 0 < one.threshold < one.own_threshold
        assert one.aimed_density is not None
        assert 0 < one.aimed_density < one.density_after < one.density_before


def test_neighbours_have_one_rate() -> None:
    workload = make_pruned(PAIRS)
    assert [choose_pruning(workload, rate) for rate in (None, 0.5, 0)] == [PAIRS, PAIRS, None]
    with pytest.raises(InputError) as caught:
        choose_pruning(workload, 0.9)
    assert str(caught.value) == (
        f"{workload.label}: gradients are pruned 2:4 along rows, at the rate 0.5 or 0 alone, got 0.9"
    )
