"""Trainings whose numbers overflow: they stop with one sentence, and what was good stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_trainings import OPERANDS, PRUNING, TRAINING, make_plan

from workloads.host import NotFiniteError
from workloads.pruners.site import StochasticPruner
from workloads.pruning import PruningKey, PruningState
from workloads.settings import GradientPruning
from workloads.training.hosts.numpy_host import NumpyHost
from workloads.training.loop import DivergedError, Training

ADVICE = "a lower learning_rate or a longer warm-up may help"


def set_training(rate: str, pruning: str = "") -> str:
    """Give all sections behind the layers."""
    return OPERANDS + pruning + TRAINING.replace("learning_rate: 0.1", f"learning_rate: {rate}")


def refuse(training: Training) -> str:
    with pytest.raises(DivergedError) as error:
        training.run()
    return str(error.value)


@pytest.mark.parametrize("pruning", ["", PRUNING], ids=["unpruned", "pruned"])
def test_numbers_that_overflow_stop_a_training(tmp_path: Path, pruning: str) -> None:
    checkpoint = tmp_path / "checkpoint.npz"
    assert refuse(Training(make_plan(tmp_path, rest=set_training("1.0e+30", pruning)), NumpyHost(), checkpoint)) == (
        "the training diverges in iteration 2 of epoch 1: the loss of network 'small' is nan; its weights or images "
        f"are too large; no epoch was completed; {ADVICE}"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images.npz", "small.yaml"]


@pytest.mark.parametrize(("pruning", "iteration"), [("", 2), (PRUNING, 3)], ids=["unpruned", "pruned"])
def test_the_last_good_checkpoint_stays(tmp_path: Path, pruning: str, iteration: int) -> None:
    checkpoint = tmp_path / "checkpoint.npz"
    short = set_training("0.1", pruning).replace("epochs: 4", "epochs: 2")
    Training(make_plan(tmp_path, rest=short), NumpyHost(), checkpoint).run()
    good = checkpoint.read_bytes()
    training = Training(make_plan(tmp_path, rest=set_training("1.0e+30", pruning)), NumpyHost(), checkpoint)
    assert refuse(training) == (
        f"the training diverges in iteration {iteration} of epoch 3: the loss of network 'small' is nan; its weights "
        f"or images are too large; the checkpoint behind epoch 2 stays in {checkpoint}; {ADVICE}"
    )
    assert checkpoint.read_bytes() == good
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.npz", "images.npz", "small.yaml"]


@pytest.mark.parametrize("method", ["sgd", "adam", "adamw"])
def test_an_update_that_overflows_at_the_end_of_an_epoch_is_no_good_checkpoint(tmp_path: Path, method: str) -> None:
    # One iteration an epoch, so that no other one meets the weights that it leaves.
    checkpoint = tmp_path / "checkpoint.npz"
    rest = OPERANDS + TRAINING.replace("batch: 8", "batch: 40").replace("warmup_epochs: 1", "warmup_epochs: 0")
    start = rest.index("optimiser:")
    end = rest.index("\n", start)
    rest = rest[:start] + f"optimiser: {{method: {method}, learning_rate: 1.0e+39}}" + rest[end:]
    assert refuse(Training(make_plan(tmp_path, rest=rest), NumpyHost(), checkpoint)) == (
        "the training diverges at the end of epoch 1: the parameter 'conv1/weight' is not finite; no epoch was "
        f"completed; {ADVICE}"
    )
    assert not checkpoint.exists()


def test_a_gradient_that_is_not_finite_is_not_laid_on_the_threshold_model(tmp_path: Path) -> None:
    site = next(iter(make_plan(tmp_path).find_sites().values()))
    gradient = np.ones((2, 4, 8, 8), np.float32)
    gradient[1, 2, 3, 4] = np.inf
    pruner = StochasticPruner(GradientPruning(rate=0.5))
    with pytest.raises(NotFiniteError) as error:
        pruner.prune(site, gradient, None, PruningState(5), PruningKey(1, site.node, 0))
    assert str(error.value) == f"the gradient to the output of '{site.node}' is not finite; weights are too large"
