"""Trainings of twenty steps, as they are compared with torch where it is installed, and with stored values.

``python tests/host_cases.py`` stores anew what the host torch gives.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from host_training import LENET, MOMENTUM, RESIDUAL, build, draw_batch, make_plan
from random_graphs import make_random_network

from workloads.network import Network
from workloads.training.hosts.table import load_host
from workloads.training.state import TrainingState

STORED = Path(__file__).parent / "unit" / "workloads" / "torch_trainings.json"
STEPS, BATCHES = 20, 4
ADAM: dict[str, Any] = {"method": "adam", "learning_rate": 1e-3}
ADAMW: dict[str, Any] = {"method": "adamw", "learning_rate": 1e-3, "weight_decay": 0.05}
IMAGE = (3, 12, 12)
OPTIMISERS: dict[str, dict[str, Any]] = {
    "lenet": MOMENTUM,
    "residual": MOMENTUM,
    "residual_adamw": ADAMW,
    **{f"random{seed}": (MOMENTUM, ADAM, ADAMW)[seed % 3] for seed in range(6)},
}


def make_case(name: str) -> Network:
    """Make the network of a case."""
    if name.startswith("random"):
        return make_random_network(int(name.removeprefix("random")))
    return build(LENET if name == "lenet" else RESIDUAL, IMAGE, 8)


def run_case(name: str, host: str) -> tuple[list[float], TrainingState]:
    """Train in two epochs, with a warm-up and a cosine, nothing pruned; give the losses and the state behind them."""
    network = make_case(name)
    schedule = {"method": "cosine", "warmup_epochs": 1}
    plan = make_plan(network, rate=None, optimiser=OPTIMISERS[name], schedule=schedule)
    opened = load_host(host).open(plan, plan.begin())
    losses = [opened.train_batch(draw_batch(network, number % BATCHES)).loss for number in range(STEPS)]
    return losses, opened.state


def digest(state: TrainingState) -> dict[str, list[float]]:
    """Give the mean and the mean magnitude of each parameter and running statistic."""
    arrays = {**state.parameters, **state.statistics}
    return {
        name: [float(values.mean(dtype=np.float64)), float(np.abs(values).mean(dtype=np.float64))]
        for name, values in arrays.items()
    }


def store() -> None:
    """Store what torch gives."""
    stored = {}
    for name in OPTIMISERS:
        losses, state = run_case(name, "torch")
        stored[name] = {"losses": losses, "means": digest(state)}
    STORED.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    store()
