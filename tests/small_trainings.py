"""Trainings small enough to run often: a few dozen drawn images, and networks of a few hundred parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from workloads.npz_file import write_npz
from workloads.training.opening import TrainingChoice, open_training
from workloads.training.plan import TrainingPlan
from workloads.workload import Workload, load_workload

CLASSES, SIZE = 3, 8
TRAIN_IMAGES, TEST_IMAGES = 40, 20
BATCH, EPOCHS = 8, 4
EPOCH_ITERATIONS = TRAIN_IMAGES // BATCH
LAYERS = """\
  - {name: conv1, type: conv2d, out_channels: 4, kernel: 3, padding: 1, bias: false}
  - {name: bn1, type: batch_norm}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: relu2, type: relu}
  - {name: pool, type: global_avg_pool}
  - {name: flat, type: flatten}
  - {name: drop, type: dropout, rate: 0.25}
  - {name: fc, type: linear, out_features: 3}
  - {name: loss, type: softmax_cross_entropy}
"""
TRAINING = """\
training:
  epochs: 4
  batch: 8
  optimiser: {method: sgd, learning_rate: 0.1, momentum: 0.9, weight_decay: 0.001}
  schedule: {method: cosine, warmup_epochs: 1}
  augmentation: {crop: 1, flip: true, cutout: 2}
  threads: 1
  record_every: 2
"""
OPERANDS = "operands: {source: host, dataset: images.npz, seed: 5, images: {mean: 0.5, std: 0.25}}\n"
PRUNING = "pruning: {rate: 0.5, fifo_depth: 3}\n"


def write_images(path: Path, train: int = TRAIN_IMAGES, test: int = TEST_IMAGES) -> None:
    """Write images whose brightness in one corner tells their class."""
    rng = np.random.default_rng(1)
    arrays: dict[str, Any] = {}
    for split, count in (("train", train), ("test", test)):
        labels = np.arange(count) % CLASSES
        images = rng.integers(0, 160, (count, 1, SIZE, SIZE))
        images[np.arange(count), 0, :, labels] += 90
        arrays |= {f"{split}_images": images.astype(np.uint8), f"{split}_labels": labels.astype(np.int64)}
    write_npz(path, arrays)


def write_training(folder: Path, *, layers: str = LAYERS, rest: str = OPERANDS + PRUNING + TRAINING) -> Path:
    """Write a workload that is trained, and its images beside it.

    Args:
        rest: All sections behind the layers.
    """
    if not (folder / "images.npz").exists():
        write_images(folder / "images.npz")
    path = folder / "small.yaml"
    head = f"name: small\nbatch: 2\ninput: {{channels: 1, height: {SIZE}, width: {SIZE}}}\nlayers:\n"
    path.write_text(head + layers + rest)
    return path


def load_training(folder: Path, **changes: str) -> Workload:
    """Load such a workload."""
    return load_workload(write_training(folder, **changes))


def make_plan(folder: Path, rate: float | None = None, seed: int | None = None, **changes: str) -> TrainingPlan:
    """Open such a training."""
    return open_training(load_training(folder, **changes), TrainingChoice(rate, seed))
