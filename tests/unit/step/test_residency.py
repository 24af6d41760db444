"""What stays in the buffer between a step or pass and the next: which tensors, and what they save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter
from random_graphs import make_random_network

from dataflows.contract.memory import Kept
from sim.architecture import Architecture, load_architecture
from sim.step.pass_run import list_machine_iteration
from sim.step.residency import (
    NO_STAY,
    Item,
    Measurer,
    Residency,
    Stay,
    decide,
    find_raw,
    find_residency,
    list_later_needs,
    make_item,
)
from workloads.gradient_shares import GradientShare
from workloads.kinds import Layer
from workloads.network import Network, build_network
from workloads.pass_traffic import MovedTensor
from workloads.passes import LayerStep
from workloads.shapes import Step
from workloads.step_traffic import list_step_traffic

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
N, C, H = 2, 4, 6
RAW = N * C * H * H * 2
KEEPING = load_architecture("sparsetrain", ("buffer.keep_on_chip=true",))


def layer(name: str, kind: str, *inputs: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **({"inputs": list(inputs)} if inputs else {}), **fields}


def conv(name: str, *inputs: str) -> dict[str, Any]:
    return layer(name, "conv2d", *inputs, out_channels=C, kernel=3, padding=1, bias=False)


def network(*layers: dict[str, Any]) -> Network:
    return build_network("net", (N, C, H, H), LAYERS.validate_python(list(layers)))


def find(net: Network, machine: Architecture = KEEPING) -> Residency:
    return find_residency(net, machine, list_machine_iteration(net, machine))


def with_capacity(capacity: int | None, *more: str) -> Architecture:
    size = "null" if capacity is None else capacity
    return load_architecture("sparsetrain", ("buffer.keep_on_chip=true", f"buffer.capacity_bytes={size}", *more))


CHAIN = (conv("conv1"), layer("relu1", "relu"), conv("conv2"), layer("bn2", "batch_norm"), layer("relu2", "relu"))


def test_the_gradient_that_is_handed_on_goes_to_the_step_that_follows_and_is_written_nowhere() -> None:
    words = find(network(*CHAIN, conv("conv3"))).words
    assert words == {
        ("conv1", "", "forward"): "(output)",
        ("conv2", "", "forward"): "input+(output)",
        ("bn2", "batch_norm", "forward"): "input+(output)",
        ("conv3", "", "forward"): "input",
        # bn2's backward pass is the only one that reads what conv3's GTA writes; conv2's GTW and GTA both read its own.
        ("conv3", "", "gta"): "output",
        ("bn2", "batch_norm", "backward"): "input+(output)",
        ("conv2", "", "gtw"): "grad_output",
        ("conv2", "", "gta"): "output",
        ("conv1", "", "gtw"): "grad_output",
    }


def test_steps_have_the_room_that_is_left() -> None:
    shares = find(network(*CHAIN, conv("conv3"))).shares
    capacity = KEEPING.buffer.capacity_bytes if KEEPING.buffer else None
    assert capacity is not None
    assert shares["conv1", "forward"].capacity_bytes == capacity - RAW
    assert shares["conv2", "forward"].capacity_bytes == capacity - 2 * RAW
    assert shares["conv2", "forward"].kept == Kept(frozenset(["input"]), resident_bytes=2 * RAW)
    assert shares["conv2", "gta"].kept == Kept(has_result=True, resident_bytes=RAW)
    assert shares["conv2", "gtw"].kept == Kept(frozenset(["grad_output"]), resident_bytes=RAW)


def test_a_tensor_that_leaves_too_little_room_does_not_stay() -> None:
    net = network(conv("conv1"), layer("relu1", "relu"), conv("conv2"))
    assert find(net, with_capacity(RAW - 1)).words == {}
    assert find(net, with_capacity(RAW)).words == {}
    assert find(net, with_capacity(4 * RAW)).words != {}
    assert set(find(net, with_capacity(None)).words) == set(find(net).words)


def test_where_branches_meet_the_share_that_was_just_written_is_added_from_the_buffer() -> None:
    net = network(conv("stem"), layer("start", "relu"), conv("a", "start"), conv("b", "start"),
                  layer("add", "add", "a", "b"), layer("end", "relu"), conv("after"))  # fmt: skip
    residency = find(net)
    # b's GTA leaves a share that a's GTA adds, but a's GTW lies between.
    assert ("b", "gta") not in residency.shares
    pool = layer("pool", "avg_pool", "start", kernel=3, padding=1, stride=1)
    plain = network(conv("stem"), layer("start", "relu"), pool, conv("b", "start"), layer("add", "add", "pool", "b"))
    assert find(plain).words["b", "", "gta"] == "output"
    assert find(plain).words["pool", "avg_pool", "backward"].startswith("input")


def test_a_fully_connected_output_is_read_raw_where_it_stays() -> None:
    net = network(layer("flat", "flatten"), layer("fc1", "linear", out_features=6), layer("relu", "relu"),
                  layer("fc2", "linear", out_features=5))  # fmt: skip
    shares = find(net).shares
    assert shares["fc2", "forward"].kept.raw == frozenset(["input"])
    assert shares["fc1", "gtw"].kept.raw == frozenset(["grad_output"])
    chain = find(network(*CHAIN, conv("conv3"))).shares
    assert all(not share.kept.raw for share in chain.values())


def test_machines_without_the_switch_or_without_memory_keep_nothing() -> None:
    net = network(*CHAIN)
    for machine in (load_architecture("sparsetrain", ("buffer.keep_on_chip=false",)), load_architecture("ideal")):
        assert find(net, machine) == Residency()
    assert find(net, KEEPING.without_skipping()).words == find(net).words


def test_what_later_steps_need_is_told_through_views_concatenations_and_masks() -> None:
    net = network(conv("a"), conv("b", "input"), layer("cat", "concat", "a", "b"), layer("relu", "relu"),
                  layer("pool", "global_avg_pool"), layer("fc", "linear", out_features=3))  # fmt: skip
    items = [make_item(net, one) for one in list_machine_iteration(net, KEEPING)]
    needs = items[[item.one for item in items].index(LayerStep("fc", Step.GTW))].needs
    assert "pool" in needs
    backward = next(item for item in items if not isinstance(item.one, LayerStep) and item.one.step == "backward")
    # The average's way back takes the mask of the ReLU behind the concatenation of both.
    assert {"relu", "cat", "a", "b"} <= backward.needs
    grad_a = next(item for item in items if item.one == LayerStep("a", Step.GTW))
    assert GradientShare("cat") in grad_a.needs or GradientShare("relu") in grad_a.needs


def test_steps_name_the_shares_that_they_write_and_add() -> None:
    net = network(conv("stem"), conv("a", "stem"), conv("b", "stem"), layer("add", "add", "a", "b"))
    last, first = (list_step_traffic(net, LayerStep(name, Step.GTA)) for name in ("b", "a"))
    assert last.writes == GradientShare("stem", ("b", 0))
    assert (first.writes, first.summed) == (GradientShare("stem"), 1)
    assert first.reads[-1] == (0, last.writes)
    assert list_step_traffic(net, LayerStep("a", Step.GTW)).writes is None


def measure_all(machine: Architecture, net: Network) -> tuple[list[Item], list[Stay], Measurer]:
    order = list_machine_iteration(net, machine)
    items, memory = [make_item(net, one) for one in order], machine.describe_memory()
    assert memory is not None
    from dataflows.sparsetrain.dataflow import RowConvolution

    measurer = Measurer(net, machine, memory, RowConvolution(), find_raw(net, items))
    return items, decide(items, measurer.size, memory.capacity_bytes, measurer.measure), measurer


@pytest.mark.parametrize("fuses", ["false", "true"])
@pytest.mark.parametrize("seed", range(12))
def test_on_random_networks_no_pair_moves_more_and_all_that_is_needed_is_written(seed: int, fuses: str) -> None:
    net = make_random_network(seed)
    for capacity in (700, 1500, 4000, 100_000):
        machine = with_capacity(capacity, f"ppu.fuse_passes={fuses}")
        items, stays, measurer = measure_all(machine, net)
        later = list_later_needs(items)
        plain = [measurer.measure(item, NO_STAY) for item in items]
        kept = [measurer.measure(item, stay) for item, stay in zip(items, stays, strict=True)]
        for size, less, stay in zip(plain, kept, stays, strict=True):
            assert stay.resident_bytes <= capacity
            assert (less is None) == (size is None) or stay != NO_STAY
        if None not in plain and None not in kept:
            assert sum(filter(None, kept)) <= sum(filter(None, plain))
        for place, (item, stay) in enumerate(zip(items, stays, strict=True)):
            assert stay.writes <= set(item.writes)
            assert stay.reads <= set(item.reads)
            after = stays[place + 1].reads if place + 1 < len(stays) else frozenset()
            assert stay.writes == after
            for tensor in stay.writes:
                assert (tensor in stay.unwritten) == (tensor not in later[place + 1])
            sizes = [measurer.size(tensor) for tensor in (*stay.reads, *stay.writes)]
            assert stay.resident_bytes == sum(sizes)


def keep(name: str, reads: Sequence[str], writes: Sequence[str]) -> Item:
    """Make an item of tensors alone."""
    return Item(LayerStep(name, Step.FORWARD), None, tuple(reads), tuple(writes), frozenset(reads))


SIZES: dict[MovedTensor, int] = {"x": 10, "y": 20, "z": 30}


def count_bytes(item: Item, stay: Stay) -> int | None:
    """Count the bytes of tensors that are moved; a step that has less than 40 left moves 100 more."""
    if stay.resident_bytes > 60:
        return None
    moved = sum(SIZES[one] for one in item.reads if one not in stay.reads)
    moved += sum(SIZES[one] for one in item.writes if one not in stay.unwritten)
    return moved + (100 if stay.resident_bytes > 40 else 0)


def test_pairs_are_decided_one_after_the_other_with_what_stays_already() -> None:
    items = [keep("a", [], ["x", "y"]), keep("b", ["x", "y"], ["z"]), keep("c", ["z", "x"], [])]
    stays = decide(items, SIZES.__getitem__, 100, count_bytes)
    # x is read again, so that it is written; with both of them b has 30 bytes taken, and no room for z at this price.
    assert stays[0] == Stay(30, frozenset(), frozenset(["x", "y"]), frozenset(["y"]))
    assert stays[1] == Stay(30, frozenset(["x", "y"]))
    assert stays[2] == NO_STAY
    alone = decide([replace(items[1], reads=(), needs=frozenset()), items[2]], SIZES.__getitem__, 100, count_bytes)
    assert alone == [Stay(30, writes=frozenset(["z"]), unwritten=frozenset(["z"])), Stay(30, frozenset(["z"]))]
    assert decide(items, SIZES.__getitem__, 9, count_bytes) == [NO_STAY] * 3
