"""Profile operands on a machine that prunes: what it counts, writes and reads follows the graph and the rate."""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dataflows.storage.written import find_written
from sim.run import simulate
from workloads.opening import open_operands
from workloads.operands import Operands
from workloads.pruners.normal import share_left
from workloads.shapes import Step
from workloads.workload import Workload, make_workload
from workloads.yaml_file import parse_yaml

N, C, SIZE = 3, 8, 12
ELEMENTS = N * C * SIZE * SIZE
RATE = 0.9
FIGURES = {"relu1": 0.5, "relu2": 0.4, "relu3": 0.6}
NETWORK = f"""\
name: residual
batch: {N}
input: {{channels: 3, height: {SIZE}, width: {SIZE}}}
layers:
  - {{name: conv1, type: conv2d, out_channels: {C}, kernel: 3, padding: 1}}
  - {{name: relu1, type: relu}}
  - {{name: conv2, type: conv2d, out_channels: {C}, kernel: 3, padding: 1}}
  - {{name: relu2, type: relu}}
  - {{name: conv3, type: conv2d, out_channels: {C}, kernel: 3, padding: 1}}
  - {{name: sum, type: add, inputs: [conv3, relu2]}}
  - {{name: relu3, type: relu}}
  - {{name: flat, type: flatten}}
  - {{name: fc, type: linear, out_features: 10}}
  - {{name: loss, type: softmax_cross_entropy}}
operands: {{source: profile, path: own.csv, seed: 1}}
"""


def load(folder: Path, rate: float = RATE) -> Workload:
    rows = "".join(f"{name},output,{density}\n" for name, density in FIGURES.items())
    (folder / "own.csv").write_text(f"layer,tensor,density\n{rows}")
    pruning = f"pruning: {{rate: {rate}}}\n" if rate else ""
    return make_workload(parse_yaml(NETWORK + pruning, "net.yaml"), folder)


def open_layers(folder: Path, rate: float = RATE) -> dict[str, Operands]:
    return {operands.layer: operands for operands in open_operands(load(folder, rate)).layers}


def share(values: NDArray[np.float32] | NDArray[np.bool_]) -> float:
    return np.count_nonzero(values) / values.size


def count_clear_blocks(mask: NDArray[np.bool_], block: int = 3) -> int:
    """Count the elements in blocks of PEs whose mask is clear: their tasks hand nothing to the PPU."""
    starts = range(0, mask.shape[1], block)
    return sum(run.size for start in starts for run in mask[:, start : start + block] if not run.any())


def test_every_element_that_a_site_of_the_graph_writes_is_counted(tmp_path: Path) -> None:
    result = simulate(load(tmp_path), baseline=["skipping-off", "mask"])
    assert result.failures == ()
    counts = {
        name: [line["count"] for line in machine["energy"] if line["action"] == "pruned_elements"]
        for name, machine in result.record["machines"].items()
    }
    # The gradients to relu1, relu2 and relu3, which the layers behind them write.
    mask = open_layers(tmp_path)["fc"].mask
    assert mask is not None
    clear = count_clear_blocks(mask)
    assert clear > 0
    assert counts == {"sparsetrain": [3 * ELEMENTS - clear], "sparsetrain-dense": [], "sparsetrain-mask": [0]}
    energies = {(step.layer, step.step): step.pruning_pj for step in result.steps if step.machine == "sparsetrain"}
    written = ("conv2", "gta"), ("conv3", "gta"), ("fc", "gta")
    assert {place for place, energy in energies.items() if energy} == set(written)
    assert energies["conv2", "gta"] == energies["conv3", "gta"] > energies["fc", "gta"]


def test_what_is_written_is_as_dense_as_what_the_layer_before_reads(tmp_path: Path) -> None:
    layers = open_layers(tmp_path)
    for reader, writer, relu in (("conv1", "conv2", "relu1"), ("conv2", "conv3", "relu2"), ("conv3", "fc", "relu3")):
        expected = FIGURES[relu] * share_left(RATE)
        read, written = share(layers[reader].grad_output), share(find_written(layers[writer], Step.GTA))
        # Five standard deviations of independent elements; sums of sparse products are normal only roughly.
        assert read == pytest.approx(expected, abs=5 * sqrt(expected * (1 - expected) / ELEMENTS)), reader
        assert written == pytest.approx(expected, abs=0.04), writer


@pytest.mark.parametrize("rate", [0.0, 0.9])
def test_the_shortcut_s_share_is_pruned_where_the_graph_prunes_the_gradient_to_the_sum(
    tmp_path: Path, rate: float
) -> None:
    (stored,) = open_layers(tmp_path, rate)["conv3"].summed
    expected = FIGURES["relu3"] * share_left(rate)
    assert share(stored) == pytest.approx(expected, abs=5 * sqrt(expected * (1 - expected) / ELEMENTS))
