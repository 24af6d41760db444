"""Twenty iterations of a small network with a batch norm, to compare with torch where it is there, and with values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from small_trainings import LAYERS, OPERANDS, TRAINING, make_plan

from workloads.training.hosts.numpy_host import NumpyHost
from workloads.training.plan import TrainingPlan
from workloads.training.state import TrainingState

ITERATIONS = 20
# The dropout is used where the network is evaluated, and there does nothing.
TRAINED_LAYERS = LAYERS.replace("  - {name: drop, type: dropout, rate: 0.25}\n", "")
SGD = "optimiser: {method: sgd, learning_rate: 0.1, momentum: 0.9, weight_decay: 0.001}"
assert SGD in TRAINING
# A name, the optimiser, torch's class and its arguments but for the learning rate.
OPTIMISERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "sgd": (SGD, "SGD", {"momentum": 0.9, "weight_decay": 0.001}),
    "adam": ("optimiser: {method: adam, learning_rate: 0.02, weight_decay: 0.01}", "Adam", {"weight_decay": 0.01}),
    "adamw": ("optimiser: {method: adamw, learning_rate: 0.02, weight_decay: 0.1}", "AdamW", {"weight_decay": 0.1}),
}


def open_plans(folder: Path, name: str) -> tuple[TrainingPlan, TrainingPlan]:
    """Open the training, and that of the network with a dropout, which is evaluated."""
    rest = OPERANDS + TRAINING.replace(SGD, OPTIMISERS[name][0])
    return make_plan(folder, layers=TRAINED_LAYERS, rest=rest), make_plan(folder, rest=rest)


def run_iterations(plan: TrainingPlan) -> Iterator[tuple[float, TrainingState]]:
    """Give the loss of each iteration, and the state behind it."""
    opened = NumpyHost().open(plan, plan.begin())
    for number in range(ITERATIONS):
        yield opened.train_batch(plan.load_batch(number)).loss, opened.state


def evaluate(plan: TrainingPlan, state: TrainingState) -> tuple[float, float | None]:
    """Give loss and accuracy of the test images."""
    assert plan.test is not None
    score = NumpyHost().open(plan, state).evaluate(plan.test.list_all())
    return score.loss, score.accuracy


def summarize(losses: list[float], state: TrainingState, score: tuple[float, float | None]) -> list[float]:
    """Give what is stored of a training."""
    weights = state.parameters
    return [
        *losses[::5], losses[-1], *state.statistics["bn1/mean"], *state.statistics["bn1/variance"],
        *weights["bn1/scale"], *weights["bn1/shift"], *weights["fc/bias"], np.abs(weights["conv1/weight"]).sum(),
        score[0], score[1] or 0.0,
    ]  # fmt: skip
