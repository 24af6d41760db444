"""A recording of a training that prunes says with which thresholds and keys, and the PPU prunes as the host did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sim.results.rows import make_frame
from sim.run import simulate
from workloads.errors import InputError
from workloads.opening import open_operands
from workloads.operands import Operands
from workloads.recorded import save_recorded
from workloads.workload import Workload, load_workload, make_workload
from workloads.yaml_file import dump_yaml, parse_yaml

SEED, RATE = 3, 0.9
NETWORK: dict[str, Any] = {
    "name": "branches",
    "batch": 2,
    "input": {"channels": 1, "height": 14, "width": 14},
    "layers": [
        {"name": "conv1", "type": "conv2d", "out_channels": 4, "kernel": 3, "padding": 1},
        {"name": "relu1", "type": "relu"},
        {"name": "conv2", "type": "conv2d", "out_channels": 4, "kernel": 3, "padding": 1},
        {"name": "sum", "type": "add", "inputs": ["conv2", "relu1"]},
        {"name": "relu2", "type": "relu"},
        {"name": "pool", "type": "max_pool", "kernel": 2},
        {"name": "conv3", "type": "conv2d", "out_channels": 5, "kernel": 3},
        {"name": "bn3", "type": "batch_norm"},
        {"name": "flat", "type": "flatten"},
        {"name": "fc", "type": "linear", "out_features": 10},
        {"name": "loss", "type": "softmax_cross_entropy"},
    ],
}


@pytest.fixture(scope="module")
def host() -> Workload:
    operands = {"source": "host", "dataset": "fashion_mnist", "seed": SEED, "images": {"resize": 14}}
    pruning = {"rate": RATE, "fifo_depth": 2, "warmup_batches": 3}
    text = dump_yaml({**NETWORK, "operands": operands, "pruning": pruning})
    return make_workload(parse_yaml(text, "host.yaml"), Path())


@pytest.fixture
def recorded(host: Workload, tmp_path: Path) -> Workload:
    stream = open_operands(host)
    save_recorded(tmp_path / "net.npz", stream.layers)
    gradients = stream.facts["pruning"]["gradients"]
    pruning = {
        "seed": SEED,
        "iteration": stream.facts["iteration"],
        "rate": RATE,
        "thresholds": {name: facts["threshold"] for name, facts in gradients.items()},
    }
    operands = {"source": "recorded", "path": "net.npz", "first_layer_gta": False, "pruning": pruning}
    (tmp_path / "net.yaml").write_text(dump_yaml({**NETWORK, "operands": operands}))
    return load_workload(tmp_path / "net.yaml")


def list_layers(workload: Workload) -> dict[str, Operands]:
    return {layer.layer: layer for layer in open_operands(workload).layers}


def test_a_recorded_layer_has_the_finish_of_the_host(host: Workload, recorded: Workload) -> None:
    layers = list_layers(recorded)
    for name, expected in list_layers(host).items():
        finish = layers[name].finish
        assert (finish.tau, finish.key) == (expected.finish.tau, expected.finish.key)
        assert layers[name].steps == expected.steps
        np.testing.assert_array_equal(layers[name].grad_output, expected.grad_output)
    assert [name for name, layer in layers.items() if layer.finish.tau] == ["conv2", "conv3"]


def test_the_stream_names_every_gradient_that_is_pruned(host: Workload, recorded: Workload) -> None:
    assert open_operands(recorded).pruned == open_operands(host).pruned == {"relu1", "pool", "conv3"}


def test_the_machine_takes_as_long_as_on_the_operands_of_the_host(host: Workload, recorded: Workload) -> None:
    ours, theirs = simulate(recorded), simulate(host)
    assert ours.is_correct
    rows = [make_frame(found.steps).drop(columns="operands") for found in (ours, theirs)]
    pd.testing.assert_frame_equal(*rows)


def test_a_threshold_of_a_gradient_that_is_not_pruned_is_refused(recorded: Workload) -> None:
    assert recorded.form.operands is not None
    source = recorded.form.operands
    pruning = source.pruning.model_copy(update={"thresholds": {"relu3": 0.5}})  # type: ignore[attr-defined]
    form = recorded.form.model_copy(update={"operands": source.model_copy(update={"pruning": pruning})})
    workload = Workload(form, recorded.network, recorded.base_directory, recorded.document)
    with pytest.raises(InputError) as caught:
        open_operands(workload)
    assert str(caught.value) == (
        f"{recorded.label}: operands.pruning.thresholds names 'relu3', the gradient to whose output is not pruned "
        "(they are relu1, pool, conv3)"
    )
