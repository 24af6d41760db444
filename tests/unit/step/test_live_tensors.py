"""The memory of an iteration: lives of tensors by hand, and the peaks of small networks by formula."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from sim.architecture import load_architecture
from sim.iteration.memory_record import describe_memory
from sim.step.live_tensors import Event, find_peak, measure_activations
from workloads.kinds import Layer
from workloads.network import Network, build_network
from workloads.passes import list_iteration
from workloads.workload import make_workload
from workloads.yaml_file import parse_yaml

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
N, C, H, W, M, F = 2, 3, 4, 4, 5, 7
BITS, WORD = 16, 2
IMAGE, MAPS, SCORES = N * C * H * W * WORD, N * M * H * W * WORD, N * F * WORD
CONV = {"type": "conv2d", "out_channels": M, "kernel": 3, "padding": 1}
END = [
    {"name": "flat", "type": "flatten"}, {"name": "fc", "type": "linear", "out_features": F},
    {"name": "loss", "type": "softmax_cross_entropy"},
]  # fmt: skip


def measure(*layers: dict[str, object]) -> int:
    network: Network = build_network("net", (N, C, H, W), LAYERS.validate_python([*layers, *END]))
    return measure_activations(network, list_iteration(network), BITS)


def event(needs: str = "", **writes: int) -> Event:
    return Event(writes, frozenset(needs.split()))


def test_a_tensor_lives_from_its_writer_to_its_last_reader() -> None:
    events = [event(a=1), event("a", b=10), event("b", c=100), event("a c"), event(d=5)]
    assert find_peak(events) == 1 + 10 + 100
    # Without the last reader of a it is gone when c is written.
    assert find_peak([*events[:3], event("c"), event(d=5)]) == 10 + 100


def test_what_nobody_reads_is_there_while_it_is_written_and_what_nobody_wrote_has_no_place() -> None:
    assert find_peak([event(a=3), event("b", c=2)]) == 3


def test_what_is_written_again_is_gone_in_between() -> None:
    lives = [event(a=8), event("a", b=1), event("b", c=4), event("c", d=4), event("d", a=8), event("a")]
    assert find_peak(lives) == 12
    kept = [event(a=8), *lives[1:4], event("d"), event("a")]
    assert find_peak(kept) == 8 + 8


def test_the_peak_of_a_chain_is_in_its_backward_pass() -> None:
    # GTW of the second convolution needs both maps and its gradient; that of relu2 is written as fc's GTA ends.
    found = measure({"name": "conv1", **CONV}, {"name": "relu1", "type": "relu"}, {"name": "conv2", **CONV},
                    {"name": "relu2", "type": "relu"})  # fmt: skip
    assert found == IMAGE + MAPS + MAPS + MAPS + SCORES


def test_batch_norm_keeps_its_input() -> None:
    found = measure({"name": "conv1", **CONV}, {"name": "bn", "type": "batch_norm"}, {"name": "relu", "type": "relu"},
                    {"name": "pool", "type": "max_pool", "kernel": 2})  # fmt: skip
    # Its backward pass reads that and a gradient, and writes another; maxima tell the mask of the ReLU.
    assert found == IMAGE + MAPS + MAPS + MAPS


def test_pooling_keeps_indices() -> None:
    found = measure({"name": "conv1", **CONV}, {"name": "relu", "type": "relu"},
                    {"name": "pool", "type": "max_pool", "kernel": 2})  # fmt: skip
    elements = N * M * (H // 2) * (W // 2)
    assert found == IMAGE + MAPS + elements * WORD + -(-2 * elements // 8)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_microbatches_take_their_share_and_parameters_stay(parts: int) -> None:
    text = f"""
name: net
batch: 8
accumulate: {parts}
update: sgd_momentum
input: {{channels: 3, height: 4, width: 4}}
layers:
  - {{name: conv, type: conv2d, out_channels: 5, kernel: 3}}
  - {{name: bn, type: batch_norm}}
  - {{name: relu, type: relu}}
  - {{name: flat, type: flatten}}
  - {{name: fc, type: linear, out_features: 7}}
  - {{name: loss, type: softmax_cross_entropy}}
"""
    workload = make_workload(parse_yaml(text, "net"), Path())
    assert workload.network.batch == 8 // parts
    whole = make_workload(parse_yaml(text.replace(f"accumulate: {parts}\n", ""), "net"), Path()).network
    found = describe_memory(workload, load_architecture("sparsetrain"), whole, {})
    assert found["whole_activation_bytes"] == parts * found["activation_bytes"]
    weights = 5 * 3 * 9 + 5 + 2 * 5 + 20 * 7 + 7
    assert found["parameter_bytes"] == weights * (2 + 4 + 4)
