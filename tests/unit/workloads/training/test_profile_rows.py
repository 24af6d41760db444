"""A training's records as the rows of a profile, which then stands for that training."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from unit.workloads.profile_networks import network

from workloads.opening import open_operands
from workloads.profile import read_profile
from workloads.profile_plan import list_output_figures
from workloads.profile_table import ProfileRow, write_profile
from workloads.settings import GradientPruning
from workloads.sources.profile import ProfileOperands
from workloads.training.form import TrainingForm
from workloads.training.hosts.numpy_host import NumpyHost
from workloads.training.loop import Training
from workloads.training.opening import TrainingChoice, open_training
from workloads.training.profile_rows import list_profile_rows
from workloads.training.record import EpochRecord, SiteRecord, TensorRecord
from workloads.workload import Workload, make_workload
from workloads.yaml_file import parse_yaml

RATE = 0.9
RESIDUAL = """\
name: residual
batch: 4
input: {channels: 1, height: 28, width: 28}
layers:
  - {name: conv1, type: conv2d, out_channels: 4, kernel: 3, stride: 4}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: add, type: add, inputs: [conv2, relu1]}
  - {name: relu2, type: relu}
  - {name: gap, type: global_avg_pool}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 10}
  - {name: loss, type: softmax_cross_entropy}
operands: {source: host, dataset: fashion_mnist, seed: 1, images: {mean: 0.286, std: 0.353}}
training: {epochs: 2, batch: 4, images: 32, test_images: 8, optimiser: {method: sgd, learning_rate: 0.01}}
"""


def make_residual() -> Workload:
    return make_workload(parse_yaml(RESIDUAL, "net.yaml"), Path())


def train(rate: float) -> tuple[EpochRecord, ...]:
    workload = make_residual()
    pruning = GradientPruning(rate=RATE, threshold="own_batch")
    workload = dataclasses.replace(workload, form=workload.form.model_copy(update={"pruning": pruning}))
    assert isinstance(workload.form.training, TrainingForm)
    return Training(open_training(workload, TrainingChoice(rate=rate)), NumpyHost()).run().records


def test_the_records_of_a_training_are_rows() -> None:
    tensors = (TensorRecord("conv1", "input", 1.0), TensorRecord("conv1", "grad_output", 0.25))
    sites = tuple(
        SiteRecord(
            node=node, writer="conv2", place="behind_mask", threshold=1.0, own_threshold=1.0, sigma=None,
            density_before=0.5, density_after=0.125, pruned=0.375, snapped=None, aimed_density=None,
        )
        for node in ("conv1", "relu1")
    )  # fmt: skip
    record = EpochRecord(2, 10, 0.1, 1.0, 0.5, None, tensors, sites)
    assert list(list_profile_rows([record], RATE)) == [
        ProfileRow("conv1", "input", RATE, 2, 1.0),
        ProfileRow("conv1", "grad_output", RATE, 2, 0.25),
        ProfileRow("relu1", "grad_output", RATE, 2, 0.125),
    ]


def test_the_output_of_a_relu_that_no_layer_reads_is_recorded() -> None:
    assert list_output_figures(network()) == {"relu2", "relu3"}
    assert list_output_figures(make_residual().network) == {"relu2"}
    for record in train(0):
        found = {(one.layer, one.tensor): one.density for one in record.tensors}
        assert [key for key in found if key[1] == "output"] == [("relu2", "output")]
        assert 0 < found["relu2", "output"] < 1


def test_a_profile_of_a_training_has_all_that_its_network_needs(tmp_path: Path) -> None:
    records = {rate: train(rate) for rate in (0.0, RATE)}
    rows = [row for rate, several in records.items() for row in list_profile_rows(several, rate)]
    write_profile(tmp_path / "own.csv", rows, "A training of two epochs.")
    for rate, several in records.items():
        profile = read_profile(tmp_path / "own.csv", rate=rate, epoch="first")
        assert profile.density("conv1", "grad_output") == pytest.approx(
            next(one.density for one in several[0].tensors if (one.layer, one.tensor) == ("conv1", "grad_output")),
            rel=1e-3,  # Four digits are written.
        )
    # The gradients that conv2 and fc write.
    assert {layer for layer, tensor in profile.densities if tensor == "grad_output"} >= {"relu1", "flat"}
    workload = make_residual()
    source = ProfileOperands(source="profile", path=str(tmp_path / "own.csv"), epoch="last", seed=1)
    form = workload.form.model_copy(update={"operands": source, "pruning": GradientPruning(rate=RATE)})
    stream = open_operands(dataclasses.replace(workload, form=form))
    assert [operands.layer for operands in stream.layers if operands.finish.tau] == ["conv2", "fc"]
    assert {row["rule"] for row in stream.facts["densities"]} == {"figure"}
