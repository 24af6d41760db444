"""Whether the trainings that shipped weights and profiles come from still go as they went, for their first iterations.

``python tests/training/test_shipped_weights.py`` prints the losses anew, for `shipped_losses.json`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from workloads.datasets.address import make_absolute
from workloads.operand_choice import choose_operands
from workloads.trained_record import TRAINED_DIRECTORY, read_record, trained_names
from workloads.training.hosts.numpy_host import NumpyHost
from workloads.training.opening import TrainingChoice, open_training
from workloads.workload import load_workload

BATCHES = 20
LOSSES = Path(__file__).parent / "shipped_losses.json"
# Where the images of the measured profiles lie; the package does not bring them.
CIFAR10 = "SPARSETRAIN_CIFAR10"
# Sums are split otherwise by other processors and versions of BLAS; rounding grows over the iterations.
RELATIVE, ABSOLUTE = 0.02, 0.005
MEASURED = ("alexnet_cifar", "resnet20")


def train_first(name: str, rate: float, data: str | None = None, batches: int = BATCHES) -> list[float]:
    """Give the losses of a preset's first iterations."""
    workload = load_workload(name)
    if data is not None:
        workload = choose_operands(workload, data=make_absolute(data, Path()))
    plan = open_training(workload, TrainingChoice(rate=rate))
    opened = NumpyHost().open(plan, plan.begin())
    return [opened.train_batch(plan.load_batch(number)).loss for number in range(batches)]


def read_losses(key: str) -> list[float]:
    found: list[float] = json.loads(LOSSES.read_text())[key]
    return found


@pytest.mark.parametrize("name", ["lenet5", pytest.param("resnet20", marks=pytest.mark.exhaustive)])
def test_the_first_batches_of_a_training_of_shipped_weights_are_what_they_were(name: str) -> None:
    assert name in trained_names()
    found = train_first(name, 0.0)
    np.testing.assert_allclose(found, read_losses(f"{name} 0"), rtol=RELATIVE, atol=ABSOLUTE)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", MEASURED)
def test_the_first_batches_of_a_training_of_a_measured_profile_are_what_they_were(name: str) -> None:
    data = os.environ.get(CIFAR10)
    if not data:
        pytest.skip(f"the environment variable {CIFAR10} does not say where CIFAR-10 lies, as KIND:PATH")
    found = train_first(name, 0.9, data)
    np.testing.assert_allclose(found, read_losses(f"{name} cifar10 0.9"), rtol=RELATIVE, atol=ABSOLUTE)


@pytest.mark.parametrize("name", trained_names())
def test_shipped_weights_are_small_and_say_how_they_are_made(name: str) -> None:
    path = TRAINED_DIRECTORY / f"{name}.npz"
    record = read_record(path)
    assert record is not None
    assert record.workload == name
    assert record.command.startswith(f"sparsetrain train {name} ")
    assert path.stat().st_size < 1_500_000


def print_losses() -> None:
    """Print the losses of all."""
    found = {f"{name} 0": train_first(name, 0.0) for name in ("lenet5", "resnet20")}
    if data := os.environ.get(CIFAR10):
        found |= {f"{name} cifar10 0.9": train_first(name, 0.9, data) for name in MEASURED}
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    print_losses()
