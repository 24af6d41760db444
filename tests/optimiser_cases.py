"""Twenty updates by each optimiser, as they are compared with torch where it is installed, and with stored values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from workloads.arrays import Float32Array
from workloads.optimisers.optimiser import Optimiser, OptimiserState
from workloads.optimisers.table import OPTIMISERS

UPDATES = 20
ELEMENTS = 6
# A name, the optimiser's own settings, torch's class and its arguments.
CASES: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("sgd", {"method": "sgd", "learning_rate": 0.1}, "SGD", {"lr": 0.1}),
    (
        "sgd_momentum", {"method": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.05},
        "SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05},
    ),
    ("adam", {"method": "adam", "learning_rate": 0.01}, "Adam", {"lr": 0.01}),
    (
        "adam_decay",
        {"method": "adam", "learning_rate": 0.02, "betas": [0.5, 0.9], "epsilon": 1e-4, "weight_decay": 0.1},
        "Adam", {"lr": 0.02, "betas": (0.5, 0.9), "eps": 1e-4, "weight_decay": 0.1},
    ),
    ("adamw", {"method": "adamw", "learning_rate": 0.01}, "AdamW", {"lr": 0.01}),
    (
        "adamw_decay", {"method": "adamw", "learning_rate": 0.03, "betas": [0.8, 0.99], "weight_decay": 0.3},
        "AdamW", {"lr": 0.03, "betas": (0.8, 0.99), "weight_decay": 0.3},
    ),
]  # fmt: skip


def make_optimiser(settings: dict[str, Any]) -> Optimiser:
    """Make an optimiser of the table."""
    return OPTIMISERS.load(settings["method"]).model_validate(settings)


def start() -> Float32Array:
    """Give the parameter before its first update."""
    return np.array([1.0, -0.5, 0.25, 2.0, 0.0, -1e-3], dtype=np.float32)


def list_gradients() -> Iterator[Float32Array]:
    """Give the gradient of each update, of several magnitudes; one element's is often zero."""
    for update in range(UPDATES):
        angles = np.arange(1, ELEMENTS + 1) * (update + 1)
        gradient = np.sin(angles) * 10.0 ** np.arange(1, 1 - ELEMENTS, -1)
        gradient[2] = 0.0 if update % 3 else gradient[2]
        yield gradient.astype(np.float32)


def run_updates(optimiser: Optimiser) -> list[Float32Array]:
    """Give the parameter behind each update."""
    parameters, state = {"w": start()}, OptimiserState()
    found = []
    for gradient in list_gradients():
        done = optimiser.update(parameters, {"w": gradient}, state)
        parameters, state = dict(done.parameters), done.state
        found.append(parameters["w"])
    return found
