"""Elementwise passes take the cycles, bytes, elements and accesses of the definition, for every kind of layer."""

from __future__ import annotations

from typing import Any

import pytest
from conformance.elementwise_runs import compare_passes, draw_machine, make_operands, make_pruned_operands
from drawn_cases import exhaustive, thin
from pydantic import TypeAdapter
from random_graphs import make_random_network

from sim.architecture import override_architecture
from workloads.kinds import KINDS, Layer
from workloads.network import Network, build_network
from workloads.pruning_sites import find_copy_sites

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
GRAPHS = 120
MACHINES = [(fuses, skips) for fuses in (False, True) for skips in (True, False)]
INPUT_SHAPE = (3, 2, 6, 5)
ENDING = (
    {"name": "flat", "type": "flatten"},
    {"name": "fc", "type": "linear", "out_features": 3},
    {"name": "loss", "type": "softmax_cross_entropy"},
)
CONV = {"type": "conv2d", "out_channels": 4, "kernel": 3, "padding": 1}
NEXT = {**CONV, "name": "next", "bias": False}

# What stands between two convolutions; layers without a name of theirs are named by their place.
BETWEEN: dict[str, list[dict[str, Any]]] = {
    "conv1d": [{"type": "reshape", "shape": [4, 1, 30]}, {"type": "conv1d", "out_channels": 4, "kernel": 3}],
    "conv_transpose2d": [{"type": "relu"}, {"type": "conv_transpose2d", "out_channels": 4, "kernel": 2, "stride": 2}],
    "matmul": [
        {"type": "sigmoid", "name": "left"}, {"type": "batch_norm", "name": "right", "inputs": ["conv"]},
        {"type": "matmul", "inputs": ["left", "right"], "transpose_b": True},
    ],
    "relu6": [{"type": "batch_norm"}, {"type": "relu6"}, {"type": "max_pool", "kernel": 2}],
    "prelu": [{"type": "batch_norm"}, {"type": "prelu", "per_channel": True}],
    "softmax": [{"type": "softmax", "axis": 1}, {"type": "dropout", "rate": 0.3}],
    "instance_norm": [{"type": "relu"}, {"type": "instance_norm"}, {"type": "avg_pool", "kernel": 2}],
    "layer_norm": [{"type": "layer_norm"}, {"type": "sigmoid"}, {"type": "transpose", "axes": [2, 3, 1]}],
    "group_norm": [{"type": "group_norm", "groups": 2}, {"type": "relu"}, {"type": "channel_shuffle", "groups": 2}],
    "local_response_norm": [{"type": "relu"}, {"type": "local_response_norm", "size": 3}],
    "avg_pool": [{"type": "relu"}, {"type": "avg_pool", "kernel": 3, "stride": 2, "padding": 1}],
    "global_avg_pool": [{"type": "relu"}, {"type": "global_avg_pool"}, {"type": "tanh"}],
    "adaptive_avg_pool": [{"type": "batch_norm"}, {"type": "adaptive_avg_pool", "output": [4, 3]}],
    "upsample": [{"type": "batch_norm"}, {"type": "upsample", "scale": 2, "mode": "bilinear"}],
    "pixel_shuffle": [{"type": "batch_norm"}, {"type": "pixel_shuffle", "upscale": 2}, {"type": "tanh"}],
    "max_pool": [{"type": "batch_norm"}, {"type": "relu"}, {"type": "max_pool", "kernel": [3, 2], "dilation": 2}],
    "add": [
        {"type": "batch_norm", "name": "bn"}, {"type": "add", "inputs": ["bn", "conv"]}, {"type": "relu"},
        {"type": "max_pool", "kernel": 2},
    ],
    "add what is spread": [
        {"type": "global_avg_pool", "name": "mean"}, {"type": "add", "inputs": ["conv", "mean"]},
        {"type": "batch_norm"},
    ],
    "matmul with itself": [
        {"type": "sigmoid"}, {"type": "matmul", "inputs": ["layer0", "layer0"], "transpose_b": True},
    ],
    "subtract": [
        {"type": "parameter", "name": "shift", "shape": [4, 6, 1]},
        {"type": "batch_norm", "name": "bn", "inputs": ["conv"]},
        {"type": "subtract", "inputs": ["bn", "shift"]}, {"type": "leaky_relu"},
    ],
    "multiply": [
        {"type": "global_avg_pool", "name": "mean"}, {"type": "hard_sigmoid", "name": "gate"},
        {"type": "multiply", "inputs": ["gate", "conv"]}, {"type": "upsample", "scale": 2},
    ],
    "split": [
        {"type": "split", "name": "some", "sizes": [1, 3], "part": 0},
        {"type": "split", "name": "rest", "inputs": ["conv"], "sizes": [1, 3], "part": 1}, {"type": "hard_swish"},
        {"type": "concat", "inputs": ["layer2", "some"]}, {"type": "relu"},
    ],
    "silu": [{"type": "batch_norm"}, {"type": "silu"}],
    "gelu": [{"type": "batch_norm"}, {"type": "gelu"}],
    "losses in its midst": [
        {"type": "mean_squared_error", "name": "aux1", "inputs": ["conv"]},
        {"type": "binary_cross_entropy", "name": "aux2", "inputs": ["conv"]},
        {"type": "softmax_cross_entropy", "name": "aux3", "inputs": ["conv"]}, {"type": "relu", "inputs": ["conv"]},
    ],
}  # fmt: skip


