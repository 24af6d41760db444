"""Trainings that are small enough to execute every iteration of them: what tests of the machine in the loop share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.datasets import Dataset
from workloads.settings import GradientPruning, ImagePipeline
from workloads.training.batches import BatchSource
from workloads.training.form import TrainingForm
from workloads.training.plan import TrainingPlan
from workloads.workload import Workload, make_workload
from workloads.yaml_file import parse_yaml

TEXT = """
name: tiny
batch: 4
input: {channels: 1, height: 8, width: 8}
layers:
  - {name: conv1, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, out_channels: 6, kernel: 3, padding: 1}
  - {name: relu2, type: relu}
  - {name: pool, type: max_pool, kernel: 2}
  - {name: conv3, type: conv2d, out_channels: 6, kernel: 3}
  - {name: relu3, type: relu}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 3}
  - {name: loss, type: softmax_cross_entropy}
"""
FORM: dict[str, Any] = {
    "epochs": 3,
    "batch": 8,
    "optimiser": {"method": "sgd", "learning_rate": 0.02, "momentum": 0.9},
    "simulate_at": {"every_epochs": 1, "images": 4},
    "threads": 1,
    "record_every": 1,
}
SHAPES = 3


def draw_shapes(seed: int, images: int, size: int = 8) -> Dataset:
    """Draw noisy bars: upright, lying, or both, as three classes."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(SHAPES, size=images)
    pixels: NDArray[np.float64] = generator.integers(0, 60, size=(images, 1, size, size)).astype(np.float64)
    for image, label in zip(pixels[:, 0], labels, strict=True):
        row, column = generator.integers(1, size - 1, size=2)
        if label != 1:
            image[:, column] += 150
        if label != 0:
            image[row] += 150
    return Dataset("shapes", "train", np.clip(pixels, 0, 255).astype(np.uint8), labels, SHAPES)


def make_tiny() -> Workload:
    """Make the network."""
    return make_workload(parse_yaml(TEXT, "tiny"), Path())


def plan_tiny(rate: float = 0.9, seed: int = 1, images: int = 64, **changed: Any) -> tuple[Workload, TrainingPlan]:
    """Plan its training on drawn images."""
    workload, form = make_tiny(), TrainingForm.model_validate(FORM | changed)
    source = BatchSource(draw_shapes(seed, images), ImagePipeline(mean=0.2, std=0.3), form.batch, ("loss",))
    plan = TrainingPlan(
        network=workload.with_changes(batch=form.batch).network,
        make_network=lambda batch: workload.with_changes(batch=batch).network,
        form=form,
        pruning=GradientPruning(rate=rate) if rate else None,
        seed=seed,
        train=source,
        test=None,
    )
    return workload, plan
