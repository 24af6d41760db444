"""Nine architectures of torchvision, written as ONNX models, are imported with the figures of torchvision's tables."""

from __future__ import annotations

from math import prod
from pathlib import Path

import pytest
from peers import import_peer
from unit.workloads.importers.onnx_writing import write_model

from workloads.host import parameter_shapes
from workloads.network import Network
from workloads.workload import load_workload

onnx = import_peer("onnx")
pytestmark = pytest.mark.peers

# Parameters of the tables in torchvision's documentation, and `_ops` of its weights in 1e9 multiply-accumulates.
ARCHITECTURES = {
    "resnet18": (11_689_512, "1.814"),
    "resnet34": (21_797_672, "3.664"),
    "resnet50": (25_557_032, "4.089"),
    "densenet121": (7_978_856, "2.834"),
    "googlenet": (6_624_904, "1.498"),
    "squeezenet1_1": (1_235_496, "0.349"),
    "mobilenet_v2": (3_504_872, "0.301"),
    "shufflenet_v2": (2_278_604, "0.145"),
    "efficientnet_b0": (5_288_548, "0.386"),
}


def list_steps(network: Network) -> list[object]:
    """List what the accelerator executes, but for names."""
    return [network.layer_shape(node.name) for node in network.compute_nodes()]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_is_imported_with_its_parameters_and_macs(name: str, tmp_path: Path) -> None:
    original = load_workload(name, batch=1).network
    onnx.save(write_model(original), tmp_path / f"{name}.onnx")
    network = load_workload(tmp_path / f"{name}.onnx").network
    parameters, gmacs = ARCHITECTURES[name]
    assert sum(prod(shape) for shape in parameter_shapes(network).values()) == parameters
    macs = sum(network.layer_shape(node.name).nominal_macs for node in network.compute_nodes())
    assert f"{macs / 1e9:.3f}" == gmacs
    assert list_steps(network) == list_steps(original)
    assert [network.is_behind_relu(node.name) for node in network.compute_nodes()] == [
        original.is_behind_relu(node.name) for node in original.compute_nodes()
    ]
