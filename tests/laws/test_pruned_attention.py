"""Every way of pruning on tokens and products of two activations: host and machine agree on every step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.run import simulate
from workloads.document import YamlDocument
from workloads.opening import open_operands
from workloads.operands import Operands
from workloads.workload import Workload, make_workload
from workloads.yaml_file import parse_yaml

NETWORK = """
name: tokens
batch: 2
input: {channels: 1, height: 28, width: 28}
layers:
  - {name: patches, type: conv2d, out_channels: 6, kernel: 7, stride: 7}
  - {name: as_rows, type: reshape, shape: [6, 16]}
  - {name: tokens, type: transpose, axes: [2, 1]}
  - {name: stem, type: linear, out_features: 6}
  - {name: start, type: relu}
  - {name: query, type: linear, inputs: [start], out_features: 5}
  - {name: key, type: linear, inputs: [start], out_features: 5}
  - {name: positive, type: relu, inputs: [key]}
  - {name: scores, type: matmul, inputs: [query, positive], transpose_b: true, scale: 0.5}
  - {name: attention, type: softmax}
  - {name: mixed, type: matmul, inputs: [attention, start]}
  - {name: joined, type: add, inputs: [mixed, stem]}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 10}
  - {name: loss, type: softmax_cross_entropy}
operands: {source: host, dataset: fashion_mnist, seed: 1, images: {mean: 0.2860, std: 0.3530}}
"""
WAYS: tuple[dict[str, Any], ...] = (
    {"rate": 0.9, "threshold": "own_batch"},
    {"rate": 0.9, "threshold": "own_batch", "model": "quantile"},
    {"method": "n_m", "n": 2, "m": 4},
)


def make_tokens(pruning: dict[str, Any]) -> Workload:
    document = parse_yaml(NETWORK, "tokens.yaml")
    return make_workload(YamlDocument("tokens.yaml", {**document.data, "pruning": pruning}), Path())


def open_tokens(pruning: dict[str, Any]) -> dict[str, Operands]:
    return {one.layer: one for one in open_operands(make_tokens(pruning)).layers}


@pytest.mark.parametrize("pruning", WAYS)
@pytest.mark.parametrize("feeds", ["both", "gta"])
def test_every_step_is_verified(pruning: dict[str, Any], feeds: str, tmp_path: Path) -> None:
    chosen = {**pruning, "for": feeds}
    result = simulate(make_tokens(chosen), save_outputs=tmp_path / "outputs.npz")
    assert result.failures == ()
    given = open_tokens(chosen)
    if feeds == "both":
        # The gradient to the second factor, pruned in GTW, is what the layer before it reads.
        assert given["scores"].weight_finish.prunes
        written = result.outputs["scores/gtw"].reshape(given["key"].grad_output.shape)
        np.testing.assert_array_equal(written != 0, given["key"].grad_output != 0)
        np.testing.assert_allclose(written, given["key"].grad_output, rtol=1e-4, atol=1e-7)
    else:
        copied = [name for name, one in given.items() if one.grad_output_for_gta is not None]
        passes = [row.layer for row in result.steps if row.kind == "gradient_pruning" and "dense" not in row.machine]
        assert copied
        assert sorted(passes) == sorted(copied)
        assert not any(one.finish.prunes or one.weight_finish.prunes for one in given.values())
