"""Where the gradients of branches are summed, and the passes that this takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from sim.step.stored_tensors import StoredBytes, size_gradient, size_output
from workloads.gradient_shares import find_gradient
from workloads.host import initial_parameters, run_iteration
from workloads.kinds import Layer
from workloads.network import Network, build_network
from workloads.passes import ElementwisePass, PassStep, list_passes
from workloads.settings import Density
from workloads.sources.synthetic import SyntheticOperands, make_synthetic_layer
from workloads.workload import load_workload

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
N, C, H, W = 2, 4, 6, 8
ELEMENTS = N * C * H * W


def layer(name: str, kind: str, *inputs: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **({"inputs": list(inputs)} if inputs else {}), **fields}


def conv(name: str, *inputs: str) -> dict[str, Any]:
    return layer(name, "conv2d", *inputs, out_channels=C, kernel=3, padding=1, bias=False)


def network(*layers: dict[str, Any]) -> Network:
    return build_network("net", (N, C, H, W), LAYERS.validate_python(list(layers)))


def sums(net: Network) -> dict[str, tuple[str, ...]]:
    found = {node.name: net.summed_gradients(node.name) for node in net.nodes}
    return {name: gradients for name, gradients in found.items() if gradients}


def backward_passes(net: Network) -> dict[tuple[str, str], ElementwisePass]:
    return {(made.node, made.kind): made for made in list_passes(net) if made.step is PassStep.BACKWARD}


RESIDUAL = (
    conv("stem"), layer("start", "relu"),
    conv("conv1"), layer("bn1", "batch_norm"), layer("relu1", "relu"),
    conv("conv2"), layer("bn2", "batch_norm"), layer("sum", "add", "bn2", "start"), layer("relu2", "relu"),
    conv("after"),
)  # fmt: skip


def test_a_chain_sums_nothing() -> None:
    net = network(conv("a"), layer("b", "relu"), conv("c"), layer("d", "max_pool", kernel=2), conv("e"))
    assert sums(net) == {}
    assert not any(net.unsummed_gradients(node.name) for node in net.nodes)


def test_behind_a_residual_sum_the_gta_of_the_branch_adds_the_gradient_of_the_shortcut() -> None:
    assert sums(network(*RESIDUAL)) == {"conv1": ("sum",)}


def test_of_two_layers_the_first_declared_writes_last_and_adds_the_gradient_so_far() -> None:
    net = network(conv("stem"), conv("a"), conv("b", "stem"), layer("c", "add", "a", "b"))
    assert sums(net) == {"a": ("stem",)}


def test_an_inception_module_adds_up_branch_by_branch() -> None:
    net = network(
        conv("stem"), layer("start", "relu"), conv("one"), conv("two", "start"), conv("three"),
        layer("pool", "avg_pool", "start", kernel=3, stride=1, padding=1), conv("four"),
        layer("join", "concat", "one", "three", "four"),
    )  # fmt: skip
    assert sums(net) == {"two": ("start",), "one": ("start",)}


def test_a_pass_that_does_not_write_first_adds_too() -> None:
    net = network(
        conv("stem"), layer("pool", "max_pool", kernel=3, stride=1, padding=1), conv("a", "stem"),
        layer("end", "add", "pool", "a"),
    )  # fmt: skip
    assert sums(net) == {"pool": ("stem",)}
    assert backward_passes(net)["pool", "max_pool"].reads_gradients == ("end", "stem")


def test_several_shares_that_nobody_wrote_are_all_added_by_the_first_that_writes() -> None:
    net = network(
        conv("stem"), conv("a"), layer("b", "add", "a", "stem"), layer("c", "batch_norm"),
        layer("d", "add", "c", "stem"),
    )  # fmt: skip
    assert sums(net) == {"a": ("d", "b")}


def test_shares_that_nobody_writes_are_summed_by_a_pass_of_their_own() -> None:
    net = network(
        conv("stem"), conv("other", "input"), layer("a", "add", "stem", "other"), layer("b", "batch_norm"),
        layer("end", "add", "b", "stem"),
    )  # fmt: skip
    assert sums(net) == {}
    assert net.unsummed_gradients("stem") == ("end", "a")
    assert backward_passes(net)["stem", "gradient_sum"] == ElementwisePass(
        "stem", "gradient_sum", PassStep.BACKWARD, ELEMENTS, reads_gradients=("end", "a"), writes_gradients=("stem",)
    )


def test_a_share_that_comes_after_all_that_is_written_takes_a_pass() -> None:
    net = network(
        conv("stem"), conv("other", "input"), layer("early", "add", "other", "stem"), conv("late", "stem"),
        layer("end", "add", "early", "late"),
    )  # fmt: skip
    assert sums(net) == {}
    assert net.unsummed_gradients("stem") == ("stem", "early")


def test_gradients_that_nobody_wants_are_not_summed() -> None:
    net = network(conv("a", "input"), conv("b", "input"), layer("end", "add", "a", "b"))
    assert sums(net) == {}
    assert net.unsummed_gradients("input") == ()


def test_a_sum_hands_its_gradient_on_without_a_copy() -> None:
    net = network(*RESIDUAL)
    assert find_gradient(net, "bn2") == find_gradient(net, "sum") == "relu2"
    assert find_gradient(net, "start") == "start"
    made = backward_passes(net)
    assert set(made) == {("bn2", "batch_norm"), ("bn1", "batch_norm")}
    assert made["bn2", "batch_norm"] == ElementwisePass(
        "bn2", "batch_norm", PassStep.BACKWARD, 2 * ELEMENTS, reads=("conv2", "conv2"),
        reads_gradients=("relu2", "relu2"), writes_gradients=("conv2",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "fields", "row_bytes"),
    [("avg_pool", {"kernel": 2}, -(-W // 8)), ("global_avg_pool", {}, -(-W // 8)), ("max_pool", {"kernel": 2}, 0)],
)
def test_an_average_is_handed_back_through_the_mask_of_a_relu(kind: str, fields: Any, row_bytes: int) -> None:
    behind = network(conv("a"), layer("b", "relu"), layer("pool", kind, **fields))
    assert backward_passes(behind)["pool", kind].mask_bytes == N * C * H * row_bytes
    assert backward_passes(network(conv("a"), layer("pool", kind, **fields)))["pool", kind].mask_bytes == 0


def test_a_part_of_a_concatenation_has_its_share_of_the_bytes() -> None:
    wide = layer("b", "conv2d", "stem", out_channels=3 * C, kernel=1)
    net = network(
        conv("stem"), layer("a", "batch_norm"), layer("ra", "relu"), wide, layer("rb", "relu"),
        layer("join", "concat", "ra", "rb"), conv("next"), layer("end", "relu"),
    )  # fmt: skip
    stored = {name: StoredBytes() for name in ("stem", "b")} | {"next": StoredBytes(input=1001, grad_input=802)}
    assert size_output(net, "ra", stored, 16) == -(-1001 // 4)
    assert size_gradient(net, "ra", stored, 16) == -(-802 // 4)
    assert size_gradient(net, "rb", stored, 16) == -(-802 * 3 // 4)
    assert size_output(net, "a", {**stored, "next": StoredBytes()}, 16) == ELEMENTS * 2


def test_synthetic_operands_have_the_gradients_that_are_added() -> None:
    source = SyntheticOperands(source="synthetic", seed=1, density=Density(grad_output=0.5), integers=True)
    net = network(*RESIDUAL)
    (gradient,) = make_synthetic_layer(net, source, "conv1").summed
    assert gradient.shape == (N, C, H, W)
    assert 0.3 < np.count_nonzero(gradient) / gradient.size < 0.7
    assert make_synthetic_layer(net, source, "conv2").summed == ()


def test_behind_a_relu_a_gradient_is_stored_with_its_mask_but_that_of_a_sum_is_not() -> None:
    branches = (conv("left"), conv("right", "relu2"), layer("end", "add", "left", "right"))
    ending = (layer("flat", "flatten"), layer("fc", "linear", out_features=3), layer("loss", "softmax_cross_entropy"))
    net = network(*RESIDUAL[:-1], *branches, *ending)
    images = np.random.default_rng(3).standard_normal((N, C, H, W))
    iteration = run_iteration(net, initial_parameters(net, 1), images, np.array([0, 2]), seed=1)
    operands = {one.layer: one for one in iteration.operands()}
    for name, is_masked in (("left", True), ("conv1", False)):
        (gradient,), mask = operands[name].summed, operands[name].mask
        assert mask is not None
        assert gradient[mask].any()
        assert bool(gradient[~mask].any()) is not is_masked


@pytest.mark.parametrize(
    ("name", "adding"),
    [("resnet18", 8), ("resnet34", 16), ("resnet50", 16), ("resnet152", 50), ("resnet20", 9), ("vgg16", 0),
     # Modules of 3, 2 or 3 branches that begin with a convolution, pooling beside it; the two splits of a module E.
     ("inception_v3", 3 * 3 + 2 + 4 * 3 + 2 + 2 * 5)],
)  # fmt: skip
def test_the_gta_of_every_branch_but_the_first_to_write_adds(name: str, adding: int) -> None:
    net = load_workload(name).network
    assert set(sums(net)) <= {node.name for node in net.compute_nodes()}
    assert len(sums(net)) == adding
    assert not any(net.unsummed_gradients(node.name) for node in net.nodes)


def split(name: str, sizes: list[int], part: int, axis: int = 1) -> dict[str, Any]:
    return layer(name, "split", "stem", sizes=sizes, part=part, axis=axis)


@pytest.mark.parametrize(
    ("first", "second", "is_summed"),
    [
        (split("one", [1, 3], 0), split("two", [1, 3], 1), False),
        (split("one", [2, 1, 1], 0), split("two", [3, 1], 1), False),
        (split("one", [1, 3], 1), split("two", [1, 3], 1), True),
        (split("one", [3, 1], 0), split("two", [1, 3], 1), True),
        (split("one", [1, 3], 0), split("two", [2, 4], 1, axis=2), True),
    ],
    ids=["all parts", "parts with a gap", "the same part twice", "parts that overlap", "parts along two axes"],
)
def test_parts_that_share_elements_are_summed_and_others_are_not(
    first: dict[str, Any], second: dict[str, Any], is_summed: bool
) -> None:
    ends = [{**conv(name, read), "kernel": 1, "padding": 0} for name, read in (("a", "one"), ("b", "two"))]
    means = [layer(f"{end['name']}_mean", "global_avg_pool", end["name"]) for end in ends]
    net = network(conv("stem"), first, second, *ends, *means, layer("sum", "add", "a_mean", "b_mean"))
    made = next((found for (node, _), found in backward_passes(net).items() if node == "stem"), None)
    assert net.unsummed_gradients("stem") == (("two", "one") if is_summed else ())
    assert (made is not None) == is_summed
    if made is not None:
        assert (made.elements, made.reads_gradients, made.writes_gradients) == (ELEMENTS, ("two", "one"), ("stem",))
