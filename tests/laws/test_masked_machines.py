"""Machines compute with masked weights what the reference does, and skip what the mask makes zero."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim import RunResult, load_architecture, simulate
from workloads.document import YamlDocument
from workloads.npz_file import write_npz
from workloads.opening import open_operands
from workloads.presets import find_preset
from workloads.reference.steps import run_forward
from workloads.workload import Workload, make_workload
from workloads.yaml_file import load_yaml, parse_yaml

# A block with batch norm and a shortcut, behind a stem that reads images.
RESIDUAL = """\
name: residual
batch: 1
input: {channels: 3, height: 8, width: 8}
layers:
  - {name: stem, type: conv2d, out_channels: 4, kernel: 3, padding: 1, bias: false}
  - {name: relu, type: relu}
  - {name: conv1, type: conv2d, out_channels: 4, kernel: 3, padding: 1, bias: false}
  - {name: bn1, type: batch_norm}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, out_channels: 4, kernel: 3, padding: 1, bias: false}
  - {name: bn2, type: batch_norm}
  - {name: add, type: add, inputs: [bn2, relu]}
  - {name: relu2, type: relu}
  - {name: pool, type: global_avg_pool}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 10}
  - {name: loss, type: softmax_cross_entropy}
operands:
  source: host
  dataset: fashion_mnist
  seed: 1
  images: {resize: 8, channels: 3, mean: 0.2860, std: 0.3530}
"""
METHODS: dict[str, dict[str, Any]] = {
    "magnitude": {"keep": 0.4},
    "n_m": {"n": 2, "m": 4},
    "block": {"keep": 0.4, "rows": 2, "columns": 3},
    "filter": {"keep": 0.5},
    "channel": {"keep": 0.5},
    "shape": {"keep": 0.4},
    "kernel": {"keep": 0.4},
    "kernel_row": {"keep": 0.4},
    "random_connect": {"alpha": 0.4},
    "file": {"path": "masks.npz"},
}
PLANTED = ("n_m", "block", "filter", "channel", "shape", "kernel", "kernel_row")
CASES = [(method, {}) for method in METHODS] + [(method, {"mode": "plant"}) for method in PLANTED]


def make_masked(network: str, folder: Path, method: str, further: dict[str, Any]) -> Workload:
    """Make a workload with a method, and beside it a file of masks where that is the method."""
    if network == "lenet5":
        document = load_yaml(find_preset("lenet5"))
        document.data["batch"] = 1
    else:
        document = parse_yaml(RESIDUAL, "residual")
    plain = make_workload(YamlDocument(network, dict(document.data)), folder).network
    if method == "file":
        shapes = {node.name: plain.layer_shape(node.name).weight_shape for node in plain.compute_nodes()}
        rng = np.random.default_rng(1)
        write_npz(folder / "masks.npz", {f"{name}/weight": rng.random(shape) < 0.4 for name, shape in shapes.items()})
    sparsify = {"method": method, **METHODS[method], **further}
    return make_workload(YamlDocument(network, document.data | {"sparsify": sparsify}), folder)


def run(workload: Workload, layers: str) -> RunResult:
    """Simulate a machine that skips zeros of weights too."""
    machine = load_architecture("sparsetrain", ("array.skip_weights=true",))
    return simulate(workload, machine, layers=layers, baseline="none")


def name_case(value: object) -> str:
    """Name a method, or what is given besides."""
    return str(value) if isinstance(value, str) else "-".join(map(str, dict(value).values())) or "given"  # type: ignore[call-overload]


@pytest.mark.parametrize(("method", "further"), CASES, ids=name_case)
@pytest.mark.parametrize(("network", "layers"), [("lenet5", "conv2"), ("lenet5", "fc2"), ("residual", "*")])
def test_all_steps_with_masked_weights_are_verified(
    network: str, layers: str, method: str, further: dict[str, Any], tmp_path: Path
) -> None:
    workload = make_masked(network, tmp_path, method, further)
    result = run(workload, layers)
    assert result.is_correct
    assert workload.form.sparsify is not None
    assert workload.form.sparsify.words in result.operand_source
    operands = {one.layer: one for one in open_operands(workload).layers}
    masked = workload.form.sparsify.select(workload.network)
    forward = [row for row in result.steps if row.step == "forward" and row.layer in operands]
    assert forward
    for row in forward:
        own = operands[row.layer]
        density = np.count_nonzero(own.weight) / own.weight.size
        assert row.weight_density == density
        # Half at the most of few groups, one of so many: what is rounded differs from layer to layer.
        assert density < 0.8 if row.layer in masked else density == 1
        if own.weight.ndim == 2:
            continue  # Zeros of a fully connected layer's weights are multiplied.
        left = dataclasses.replace(
            own, input=(own.input != 0).astype(np.float32), weight=(own.weight != 0).astype(np.float32), bias=None
        )
        assert row.effectual_macs == run_forward(left).sum()


def test_a_masked_filter_makes_no_output_and_takes_no_multiplication(tmp_path: Path) -> None:
    whole = run(make_masked("residual", tmp_path, "filter", {"keep": 1.0}), "stem")
    half = run(make_masked("residual", tmp_path, "filter", {"keep": 0.5}), "stem")
    # Images have no zeros, so that each filter takes as many multiplications as any other.
    assert half.steps[0].effectual_macs * 2 == whole.steps[0].effectual_macs
    assert half.steps[0].cycles < whole.steps[0].cycles
