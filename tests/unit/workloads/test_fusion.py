"""Which elementwise passes run as one, and what they move together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import TypeAdapter
from random_graphs import make_random_network

from sim.architecture import load_architecture
from sim.results.rows import StepResult
from sim.step.pass_run import list_machine_passes, run_passes
from sim.step.stored_tensors import StoredBytes
from workloads.fusion import FUSED, HeldRows, fuse_iteration
from workloads.gradient_shares import GradientShare, find_gradient, list_shares_added
from workloads.kinds import Layer
from workloads.network import Network, build_network
from workloads.pass_traffic import list_traffic
from workloads.passes import ElementwisePass, LayerStep, list_iteration, list_passes
from workloads.shapes import Step
from workloads.workload import load_workload

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
N, C, H, W = 2, 4, 6, 8
ELEMENTS = N * C * H * W
RAW = ELEMENTS * 2
APART = load_architecture("sparsetrain", ("ppu.fuse_passes=false",))
FUSING = load_architecture("sparsetrain", ("ppu.fuse_passes=true",))
DENSE = FUSING.without_skipping()


def layer(name: str, kind: str, *inputs: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **({"inputs": list(inputs)} if inputs else {}), **fields}


def conv(name: str, *inputs: str) -> dict[str, Any]:
    return layer(name, "conv2d", *inputs, out_channels=C, kernel=3, padding=1, bias=False)


def network(*layers: dict[str, Any]) -> Network:
    return build_network("net", (N, C, H, W), LAYERS.validate_python(list(layers)))


def holds_all(_held: Sequence[HeldRows]) -> bool:
    return True


def fuse_passes(net: Network, holds: Any) -> tuple[ElementwisePass, ...]:
    return tuple(one for one in fuse_iteration(net, holds) if isinstance(one, ElementwisePass))


def fused(net: Network, holds: Any = holds_all) -> list[tuple[str, str]]:
    return [(made.node, made.step.value) for made in fuse_passes(net, holds) if made.kind == FUSED]


BLOCK = (
    conv("stem"), layer("start", "relu"), conv("conv1"), layer("bn1", "batch_norm"), layer("relu1", "relu"),
    conv("conv2"), layer("bn2", "batch_norm"), layer("add", "add", "bn2", "start"), layer("relu2", "relu"),
)  # fmt: skip


def test_the_normalisation_and_the_sum_of_a_shortcut_are_one_pass_with_the_relu_behind_them() -> None:
    net = network(*BLOCK, conv("after"))
    (made,) = [one for one in fuse_passes(net, holds_all) if one.kind == FUSED]
    assert (made.node, made.step.value, made.elements) == ("bn2+add+relu2", "forward", 2 * ELEMENTS)
    assert (made.reads, made.writes) == (("conv2", "start"), ("relu2",))
    assert [member.node for member in made.members] == ["bn2", "add"]


def test_pooling_behind_a_block_joins_it_where_its_indices_tell_the_mask() -> None:
    pool = layer("pool", "max_pool", kernel=2)
    assert fused(network(*BLOCK, pool, conv("after"))) == [("bn2+add+relu2+pool", "forward")]


def test_an_average_whose_way_back_takes_the_mask_of_a_relu_reads_it_from_memory() -> None:
    mean = layer("mean", "global_avg_pool")
    assert fused(network(*BLOCK, mean, conv("after"))) == [("bn2+add+relu2", "forward")]
    # Without a ReLU no mask is needed again.
    assert fused(network(*BLOCK[:-1], mean)) == [("bn2+add+mean", "forward")]


def test_before_the_first_parameter_nothing_is_needed_again() -> None:
    scale = layer("scale", "avg_pool", kernel=1)
    net = network(layer("a", "relu"), layer("double", "add", "a", "a"), layer("b", "relu"), scale, conv("c"))
    assert fused(net) == [("double+b+scale", "forward")]


@pytest.mark.parametrize("kind", ["silu", "gelu", "hard_swish", "prelu", "layer_norm", "local_response_norm"])
def test_a_tensor_that_a_backward_pass_reads_again_is_written(kind: str) -> None:
    fields = {"size": 3} if kind == "local_response_norm" else {}
    assert fused(network(conv("a"), layer("bn", "batch_norm"), layer("act", kind, **fields), conv("b"))) == []


@pytest.mark.parametrize("kind", ["sigmoid", "tanh", "hard_sigmoid", "leaky_relu"])
def test_an_activation_that_keeps_its_output_or_flags_joins_what_is_before_it(kind: str) -> None:
    net = network(conv("a"), layer("bn", "batch_norm"), layer("act", kind), conv("b"))
    assert fused(net) == [("bn+act", "forward")]


def test_what_writes_indices_or_its_own_output_besides_ends_a_chain() -> None:
    flagged = network(conv("a"), layer("act", "leaky_relu"), layer("mean", "avg_pool", kernel=2), conv("b"))
    kept = network(conv("a"), layer("act", "tanh"), layer("mean", "avg_pool", kernel=2), conv("b"))
    assert fused(flagged) == fused(kept) == [("mean+act", "backward")]


def test_what_needs_a_statistic_of_the_whole_tensor_begins_a_new_pass() -> None:
    for kind, fields in (("batch_norm", {}), ("softmax", {"axis": 1}), ("layer_norm", {})):
        net = network(conv("a"), conv("b", "input"), layer("sum", "add", "a", "b"), layer("odd", kind, **fields))
        assert fused(net) == []


def test_batch_norms_backward_pass_joins_nothing_before_it_but_others_join_it() -> None:
    before = network(conv("a"), layer("bn", "batch_norm"), layer("pool", "max_pool", kernel=2), conv("b"))
    assert fused(before) == [("bn+pool", "forward")]
    behind = network(conv("a"), layer("pool", "max_pool", kernel=2), layer("bn", "batch_norm"), conv("b"))
    assert fused(behind) == [("bn+pool", "backward")]


def test_another_reader_or_a_step_between_keeps_passes_apart() -> None:
    norm = layer("bn", "batch_norm")
    shared = network(conv("a"), norm, layer("sum", "add", "bn", "bn"), conv("b", "bn"), layer("end", "add", "sum", "b"))
    parted = network(conv("a"), norm, conv("b", "input"), layer("sum", "add", "bn", "b"))
    joined = network(conv("a"), norm, layer("rest", "concat", "bn", "a"), layer("mean", "avg_pool", kernel=2))
    assert fused(shared) == fused(parted) == fused(joined) == []


def test_a_share_of_a_gradient_is_added_by_the_next_pass_without_being_stored() -> None:
    first, last = (layer(name, "avg_pool", "bn", kernel=3, stride=1, padding=1) for name in ("one", "two"))
    net = network(conv("a"), layer("bn", "batch_norm"), first, last, layer("end", "add", "one", "two"), conv("b"))
    # The sum is read by both poolings; the second one's share by the first alone.
    assert fused(net) == [("two+end", "forward"), ("two+one", "backward")]
    (made,) = [one for one in fuse_passes(net, holds_all) if one.step.value == "backward" and one.kind == FUSED]
    assert (made.reads_gradients, made.writes_gradients) == (("end", "end"), ("bn",))


def test_rows_of_a_window_must_fit_the_buffer_together() -> None:
    pool = layer("pool", "max_pool", kernel=3, stride=1, padding=1)
    net = network(conv("a"), layer("bn", "batch_norm"), layer("mean", "avg_pool", kernel=2, stride=1), pool)
    asked: list[list[HeldRows]] = []

    def holds(held: Sequence[HeldRows]) -> bool:
        asked.append(list(held))
        return True

    assert fused(net, holds) == [("bn+mean+pool", "forward"), ("pool+mean", "backward")]
    rows = [HeldRows(2, W), HeldRows(3, W - 1)]
    assert asked == [rows[:1], rows, [HeldRows(2, W - 1)]]
    needed = sum(one.rows * one.width * 2 for one in rows)
    for capacity, expected in ((needed, "bn+mean+pool"), (needed - 1, "bn+mean")):
        machine = load_architecture("sparsetrain", ("ppu.fuse_passes=true", f"buffer.capacity_bytes={capacity}"))
        assert list_machine_passes(net, machine)[0].node == expected


def test_a_machine_fuses_only_where_it_is_told_to() -> None:
    net = network(*BLOCK, conv("after"))
    assert list_machine_passes(net, APART) == list_passes(net)
    assert list_machine_passes(net, FUSING) == list_machine_passes(net, DENSE) == fuse_passes(net, holds_all)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet121", "vit_tiny", "googlenet", "yolo_tiny"])
def test_fused_passes_of_a_preset_read_nothing_that_is_not_written(name: str) -> None:
    check_order(load_workload(name).network)


@pytest.mark.parametrize("seed", range(100))
def test_fused_passes_of_a_random_graph_read_nothing_that_is_not_written(seed: int) -> None:
    check_order(make_random_network(seed))


def check_order(net: Network) -> None:
    """Check that all work is there once and in order, and that what is handed on is read nowhere else."""
    order = fuse_iteration(net, holds_all)
    parts = [part for one in order for part in (one.members if isinstance(one, ElementwisePass) else ()) or (one,)]
    assert tuple(parts) == list_iteration(net)
    gone = {
        tensor
        for made in order
        if isinstance(made, ElementwisePass)
        for member in made.members[:-1]
        for tensor in member.writes
    }
    shares = [
        share for one in order if isinstance(one, ElementwisePass) for share, _ in list_traffic(net, one).handed_on
    ]
    for one in order:
        if isinstance(one, LayerStep):
            inputs = net.node(one.node).inputs
            assert not gone.intersection(inputs)
            added = [list_shares_added(net, one.node, source, place) for place, source in enumerate(inputs)]
            read = {GradientShare(find_gradient(net, one.node)), *(share for several in added for share in several)}
            assert not read.intersection(shares)
        else:
            traffic = list_traffic(net, one)
            assert not set(shares).intersection((*traffic.reads, *traffic.writes))
            assert not gone.intersection((*one.reads, *one.writes))


COUNTS = {
    "resnet18": (9, "bn1+relu+maxpool"), "mobilenet_v2": (10, "stage2.1.body.project_bn+stage2.1.add"),
    "googlenet": (2, "conv1.bn+conv1.relu+maxpool1"), "densenet121": (5, "norm0+relu0+pool0"), "vit_tiny": (0, None),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_the_fused_passes_of_presets_are_as_many_as_they_were(name: str) -> None:
    found = fused(load_workload(name).network)
    count, first = COUNTS[name]
    assert (len(found), found[0][0] if found else None) == (count, first)


def run_forward(net: Network, machine: Any, stored: dict[str, StoredBytes]) -> list[StepResult]:
    known = {node.name: StoredBytes() for node in net.compute_nodes()} | stored
    return [result for result, _ in run_passes(net, machine, known, (Step.FORWARD,))]


@pytest.mark.parametrize("machine", [FUSING, DENSE])
def test_a_fused_pass_moves_what_its_parts_do_not_hand_to_each_other(machine: Any) -> None:
    net, sizes = network(*BLOCK, conv("after")), {"conv1": StoredBytes(input=71), "after": StoredBytes(input=83)}
    made = run_forward(net, machine, sizes)[-1]
    assert (made.layer, made.kind) == ("bn2+add+relu2", FUSED)
    assert (made.dram_read_bytes, made.dram_write_bytes) == (RAW + 71, 83)
    assert made.fusion_saved_bytes == 2 * RAW
    ppu_cycles = -(-2 * ELEMENTS // machine.array.groups)
    transfers = -(-(RAW + 71) // 32) + -(-83 // 32)
    assert made.cycles == max(ppu_cycles, 100 + transfers)
    apart = run_forward(net, APART, sizes)[-2:]
    moved = sum(one.dram_read_bytes + one.dram_write_bytes for one in apart)
    assert moved == made.dram_read_bytes + made.dram_write_bytes + made.fusion_saved_bytes


def test_a_copy_is_pruned_with_the_pass_before_it_where_no_gtw_reads_the_gradient() -> None:
    net = network(
        layer("scale", "sigmoid", "input"), conv("stem", "input"), layer("rows", "reshape", shape=[C, H * W]),
        layer("others", "reshape", "scale", shape=[C, H * W]),
        layer("scores", "matmul", "rows", "others", transpose_b=True), layer("norm", "layer_norm"),
        layer("end", "linear", out_features=2),
    )  # fmt: skip
    assert net.list_steps("scores") == (Step.FORWARD, Step.GTA)
    made = [one for one in fuse_iteration(net, holds_all, copied=("scores",)) if isinstance(one, ElementwisePass)]
    (joined,) = (one for one in made if one.kind == FUSED and one.step.value == "backward")
    assert [(one.node, one.kind) for one in joined.members] == [("norm", "layer_norm"), ("scores", "gradient_pruning")]
    assert list_traffic(net, joined).writes == (GradientShare("scores", is_copy=True),)
    stored = {node.name: StoredBytes() for node in net.compute_nodes()}
    found = run_passes(net, FUSING, stored, tuple(Step), copied=frozenset({"scores"}))
    (counts,) = (counts for row, counts in found if row.layer == joined.node)
    assert counts is not None
    assert counts.pruned_elements == N * C * C


def test_a_pass_whose_gradient_gtw_reads_too_writes_it() -> None:
    net = network(conv("stem"), conv("conv1"), layer("norm", "batch_norm"), layer("end", "relu"))
    made = [one for one in fuse_iteration(net, holds_all, copied=("conv1",)) if isinstance(one, ElementwisePass)]
    assert [(one.node, one.kind) for one in made if one.step.value == "backward"] == [
        ("norm", "batch_norm"), ("conv1", "gradient_pruning"),
    ]  # fmt: skip
