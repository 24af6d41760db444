"""Workloads that are lists of layers: each has an input of its own, and nothing that another layer has changes it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sim.run import RunResult, simulate
from workloads.errors import InputError
from workloads.host import parameter_shapes
from workloads.workload import load_workload

CONV = {
    "name": "a",
    "type": "conv2d",
    "out_channels": 4,
    "kernel": 3,
    "input": {"channels": 3, "height": 9, "width": 7},
}
RELU = {"name": "r", "type": "relu"}
AFTER = {"name": "b", "type": "conv2d", "out_channels": 2, "kernel": 1}
LINEAR = {"name": "c", "type": "linear", "out_features": 5, "input": {"features": 12}}
OPERANDS = {"source": "synthetic", "seed": 3, "density": {"input": 0.4, "grad_output": 0.6}}


def write(folder: Path, *layers: dict[str, object]) -> Path:
    path = folder / "net.yaml"
    path.write_text(yaml.safe_dump({"name": "list", "batch": 2, "layers": list(layers), "operands": OPERANDS}))
    return path


def run(folder: Path, *layers: dict[str, object]) -> RunResult:
    return simulate(write(folder, *layers))


def test_layers_with_inputs_of_their_own_are_not_connected(tmp_path: Path) -> None:
    network = load_workload(write(tmp_path, CONV, RELU, AFTER, LINEAR)).network
    assert [node.inputs for node in network.nodes] == [("a/input",), ("a",), ("r",), ("c/input",)]
    assert network.output_shape("a/input") == (2, 3, 9, 7)
    assert network.output_shape("c/input") == (2, 12)
    assert network.input_shape == (2,)
    assert network.batch == 2
    assert parameter_shapes(network)["c/weight"] == (5, 12)
    assert [network.is_behind_relu(name) for name in "abc"] == [False, True, False]


def test_each_layer_of_a_list_has_the_rows_that_it_has_alone(tmp_path: Path) -> None:
    together = run(tmp_path, CONV, LINEAR).steps
    for layer in (CONV, LINEAR):
        alone = run(tmp_path, layer).steps
        assert [row for row in together if row.layer == layer["name"]] == list(alone)


def test_a_list_is_verified_and_its_resolved_form_is_the_same_network(tmp_path: Path) -> None:
    result = run(tmp_path, CONV, RELU, AFTER, LINEAR)
    assert result.is_correct
    assert {(row.layer, row.step) for row in result.steps if row.machine == "sparsetrain"} >= {
        (layer, step) for layer in "abc" for step in ("forward", "gta", "gtw")
    }
    path = tmp_path / "resolved.yaml"
    path.write_text(yaml.safe_dump(load_workload(tmp_path / "net.yaml").resolved()))
    before, after = (load_workload(file).network.nodes for file in (tmp_path / "net.yaml", path))
    assert [(node.name, node.inputs, node.input_shapes) for node in after] == [
        (node.name, node.inputs, node.input_shapes) for node in before
    ]


def test_an_input_of_the_network_that_no_layer_of_a_list_reads_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, CONV, {**AFTER, "inputs": ["a"]})
    path.write_text(path.read_text() + "input: {channels: 3, height: 8, width: 8}\n")
    line = path.read_text().splitlines().index("input: {channels: 3, height: 8, width: 8}") + 1
    with pytest.raises(InputError) as error:
        load_workload(path)
    assert str(error.value) == (
        f"{path}, line {line}: input: no layer reads it, since each that reads no other has an input of its own; leave "
        "it out"
    )


@pytest.mark.parametrize("own", [{"channels": 2, "height": 3, "width": 4}, {"tokens": 5, "channels": 8}])
def test_an_output_that_nobody_reads_is_allowed_where_there_is_no_loss(tmp_path: Path, own: dict[str, int]) -> None:
    network = load_workload(write(tmp_path, CONV, {**RELU, "input": own}, {**AFTER, "inputs": ["a"]})).network
    assert [network.consumers(node.name) for node in network.nodes if node.name != "a"] == [(), ()]
    assert network.output_shape("r") == (2, *own.values())
