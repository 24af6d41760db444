"""A network and profiles for it, as tests write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from workloads.network import Network
from workloads.profile import Profile
from workloads.workload import make_workload
from workloads.yaml_file import parse_yaml

PLAIN = """\
name: plain
batch: 2
input: {channels: 3, height: 16, width: 16}
layers:
  - {name: conv1, type: conv2d, out_channels: 8, kernel: 3, padding: 1}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, out_channels: 8, kernel: 3, padding: 1, bias: false}
  - {name: relu2, type: relu}
  - {name: pool2, type: max_pool, kernel: 2}
  - {name: flat, type: flatten}
  - {name: fc1, type: linear, out_features: 400}
  - {name: relu3, type: relu}
  - {name: drop, type: dropout, rate: 0.25}
  - {name: fc2, type: linear, out_features: 10}
  - {name: loss, type: softmax_cross_entropy}
"""
FIGURES = {"relu1": 0.5, "relu2": 0.3, "pool2": 0.6, "relu3": 0.4}


def network(text: str = PLAIN) -> Network:
    return make_workload(parse_yaml(text, "net.yaml"), Path()).network


def make_profile(figures: Mapping[str, float]) -> Profile:
    """Make a profile from `layer` (its output) or `layer/tensor` and densities."""
    keys = [tuple(name.split("/")) if "/" in name else (name, "output") for name in figures]
    densities = {(layer, tensor): figures[name] for (layer, tensor), name in zip(keys, figures, strict=True)}
    return Profile("own.csv", "density", densities, {key: line for line, key in enumerate(densities, 2)})


def write(folder: Path, text: str) -> Path:
    path = folder / "own.csv"
    path.write_text(text)
    return path
