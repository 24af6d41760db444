"""One chip's share of an iteration: its phases in their order, and the bytes of its gradients; and how it scales."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any

import pytest

from sim import Interconnect, RunResult, scale, simulate
from sim.scaling.interconnect import Topology
from sim.scaling.scaling import scale_share
from sim.scaling.share import IterationShare, SharePhase, ShareSource, list_rows, make_shares
from workloads.errors import InputError
from workloads.host import parameter_shapes
from workloads.workload import make_workload
from workloads.yaml_file import parse_yaml

BITS = 16
NETWORK = """\
name: net
batch: 2
input: {channels: 3, height: 12, width: 12}
layers:
  - {name: conv1, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, out_channels: 4, kernel: 3, padding: 1, bias: false}
  - {name: bn2, type: batch_norm}
  - {name: sum, type: add, inputs: [bn2, relu1]}
  - {name: relu2, type: relu}
  - {name: pool, type: max_pool, kernel: 2}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 10}
  - {name: loss, type: softmax_cross_entropy}
operands: {source: host, dataset: fashion_mnist, seed: 1, images: {resize: 12, channels: 3}}
"""
APART = ("ppu.fuse_passes=false",)
MASK = "sparsify: {method: magnitude, keep: 0.25}\n"


def run(text: str = NETWORK, arch: str = "sparsetrain", **options: Any) -> RunResult:
    workload = make_workload(parse_yaml(text, "net.yaml"), Path())
    return simulate(workload, arch, verify=False, **options)


def list_shares(result: RunResult, gradients: str = "dense") -> list[IterationShare]:
    return make_shares(ShareSource("net", result.record, list_rows(result.frame)), gradients)


def test_phases_are_forward_then_losses_then_backward_against_the_network_and_take_the_runs_cycles() -> None:
    result = run(overrides=APART)
    for share in list_shares(result):
        assert share.cycles == result.totals["machines"][share.machine]["network"]["cycles"]
        assert [(phase.layer, phase.step) for phase in share.phases] == [
            ("conv1", "forward"), ("conv2", "forward"), ("bn2", "forward"), ("sum", "forward"), ("pool", "forward"),
            ("fc", "forward"), ("loss", "loss"),
            ("fc", "gtw"), ("fc", "gta"), ("pool", "backward"), ("bn2", "backward"), ("conv2", "gtw"), ("conv2", "gta"),
            ("conv1", "gtw"),
        ]  # fmt: skip
        assert (share.batch, share.clock_mhz, share.workload) == (2, 800, "net")


def test_gradients_of_all_parameters_are_complete_with_the_gtw_or_the_pass_of_their_layer() -> None:
    result = run(overrides=APART)
    for share in list_shares(result):
        found = {phase.layer: (phase.step, phase.gradient_bytes) for phase in share.phases if phase.gradient_bytes}
        assert found == {
            "fc": ("gtw", (4 * 6 * 6 * 10 + 10) * BITS // 8), "bn2": ("backward", 2 * 4 * BITS // 8),
            "conv2": ("gtw", 4 * 4 * 9 * BITS // 8), "conv1": ("gtw", (4 * 3 * 9 + 4) * BITS // 8),
        }  # fmt: skip
        assert len(parameter_shapes(result.workload.network)) == 7


def test_a_fused_pass_has_the_place_of_its_first_member_and_completes_the_gradients_of_all() -> None:
    layers = "  - {name: bn3, type: batch_norm}\n  - {name: gelu, type: gelu}\n"
    text = NETWORK.replace("  - {name: flat", f"{layers}  - {{name: flat")
    result = run(text, overrides=("ppu.fuse_passes=true",))
    share = list_shares(result)[0]
    assert share.cycles == result.totals["machines"][share.machine]["network"]["cycles"]
    steps = [(phase.layer, phase.step) for phase in share.phases]
    fused = [layer for layer, _ in steps if "+" in layer]
    assert len(fused) >= 2
    assert "bn3" in fused[-1].split("+")
    (backward,) = (phase for phase in share.phases if "bn3" in phase.layer.split("+") and phase.step == "backward")
    assert backward.gradient_bytes == 2 * 4 * BITS // 8
    assert steps.index((backward.layer, "backward")) > steps.index(("fc", "gtw"))


def test_a_layer_whose_output_has_a_pass_that_sums_completes_its_gradients_in_its_gtw() -> None:
    sums = "  - {name: first, type: add, inputs: [conv2, relu1]}\n  - {name: both, type: add, inputs: [conv2, first]}\n"
    text = NETWORK.replace(
        "  - {name: bn2, type: batch_norm}\n  - {name: sum, type: add, inputs: [bn2, relu1]}\n", sums
    )
    share = list_shares(run(text, overrides=APART))[0]
    steps = [(phase.layer, phase.kind, phase.step) for phase in share.phases]
    place = steps.index(("conv2", "gradient_sum", "backward"))
    assert steps[place + 1 : place + 3] == [("conv2", "conv2d", "gtw"), ("conv2", "conv2d", "gta")]
    assert [phase.gradient_bytes for phase in share.phases[place : place + 3]] == [0, 4 * 4 * 9 * BITS // 8, 0]


def test_an_ideal_machine_has_no_passes_and_sends_float32() -> None:
    (share, _) = list_shares(run(arch="ideal"))
    found = {(phase.layer, phase.step): (phase.cycles, phase.gradient_bytes) for phase in share.phases}
    assert found["bn2", "backward"] == (0, 2 * 4 * 4)
    assert found["conv2", "gtw"][1] == 4 * 4 * 9 * 4


def test_machines_that_skip_zeros_send_the_gradients_of_weights_that_a_mask_lets_live() -> None:
    result = run(NETWORK + MASK, overrides=APART)
    dense, masked = list_shares(result), list_shares(result, "masked")
    assert [share.machine.endswith("-dense") for share in masked] == [False, True]
    assert masked[1].gradient_bytes == dense[1].gradient_bytes
    sizes = {phase.layer: phase.gradient_bytes for phase in masked[0].phases if phase.gradient_bytes}
    # A quarter of the weights lives; biases and batch norms are not masked.
    assert sizes["conv2"] == 4 * 4 * 9 // 4 * BITS // 8
    assert sizes["conv1"] == (4 * 3 * 9 // 4 + 4) * BITS // 8
    assert sizes["bn2"] == 2 * 4 * BITS // 8


def test_gradients_that_are_not_masked_cannot_be_sent_so() -> None:
    with pytest.raises(InputError) as error:
        list_shares(run(), "masked")
    assert str(error.value) == (
        "net: gradients masked: no weight of 'net' is masked (sparsify), so that no gradient is left out"
    )


@pytest.mark.parametrize("options", [{"layers": "conv*"}, {"steps": ["forward", "gtw"]}])
def test_a_run_of_a_part_of_an_iteration_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as error:
        scale(run(**options))
    assert str(error.value) == (
        "net: is a run of some layers or steps; an iteration on several chips needs one of all, without --layers and "
        "--steps"
    )


def make_share(*phases: SharePhase) -> IterationShare:
    return IterationShare("machine", "net", 4, 1000.0, phases)


@pytest.mark.parametrize("chips", [1, 2, 5, 64])
@pytest.mark.parametrize("topology", Topology)
def test_the_sum_of_a_last_layer_is_not_hidden_at_all(chips: int, topology: Topology) -> None:
    compute, size, bandwidth, latency = 1000, 777, 3, 11
    share = make_share(SharePhase("fc", "linear", "forward", 400), SharePhase("fc", "linear", "gtw", 600, size))
    found = scale_share(share, chips, Interconnect(topology, bandwidth, latency))
    ring = 2 * (chips - 1) * (ceil(ceil(size / chips) / bandwidth) + latency)
    tree = 2 * (chips.bit_length() - 1) * (ceil(size / bandwidth) + latency)
    exposed = ring if topology is Topology.RING else tree
    assert (found.exposed_cycles, found.iteration_cycles) == (exposed, compute + exposed)
    assert found.speedup == chips * compute / (compute + exposed)
    assert found.efficiency == compute / (compute + exposed)
    assert found.images_per_second == pytest.approx(chips * 4 * 1000e6 / (compute + exposed))
    assert (found.batch, found.compute_cycles) == (4 * chips, compute)
    assert found.sent_bytes == (0 if chips == 1 else size if topology is Topology.TREE else (
        2 * (chips - 1) * ceil(size / chips)))  # fmt: skip


def test_a_sum_that_ends_before_compute_does_costs_nothing_and_the_next_one_waits_for_it() -> None:
    links, size = Interconnect(Topology.RING, 1, 0), 100
    whole = 2 * (size // 2)
    first, last = SharePhase("b", "conv2d", "gtw", 10, size), SharePhase("a", "conv2d", "gtw", whole, size)
    assert scale_share(make_share(first, last), 2, links).exposed_cycles == whole
    late = SharePhase("a", "conv2d", "gtw", whole - 30, size)
    assert scale_share(make_share(first, late), 2, links).exposed_cycles == whole + 30
    free = SharePhase("a", "conv2d", "gtw", 1)
    assert (
        scale_share(make_share(first, SharePhase("c", "relu", "backward", whole), free), 2, links).exposed_cycles == 0
    )


def test_the_points_of_a_run_are_those_of_each_machine_in_rising_chips() -> None:
    found = scale(run(), chips=(8, 1, 2, 8), interconnect=Interconnect(Topology.TREE, 4.0, 100))
    assert [(point.machine, point.chips) for point in found.points] == [
        (machine, chips) for machine in ("sparsetrain", "sparsetrain-dense") for chips in (1, 2, 8)
    ]
    assert found.frame["efficiency"].iloc[0] == 1
    assert (found.frame["speedup"] <= found.frame["chips"]).all()


@pytest.mark.parametrize(
    ("chips", "message"),
    [
        ((), "chips must be whole numbers from 1 to 64, got none"),
        ((1, 65), "chips must be whole numbers from 1 to 64, got 65"),
        ((0,), "chips must be whole numbers from 1 to 64, got 0"),
    ],
)
def test_other_numbers_of_chips_are_refused(chips: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError) as error:
        scale(run(), chips=chips)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"topology": "star"}, "topology must be ring or tree, got 'star'"),
        ({"bytes_per_cycle": 0.0}, "the bytes of a link in a cycle must be a number above 0, got 0.0"),
        ({"bytes_per_cycle": float("nan")}, "the bytes of a link in a cycle must be a number above 0, got nan"),
        ({"latency_cycles": -1},
         "the latency of a link must be a whole number of cycles from 0 to 2147483648, got -1"),
    ],
)  # fmt: skip
def test_other_links_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        Interconnect(**fields)
    assert str(error.value) == message
