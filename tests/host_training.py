"""A training of a network on either host, on drawn images, batch by batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import TypeAdapter

from workloads.datasets.dataset import Dataset
from workloads.kinds import Layer
from workloads.losses import BatchTargets
from workloads.network import Network, build_network
from workloads.settings import GradientPruning, ImagePipeline
from workloads.training.batches import Batch, BatchSource
from workloads.training.form import TrainingForm
from workloads.training.plan import TrainingPlan

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
MOMENTUM = {"method": "sgd", "learning_rate": 0.02, "momentum": 0.9, "weight_decay": 5e-4}
# A residual block between others: every kind of site at which gradients are pruned.
RESIDUAL: list[dict[str, Any]] = [
    {"name": "conv1", "type": "conv2d", "out_channels": 8, "kernel": 3, "padding": 1, "bias": False},
    {"name": "norm1", "type": "batch_norm"},
    {"name": "relu1", "type": "relu"},
    {"name": "conv2", "type": "conv2d", "out_channels": 8, "kernel": 3, "padding": 1, "bias": False},
    {"name": "norm2", "type": "batch_norm"},
    {"name": "sum", "type": "add", "inputs": ["norm2", "relu1"]},
    {"name": "relu2", "type": "relu"},
    {"name": "conv3", "type": "conv2d", "out_channels": 12, "kernel": 3, "stride": 2, "padding": 1},
    {"name": "relu3", "type": "relu"},
    {"name": "pool", "type": "max_pool", "kernel": 2},
    {"name": "flat", "type": "flatten"},
    {"name": "fc1", "type": "linear", "out_features": 16},
    {"name": "relu4", "type": "relu"},
    {"name": "fc2", "type": "linear", "out_features": 4},
    {"name": "loss", "type": "softmax_cross_entropy", "label_smoothing": 0.1},
]
# In the form of LeNet-5, for images 12 x 12, with dropout.
LENET: list[dict[str, Any]] = [
    {"name": "conv1", "type": "conv2d", "out_channels": 6, "kernel": 5, "padding": 2},
    {"name": "relu1", "type": "relu"},
    {"name": "pool1", "type": "max_pool", "kernel": 2},
    {"name": "conv2", "type": "conv2d", "out_channels": 16, "kernel": 5},
    {"name": "relu2", "type": "relu"},
    {"name": "pool2", "type": "avg_pool", "kernel": 2},
    {"name": "flat", "type": "flatten"},
    {"name": "fc1", "type": "linear", "out_features": 24},
    {"name": "relu3", "type": "relu"},
    {"name": "drop", "type": "dropout", "rate": 0.25},
    {"name": "fc2", "type": "linear", "out_features": 4},
    {"name": "loss", "type": "softmax_cross_entropy"},
]


def build(layers: list[dict[str, Any]], image: tuple[int, int, int], batch: int) -> Network:
    """Connect layers to a network for a batch."""
    return build_network("net", (batch, *image), LAYERS.validate_python(layers))


def make_plan(
    network: Network,
    *,
    rate: float | None = 0.9,
    threshold: str = "fifo",
    feeds: str = "both",
    optimiser: dict[str, Any] = MOMENTUM,
    seed: int = 3,
    **form: Any,
) -> TrainingPlan:
    """Plan a training of two epochs of ten batches, densities recorded in each, on one thread.

    Args:
        rate: None prunes nothing.
    """
    images = np.zeros((10 * network.batch, *network.input_shape[1:]), np.uint8)
    dataset = Dataset("drawn", "train", images, np.zeros(len(images), np.int64), 4)
    pruning = None
    if rate is not None:
        pruning = GradientPruning.model_validate({"rate": rate, "threshold": threshold, "fifo_depth": 2, "for": feeds})
    given = {"epochs": 2, "batch": network.batch, "optimiser": optimiser, "record_every": 1, "threads": 1}
    return TrainingPlan(
        network=network,
        make_network=lambda _: network,
        form=TrainingForm.model_validate({**given, **form}),
        pruning=pruning,
        seed=seed,
        train=BatchSource(dataset, ImagePipeline(), network.batch, ()),
        test=None,
    )


def draw_batch(network: Network, number: int, classes: int = 3) -> Batch:
    """Draw images of normal numbers, and labels."""
    draw = np.random.default_rng([number, 7])
    images = draw.standard_normal(network.input_shape, dtype=np.float32)
    return Batch(images, BatchTargets(draw.integers(0, classes, network.batch)))
