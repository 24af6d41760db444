"""Record the stored models anew: PYTHONPATH=.:tests .venv/bin/python tests/capture/make_stored.py

Needs torch, and writes into tests/capture/stored: of each model the recording, and weights, images, labels and
autograd's gradients to the parameters, from which a machine without torch can compute the same on the host.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from capture.comparison import list_parameter_gradients, list_parameters
from capture.models import make_batch, make_loss, make_model

from workloads.capture import capture, prune_gradients

STORED = Path(__file__).parent / "stored"
BATCH, RATE, SEED, DEPTH = 2, 0.9, 5, 2
# Of each recording the model, and whether its training prunes.
MODELS = {
    "small": ("small", False),
    "small_pruned": ("small", True),
    "resnet18": ("resnet18", False),
    "mobilenetv2": ("mobilenetv2", False),
    "transformer": ("transformer", False),
}


def store(name: str) -> None:
    """Record a model whose weights and images are float32's, computed in float64."""
    made, prunes = MODELS[name]
    model, size = make_model(made)
    images, labels = make_batch(BATCH, size)
    model.float().double()
    images = images.float().double()
    if prunes:
        prune_gradients(model, RATE, seed=SEED, fifo_depth=DEPTH)
        for number in range(DEPTH):
            others, classes = make_batch(BATCH, size, number)
            make_loss(classes)(model(others)).backward()
    recording = capture(model, images, make_loss(labels), name=name)
    recording.save(STORED / f"{name}.yaml")
    network = recording.workload.network
    model.zero_grad()
    make_loss(labels)(model(images)).backward()
    arrays = {f"parameter/{key}": values for key, values in list_parameters(model, network).items()}
    if not prunes:
        arrays |= {f"gradient/{key}": values for key, values in list_parameter_gradients(model, network).items()}
    arrays["images"] = images.numpy()
    kept = {key: values.astype(np.float32) for key, values in arrays.items()}
    np.savez_compressed(STORED / f"{name}-inputs.npz", **kept, labels=labels.numpy())


if __name__ == "__main__":
    torch.use_deterministic_algorithms(True)
    for one in sys.argv[1:] or MODELS:
        store(one)