def make_network(between: list[dict[str, Any]]) -> Network:
    named = [{"name": f"layer{place}", **layer} for place, layer in enumerate(between)]
    last = NEXT
    if between[-1]["type"] == "conv1d":
        last = {"name": "next", "type": "relu"}
    layers = [{**CONV, "name": "conv"}, *named, last, *ENDING]
    return build_network("net", INPUT_SHAPE, LAYERS.validate_python(layers))


@pytest.mark.parametrize("kind", BETWEEN)
def test_the_passes_of_every_kind_are_those_of_the_definition(kind: str) -> None:
    network = make_network(BETWEEN[kind])
    operands = make_operands(network)
    for seed in range(3):
        for fuses, skips in MACHINES:
            compare_passes(network, operands, draw_machine(seed, fuses=fuses, skips=skips))


def test_every_kind_is_compared() -> None:
    compared = {layer["type"] for between in BETWEEN.values() for layer in (CONV, *between, *ENDING)}
    assert compared == set(KINDS)


@pytest.mark.parametrize("seed", thin(range(GRAPHS)))
def test_the_passes_of_a_random_graph_are_those_of_the_definition(seed: int) -> None:
    network = make_random_network(seed)
    operands = make_operands(network)
    for fuses, skips in MACHINES:
        compare_passes(network, operands, draw_machine(seed, fuses=fuses, skips=skips))


@pytest.mark.parametrize("kind", BETWEEN)
def test_a_pass_writes_the_copies_of_gradients_that_are_pruned_for_gta_alone(kind: str) -> None:
    network = make_network(BETWEEN[kind])
    operands = make_pruned_operands(network)
    copied = {one.layer for one in operands if one.grad_output_for_gta is not None}
    for seed in range(2):
        for fuses, skips in MACHINES:
            rows = compare_passes(network, operands, draw_machine(seed, fuses=fuses, skips=skips))
            written = {row.name for row in rows if row.kind == "gradient_pruning"}
            assert written == (copied if skips else set())


@pytest.mark.parametrize("seed", thin(range(GRAPHS)))
def test_the_copies_of_a_random_graph_are_those_of_the_definition(seed: int) -> None:
    network = make_random_network(seed)
    operands = make_pruned_operands(network)
    for fuses, skips in MACHINES:
        machine = draw_machine(seed, fuses=fuses, skips=skips)
        # Where a step is cut into tiles, each of them rounds the bits of its rows up.
        compare_passes(network, operands, override_architecture(machine, None, ("buffer.capacity_bytes=395264",)))


@exhaustive
def test_random_graphs_have_copies() -> None:
    found = [len(find_copy_sites(make_random_network(seed))) for seed in range(GRAPHS)]
    assert sum(count > 0 for count in found) > GRAPHS // 4
    assert max(found) > 1


def test_random_graphs_have_passes_that_are_fused_in_both_halves() -> None:
    found: dict[str, int] = {"forward": 0, "backward": 0, "loss": 0}
    for seed in range(30):
        network = make_random_network(seed)
        rows = compare_passes(network, make_operands(network), draw_machine(seed, fuses=True, skips=True))
        for row in rows:
            found[row.step] += row.kind == "fused"
    assert min(found["forward"], found["backward"]) > 10
