"""The elementwise passes of small networks, listed by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.architecture import load_architecture
from sim.step.pass_run import run_passes
from sim.step.stored_tensors import StoredBytes
from workloads.errors import InputError
from workloads.network import Network
from workloads.passes import ElementwisePass, PassStep, list_passes
from workloads.shapes import Step
from workloads.workload import load_workload

N, C, M, SIZE = 2, 3, 4, 8
HEAD = "name: net\nbatch: 2\ninput: {channels: 3, height: 8, width: 8}\nlayers:\n"
CONV = "  - {name: conv, type: conv2d, out_channels: 4, kernel: 3, padding: 1}\n"
RELU = "  - {name: relu, type: relu}\n"
POOL = "  - {name: pool, type: max_pool, kernel: 2}\n"
FULL = N * M * SIZE * SIZE
POOLED = FULL // 4


def build(folder: Path, *layers: str) -> Network:
    """Build a network from lines of YAML."""
    path = folder / "net.yaml"
    path.write_text(HEAD + "".join(layers))
    return load_workload(path).network


def test_relu_dropout_flatten_and_fully_connected_layers_have_none(tmp_path: Path) -> None:
    network = build(
        tmp_path, CONV, RELU, "  - {name: flat, type: flatten}\n", "  - {name: fc, type: linear, out_features: 5}\n"
    )
    assert list_passes(network) == ()


def test_pooling_behind_a_relu_reads_what_the_relu_stores_and_moves_its_indices_twice(tmp_path: Path) -> None:
    network = build(tmp_path, CONV, RELU, POOL)
    index_bits = 2 * POOLED
    assert list_passes(network) == (
        ElementwisePass("pool", "max_pool", PassStep.FORWARD, FULL, reads=("relu",), writes=("pool",),
                        index_bits=index_bits),
        ElementwisePass("pool", "max_pool", PassStep.BACKWARD, FULL, reads_gradients=("pool",),
                        writes_gradients=("relu",), index_bits=index_bits),
    )  # fmt: skip


def test_batch_norm_is_one_pass_forward_and_sweeps_twice_backward(tmp_path: Path) -> None:
    network = build(tmp_path, CONV, "  - {name: norm, type: batch_norm}\n", RELU)
    assert list_passes(network) == (
        ElementwisePass("norm", "batch_norm", PassStep.FORWARD, FULL, reads=("conv",), writes=("relu",)),
        ElementwisePass("norm", "batch_norm", PassStep.BACKWARD, 2 * FULL, reads=("conv", "conv"),
                        reads_gradients=("relu", "relu"), writes_gradients=("conv",)),
    )  # fmt: skip


def test_no_gradient_goes_to_the_image(tmp_path: Path) -> None:
    network = build(tmp_path, "  - {name: pool0, type: max_pool, kernel: 2}\n", CONV)
    assert [(made.node, made.step) for made in list_passes(network)] == [("pool0", PassStep.FORWARD)]


def test_the_loss_reads_scores_and_writes_their_gradient_once(tmp_path: Path) -> None:
    network = build(
        tmp_path, CONV, "  - {name: flat, type: flatten}\n", "  - {name: fc, type: linear, out_features: 5}\n",
        "  - {name: loss, type: softmax_cross_entropy}\n",
    )  # fmt: skip
    assert list_passes(network) == (
        ElementwisePass("loss", "softmax_cross_entropy", PassStep.LOSS, N * 5, reads=("fc",), writes_gradients=("fc",)),
    )


def test_a_sum_of_branches_reads_both_and_is_stored_behind_its_relu(tmp_path: Path) -> None:
    network = build(
        tmp_path, CONV, RELU,
        "  - {name: conv2, type: conv2d, out_channels: 4, kernel: 3, padding: 1}\n",
        "  - {name: sum, type: add, inputs: [conv2, relu]}\n", "  - {name: relu2, type: relu}\n",
    )  # fmt: skip
    forward = [made for made in list_passes(network) if made.step is PassStep.FORWARD]
    assert forward == [
        ElementwisePass("sum", "add", PassStep.FORWARD, FULL, reads=("conv2", "relu"), writes=("relu2",))
    ]


@pytest.mark.parametrize("arch", ["sparsetrain", "dense"])
def test_both_machines_pay_every_pass_in_cycles_and_bytes(arch: str, tmp_path: Path) -> None:
    network, machine = build(tmp_path, CONV, RELU, POOL), load_architecture(arch)
    stored = {"conv": StoredBytes(output=500, grad_output=300)}
    rows = [result for result, _ in run_passes(network, machine, stored, tuple(Step))]
    raw_pooled, indices = POOLED * 2, 2 * POOLED // 8
    moved = [(row.dram_read_bytes, row.dram_write_bytes) for row in rows]
    assert moved == [(500, raw_pooled + indices), (raw_pooled + indices, 300)]
    for row, (read, write) in zip(rows, moved, strict=True):
        transfers = 100 + -(-read // 32) + -(-write // 32)
        assert row.cycles == max(transfers, -(-FULL // 56))
        assert row.dram_busy_cycles == transfers - 100
        assert row.buffer_read_bytes == read
        assert row.buffer_write_bytes == write
        assert row.ppu_busy_cycles == -(-FULL // 56) * 56
        waits = row.busy_cycles + row.wait_operands_cycles + row.wait_dram_cycles + row.wait_ppu_cycles
        assert waits + row.idle_cycles == row.cycles * 56


def test_the_actions_of_a_pass_are_those_of_its_bytes_and_elements(tmp_path: Path) -> None:
    network = build(tmp_path, CONV, RELU, POOL)
    (_, counts), _ = run_passes(
        network, load_architecture("sparsetrain"), {"conv": StoredBytes(output=501)}, tuple(Step)
    )
    write = POOLED * 2 + 2 * POOLED // 8
    accesses = -(-501 // 16) + -(-write // 16)
    assert counts is not None
    assert (counts.ppu_elements, counts.multiplies) == (FULL, 0)
    assert (counts.buffer_reads, counts.buffer_writes) == (accesses, accesses)
    assert (counts.dram_read_bits, counts.dram_write_bits) == (8 * 501, 8 * write)
    assert counts.noc_bytes == 501 + write


def test_passes_belong_to_the_steps_that_are_run_and_an_ideal_machine_has_none(tmp_path: Path) -> None:
    network = build(tmp_path, CONV, RELU, POOL)
    stored = {"conv": StoredBytes()}
    machine = load_architecture("sparsetrain")
    for steps, expected in (((Step.FORWARD,), ["forward"]), ((Step.GTA,), ["backward"]), ((Step.GTW,), [])):
        assert [result.step for result, _ in run_passes(network, machine, stored, steps)] == expected
    assert run_passes(network, load_architecture("ideal"), stored, tuple(Step)) == []


def test_an_activation_reads_its_input_again_backward(tmp_path: Path) -> None:
    network = build(tmp_path, CONV, "  - {name: act, type: silu}\n", CONV.replace("conv,", "conv2,"))
    assert list_passes(network) == (
        ElementwisePass("act", "silu", PassStep.FORWARD, FULL, reads=("conv",), writes=("act",)),
        ElementwisePass("act", "silu", PassStep.BACKWARD, FULL, reads=("conv",), reads_gradients=("act",),
                        writes_gradients=("conv",)),
    )  # fmt: skip


def test_an_activation_that_reads_its_output_stores_it_beside_what_rides_along(tmp_path: Path) -> None:
    network = build(tmp_path, CONV, "  - {name: act, type: tanh}\n", "  - {name: drop, type: dropout}\n")
    assert list_passes(network) == (
        ElementwisePass("act", "tanh", PassStep.FORWARD, FULL, reads=("conv",), writes=("act", "drop")),
        ElementwisePass("act", "tanh", PassStep.BACKWARD, FULL, reads=("act",), reads_gradients=("drop",),
                        writes_gradients=("conv",)),
    )  # fmt: skip


def test_an_activation_of_images_alone_stores_no_output_for_a_backward_pass(tmp_path: Path) -> None:
    network = build(tmp_path, "  - {name: act, type: tanh}\n", "  - {name: drop, type: dropout}\n", CONV)
    (made,) = list_passes(network)
    assert made.writes == ("drop",)


@pytest.mark.parametrize("kind", ["leaky_relu", "hard_sigmoid"])
def test_an_activation_of_straight_pieces_moves_a_bit_for_each_element(tmp_path: Path, kind: str) -> None:
    network = build(tmp_path, CONV, f"  - {{name: act, type: {kind}}}\n")
    forward, backward = list_passes(network)
    assert (forward.index_bits, backward.index_bits, backward.reads) == (FULL, FULL, ())


def test_a_softmax_sweeps_twice_each_way_and_reads_its_output_backward(tmp_path: Path) -> None:
    network = build(tmp_path, CONV, "  - {name: act, type: softmax, axis: 1}\n")
    assert list_passes(network) == (
        ElementwisePass("act", "softmax", PassStep.FORWARD, 2 * FULL, reads=("conv", "conv"), writes=("act",)),
        ElementwisePass("act", "softmax", PassStep.BACKWARD, 2 * FULL, reads=("act", "act"),
                        reads_gradients=("act", "act"), writes_gradients=("conv",)),
    )  # fmt: skip


@pytest.mark.parametrize("axis", [0, -4, 4, -5])
def test_a_softmax_refuses_an_axis_that_is_none_of_an_image(tmp_path: Path, axis: int) -> None:
    with pytest.raises(InputError) as error:
        build(tmp_path, CONV, f"  - {{name: act, type: softmax, axis: {axis}}}\n")
    assert str(error.value).endswith(
        "layers[1] 'act': axis must be one of an input of shape (2, 4, 8, 8) behind its batch, 1..3 or -3..-1, "
        f"got {axis}"
    )
