"""Bytes and pruned elements of elementwise passes, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from sim.architecture import Architecture, load_architecture
from sim.energy import ActionCounts
from sim.results.rows import StepResult
from sim.step.pass_run import run_passes
from sim.step.stored_tensors import StoredBytes
from workloads.kinds import Layer
from workloads.network import Network, build_network
from workloads.pruning_sites import find_pruning_sites
from workloads.shapes import Step

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
N, C, H, W = 1, 3, 5, 7
ELEMENTS = N * C * H * W
WORD = 2
RAW = ELEMENTS * WORD
# Of the preset sparsetrain.
GROUPS, PORT, CHANNEL, LATENCY = 56, 16, 32, 100
SPARSE, DENSE = load_architecture("sparsetrain"), load_architecture("dense")


def layer(name: str, kind: str, *inputs: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **({"inputs": list(inputs)} if inputs else {}), **fields}


def conv(name: str, *inputs: str) -> dict[str, Any]:
    return layer(name, "conv2d", *inputs, out_channels=C, kernel=3, padding=1, bias=False)


def network(*layers: dict[str, Any]) -> Network:
    return build_network("net", (N, C, H, W), LAYERS.validate_python(list(layers)))


def run_backward(
    net: Network, kind: str, machine: Architecture = SPARSE, *, stored: dict[str, StoredBytes] | None = None,
    prunes: bool = False,
) -> tuple[StepResult, ActionCounts]:  # fmt: skip
    """Run the backward pass of the only layer of a kind; tensors that `stored` leaves out are raw."""
    known = {node.name: StoredBytes() for node in net.compute_nodes()} | (stored or {})
    pruned = frozenset(find_pruning_sites(net)) if prunes else frozenset()
    ((result, counts),) = [one for one in run_passes(net, machine, known, (Step.GTA,), pruned) if one[0].kind == kind]
    assert counts is not None
    return result, counts


# Nobody writes the gradients to the outputs of `end` and `a`, shares of that to the output of `stem`.
SUMMED = (
    conv("stem"), conv("other", "input"), layer("a", "add", "stem", "other"), layer("b", "batch_norm"),
    layer("end", "add", "b", "stem"),
)  # fmt: skip


@pytest.mark.parametrize("machine", [SPARSE, DENSE])
def test_a_gradient_sum_reads_every_share_and_writes_their_sum(machine: Architecture) -> None:
    summed = 151
    result, counts = run_backward(
        network(*SUMMED), "gradient_sum", machine, stored={"stem": StoredBytes(grad_output=summed)}
    )
    assert (result.layer, result.step) == ("stem", "backward")
    assert (result.dram_read_bytes, result.dram_write_bytes) == (2 * RAW, summed)
    transfers = -(-2 * RAW // CHANNEL) + -(-summed // CHANNEL)
    assert result.cycles == max(LATENCY + transfers, -(-ELEMENTS // GROUPS))
    assert result.dram_busy_cycles == transfers
    assert counts.ppu_elements == ELEMENTS
    accesses = -(-2 * RAW // PORT) + -(-summed // PORT)
    assert counts.buffer_reads == counts.buffer_writes == accesses
    assert counts.noc_bytes == 2 * RAW + summed
    assert (counts.dram_read_bits, counts.dram_write_bits) == (8 * 2 * RAW, 8 * summed)


@pytest.mark.parametrize(("kernel", "index_bits"), [([1, 3], 2), (3, 4), ([1, 2], 1)])
def test_argmax_indices_are_rounded_up_to_a_byte_together(kernel: Any, index_bits: int) -> None:
    net = network(conv("conv"), layer("relu", "relu"), layer("pool", "max_pool", kernel=kernel, stride=1))
    windows = C * net.node("pool").output_shape[2] * net.node("pool").output_shape[3]
    indices = -(-windows * index_bits // 8)
    assert windows * index_bits % 8 != 0
    result, _ = run_backward(net, "max_pool")
    assert (result.dram_read_bytes, result.dram_write_bytes) == (windows * WORD + indices, RAW)
    ((forward, _),) = run_passes(net, SPARSE, {"conv": StoredBytes()}, (Step.FORWARD,))
    assert (forward.dram_read_bytes, forward.dram_write_bytes) == (RAW, windows * WORD + indices)


@pytest.mark.parametrize("relu", [(), (layer("relu", "relu"),)])
def test_an_average_behind_a_relu_reads_mask_rows_of_whole_bytes(relu: tuple[dict[str, Any], ...]) -> None:
    net = network(conv("conv"), *relu, layer("pool", "global_avg_pool"))
    mask = N * C * H * -(-W // 8) if relu else 0
    assert W % 8
    result, _ = run_backward(net, "global_avg_pool")
    assert (result.dram_read_bytes, result.dram_write_bytes) == (N * C * WORD + mask, RAW)


# Behind a ReLU, read by a convolution and by a pooling that is through last and so completes the sum.
POOLED = (
    conv("conv1"), layer("relu", "relu"), layer("pool", "avg_pool", kernel=3, stride=1, padding=1),
    conv("conv2", "relu"), layer("end", "add", "pool", "conv2"),
)  # fmt: skip
NORMED = (conv("conv1"), layer("norm", "batch_norm"), layer("relu", "relu"), conv("conv2"))
LATE = (
    conv("conv1"), layer("relu", "relu"), conv("side", "input"), layer("early", "add", "side", "relu"),
    conv("conv2", "relu"), layer("end", "add", "conv2", "early"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "kind", "node"),
    [(NORMED, "batch_norm", "conv1"), (POOLED, "avg_pool", "relu"), (LATE, "gradient_sum", "relu")],
)
def test_a_pass_that_completes_a_pruned_gradient_prunes_each_element_once(
    layers: tuple[dict[str, Any], ...], kind: str, node: str
) -> None:
    net = network(*layers)
    assert set(find_pruning_sites(net)) == {node}
    assert run_backward(net, kind, prunes=True)[1].pruned_elements == ELEMENTS
    assert run_backward(net, kind)[1].pruned_elements == 0
    assert run_backward(net, kind, DENSE, prunes=True)[1].pruned_elements == 0


def test_a_pass_that_writes_a_share_which_another_completes_prunes_nothing() -> None:
    first, last = layer("pool", "avg_pool", "relu", kernel=3, stride=1, padding=1), conv("conv2", "relu")
    net = network(conv("conv1"), layer("relu", "relu"), last, first, layer("end", "add", "conv2", "pool"))
    assert find_pruning_sites(net)["relu"].writer == "conv2"
    assert run_backward(net, "avg_pool", prunes=True)[1].pruned_elements == 0


def run_forward(net: Network, kind: str, stored: dict[str, StoredBytes]) -> StepResult:
    """Run the forward pass of the only layer of a kind."""
    known = {node.name: StoredBytes() for node in net.compute_nodes()} | stored
    (result,) = [one for one, _ in run_passes(net, SPARSE, known, (Step.FORWARD,)) if one.kind == kind]
    return result


def test_an_output_that_is_read_back_is_written_raw_beside_the_sparse_one_of_the_dropout_behind_it() -> None:
    net = network(conv("a"), layer("act", "tanh"), layer("drop", "dropout"), conv("b"))
    stored = {"b": StoredBytes(input=60, grad_input=70), "a": StoredBytes(grad_output=90)}
    forward = run_forward(net, "tanh", stored)
    assert (forward.dram_read_bytes, forward.dram_write_bytes) == (RAW, RAW + 60)
    backward, _ = run_backward(net, "tanh", stored=stored)
    assert (backward.dram_read_bytes, backward.dram_write_bytes) == (RAW + 70, 90)


def test_a_leaky_relu_moves_one_bit_an_element_in_place_of_its_input() -> None:
    net, flags = network(conv("a"), layer("act", "leaky_relu"), conv("b")), -(-ELEMENTS // 8)
    forward, (backward, _) = run_forward(net, "leaky_relu", {}), run_backward(net, "leaky_relu")
    assert (forward.dram_read_bytes, forward.dram_write_bytes) == (RAW, RAW + flags)
    assert (backward.dram_read_bytes, backward.dram_write_bytes) == (RAW + flags, RAW)


def test_a_softmax_reads_all_twice_each_way_and_processes_twice_the_elements() -> None:
    net = network(conv("a"), layer("act", "softmax", axis=1), conv("b"))
    forward, (backward, counts) = run_forward(net, "softmax", {}), run_backward(net, "softmax")
    assert (forward.dram_read_bytes, forward.dram_write_bytes) == (2 * RAW, RAW)
    assert (backward.dram_read_bytes, backward.dram_write_bytes) == (4 * RAW, RAW)
    assert counts.ppu_elements == 2 * ELEMENTS
