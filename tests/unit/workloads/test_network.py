from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.errors import InputError
from workloads.kinds import Layer
from workloads.kinds.add import Add
from workloads.kinds.avg_pool import AvgPool
from workloads.kinds.batch_norm import BatchNorm
from workloads.kinds.concat import Concat
from workloads.kinds.conv2d import Conv2d
from workloads.kinds.dropout import Dropout
from workloads.kinds.flatten import Flatten
from workloads.kinds.global_avg_pool import GlobalAvgPool
from workloads.kinds.linear import Linear
from workloads.kinds.max_pool import MaxPool
from workloads.kinds.relu import Relu
from workloads.kinds.softmax_cross_entropy import SoftmaxCrossEntropy
from workloads.network import Network, build_network
from workloads.shapes import ConvShape, LinearShape

N, C, H, W = 2, 4, 9, 7

LAYER_KINDS = {
    "conv2d": Conv2d, "linear": Linear, "relu": Relu, "max_pool": MaxPool, "avg_pool": AvgPool,
    "global_avg_pool": GlobalAvgPool, "flatten": Flatten, "dropout": Dropout, "batch_norm": BatchNorm, "add": Add,
    "concat": Concat, "softmax_cross_entropy": SoftmaxCrossEntropy,
}  # fmt: skip


def layer(name: str, kind: str, *inputs: str, **fields: Any) -> Layer:
    made: Layer = LAYER_KINDS[kind](name=name, type=kind, inputs=list(inputs) or None, **fields)
    return made


def conv(name: str, *inputs: str, out_channels: int = C, kernel: int = 1, **fields: Any) -> Layer:
    return layer(name, "conv2d", *inputs, out_channels=out_channels, kernel=kernel, **fields)


def network(*layers: Layer) -> Network:
    return build_network("net", (N, C, H, W), layers)


def output_of(*layers: Layer) -> tuple[int, ...]:
    return network(*layers).nodes[-1].output_shape


def refusal(*layers: Layer) -> str:
    with pytest.raises(InputError) as caught:
        network(*layers)
    return str(caught.value)


def count_windows(length: int, kernel: int, stride: int, padding: int, *, ceil_mode: bool) -> int:
    """Count windows that lie in the padded input, and with ceil_mode a cut one that begins before the end padding."""
    starts = range(-padding, length + padding, stride)
    whole = [start for start in starts if start + kernel <= length + padding]
    reached = whole[-1] + kernel == length + padding
    return len(whole) + int(ceil_mode and not reached and whole[-1] + stride < length)


def test_a_layer_reads_the_one_before_it_unless_it_names_others() -> None:
    net = network(
        conv("a"),
        layer("b", "relu"),
        conv("c", "a"),
        layer(
            "d",
            "add",
            "b",
            "c",
        ),
    )
    assert [node.inputs for node in net.nodes] == [("input",), ("a",), ("a",), ("b", "c")]
    assert net.node("d").input_shapes == ((N, C, H, W), (N, C, H, W))


def test_layers_stay_in_the_order_of_their_declaration() -> None:
    net = network(conv("z"), conv("y", "input"), conv("x", "z"), layer("w", "concat", "x", "y"))
    assert [node.name for node in net.nodes] == ["z", "y", "x", "w"]


def test_a_layer_may_name_one_that_is_declared_later() -> None:
    net = network(
        layer("sum", "add", "late", "early"), conv("early", "input"), conv("late", "early"), conv("end", "sum")
    )
    assert [node.name for node in net.nodes] == ["early", "late", "sum", "end"]


@given(edges=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=14), order=st.permutations(range(8)))
def test_every_layer_comes_after_what_it_reads(edges: list[tuple[int, int]], order: list[int]) -> None:
    reads = {number: sorted({low for low, high in edges if high == number and low < high}) for number in range(8)}
    layers = []
    for number in order:
        sources = [f"n{source}" for source in reads[number]] or ["input"]
        layers.append(layer(f"n{number}", "add", *sources) if len(sources) > 1 else conv(f"n{number}", *sources))
    unread = [f"n{number}" for number in range(8) if not any(number in sources for sources in reads.values())]
    end = [layer("end", "concat", *unread)] if len(unread) > 1 else [layer("end", "relu", *unread)]
    net = network(*layers, *end)
    seen = {"input"}
    for node in net.nodes:
        assert seen.issuperset(node.inputs)
        seen.add(node.name)
    assert seen == {"input", "end", *(one.name for one in layers)}


def test_the_shapes_of_a_convolution_follow_its_geometry() -> None:
    net = network(layer("a", "conv2d", out_channels=6, kernel=[5, 3], stride=2, padding=[1, 0], groups=2))
    shape = ConvShape(N, C, H, W, 6, 5, 3, (2, 2), (1, 0, 1, 0), groups=2)
    assert net.layer_shape("a") == shape
    assert net.nodes[0].output_shape == (N, 6, (H + 2 * 1 - 5) // 2 + 1, (W - 3) // 2 + 1)


def test_the_shapes_of_a_fully_connected_layer_follow_its_features() -> None:
    net = network(layer("flat", "flatten"), layer("fc", "linear", out_features=5))
    assert net.layer_shape("fc") == LinearShape(N, C * H * W, 5)
    assert net.node("fc").output_shape == (N, 5)


@pytest.mark.parametrize("kind", ["relu", "dropout", "batch_norm"])
def test_a_layer_on_elements_keeps_the_shape(kind: str) -> None:
    assert output_of(layer("a", kind)) == (N, C, H, W)


def test_other_layers_shape_their_output_by_rule() -> None:
    assert output_of(layer("a", "global_avg_pool")) == (N, C, 1, 1)
    assert output_of(layer("a", "flatten")) == (N, C * H * W)
    assert output_of(conv("a", out_channels=3), layer("b", "concat", "a", "input")) == (N, 3 + C, H, W)
    assert output_of(layer("a", "flatten"), layer("loss", "softmax_cross_entropy")) == ()


@given(
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)), stride=st.none() | st.integers(1, 4), data=st.data(),
    ceil_mode=st.booleans(),
)  # fmt: skip
def test_a_pool_has_as_many_windows_as_can_be_counted(
    kernel: tuple[int, int], stride: int | None, data: st.DataObject, ceil_mode: bool
) -> None:
    padding = [data.draw(st.integers(0, size // 2)) for size in kernel]
    fields: dict[str, Any] = {"kernel": list(kernel), "stride": stride, "padding": padding}
    windows = {
        mode: tuple(
            count_windows(length, size, stride or size, pad, ceil_mode=mode)
            for length, size, pad in zip((H, W), kernel, padding, strict=True)
        )
        for mode in (False, True)
    }
    assert output_of(layer("a", "max_pool", ceil_mode=ceil_mode, **fields))[2:] == windows[ceil_mode]
    assert output_of(layer("a", "avg_pool", **fields))[2:] == windows[False]


def test_accelerated_layers_are_convolutions_and_fully_connected_ones() -> None:
    net = network(conv("a"), layer("b", "relu"), layer("c", "flatten"), layer("d", "linear", out_features=2))
    assert [node.name for node in net.compute_nodes()] == ["a", "d"]
    with pytest.raises(ValueError, match=r"^'b' is a relu layer; only conv2d, .* and matmul have a geometry$"):
        net.layer_shape("b")


def test_the_loss_is_the_last_node_or_there_is_none() -> None:
    loss = layer("loss", "softmax_cross_entropy")
    assert network(layer("a", "flatten"), loss).loss_nodes() == network(layer("a", "flatten"), loss).nodes[-1:]
    assert network(layer("a", "flatten")).loss_nodes() == ()


def test_consumers_are_the_nodes_that_read_an_output() -> None:
    net = network(conv("a"), conv("b", "a"), layer("c", "add", "a", "b"))
    assert [node.name for node in net.consumers("a")] == ["b", "c"]
    assert [node.name for node in net.consumers("input")] == ["a"]
    assert net.consumers("c") == ()


@pytest.mark.parametrize(
    ("between", "is_behind"),
    [
        ([], True),
        ([("max_pool", {"kernel": 2})], True),
        ([("avg_pool", {"kernel": 2})], True),
        ([("global_avg_pool", {})], True),
        ([("dropout", {})], True),
        ([("max_pool", {"kernel": 2}), ("dropout", {}), ("avg_pool", {"kernel": 2})], True),
        ([("batch_norm", {})], False),
        ([("max_pool", {"kernel": 2}), ("batch_norm", {}), ("dropout", {})], False),
        ([("conv2d", {"kernel": 1, "out_channels": 1})], False),
        ([("batch_norm", {}), ("relu", {})], True),
    ],
)
def test_a_relu_is_seen_through_what_hands_its_zeros_on(between: list[tuple[str, Any]], is_behind: bool) -> None:
    middle = [layer(f"m{number}", kind, **fields) for number, (kind, fields) in enumerate(between)]
    net = network(conv("first"), layer("relu", "relu"), *middle, conv("last"))
    assert net.is_behind_relu("last") is is_behind
    assert not net.is_behind_relu("first")


def test_a_relu_is_seen_through_flatten() -> None:
    net = network(conv("a"), layer("relu", "relu"), layer("flat", "flatten"), layer("fc", "linear", out_features=2))
    assert net.is_behind_relu("fc")


@pytest.mark.parametrize(
    ("joined", "kind", "is_behind"),
    [
        (("r1", "r2"), "concat", True),
        (("r1", "b"), "concat", False),
        (("b", "r2"), "concat", False),
        (("r1", "r2"), "add", False),
    ],
)
def test_a_concat_hands_zeros_on_only_if_all_its_inputs_do(joined: tuple[str, str], kind: str, is_behind: bool) -> None:
    net = network(
        conv("a"),
        layer("r1", "relu", "a"),
        conv("b", "a"),
        layer("r2", "relu", "b"),
        layer("join", kind, *joined),
        conv("c", "join"),
        layer("end", "concat", "c", "r1", "r2", "b"),
    )
    assert net.is_behind_relu("c") is is_behind


def test_a_place_is_the_layers_own_unless_another_is_given() -> None:
    layers = [conv("a"), layer("b", "conv2d", out_channels=1, kernel=20)]
    message = "the kernel of 20 x 20 is larger than the padded input of 9 x 7; the input's shape is (2, 4, 9, 7)"
    assert refusal(*layers) == f"layers[1] 'b': {message}"
    with pytest.raises(InputError) as caught:
        build_network("net", (N, C, H, W), layers, locate=lambda index: f"line {10 + index}")
    assert str(caught.value) == f"line 11: {message}"


def test_a_cycle_is_told_from_its_first_layer() -> None:
    layers = [conv("a"), conv("x", "d"), *(conv(high, low) for low, high in pairwise("xbcd")), conv("e", "a")]
    assert refusal(*layers) == "layers[1] 'x': the layers form a cycle: 'x' reads 'd' reads 'c' reads 'b' reads 'x'"


def test_a_layer_behind_a_cycle_is_not_blamed_for_it() -> None:
    layers = [conv("a", "c"), conv("b", "c"), conv("c", "b")]
    assert refusal(*layers) == "layers[1] 'b': the layers form a cycle: 'b' reads 'c' reads 'b'"


@pytest.mark.parametrize("kind", ["global_avg_pool", "max_pool"])
def test_a_layer_on_images_refuses_features(kind: str) -> None:
    fields = {"kernel": 1} if kind == "max_pool" else {}
    assert refusal(layer("flat", "flatten"), layer("a", kind, **fields)) == (
        f"layers[1] 'a': {kind} reads (batch, channels, height, width), but its input has the shape {(N, C * H * W)}"
    )


def test_flatten_refuses_what_has_one_axis_alone() -> None:
    assert refusal(layer("flat", "flatten"), layer("a", "flatten")) == (
        f"layers[1] 'a': flatten joins two axes or more behind the batch, but its input has the shape {(N, C * H * W)}"
    )


def test_a_loss_reads_images_and_features() -> None:
    assert output_of(layer("loss", "softmax_cross_entropy")) == ()
    assert output_of(layer("flat", "flatten"), layer("loss", "softmax_cross_entropy")) == ()


def test_only_losses_may_be_unread_where_there_is_one() -> None:
    loss = layer("loss", "softmax_cross_entropy", "a")
    aside = layer("aside", "relu", "a")
    assert refusal(conv("a"), aside, loss) == (
        "layers[1] 'aside': no layer reads its output; only the loss 'loss' may be unread"
    )
    assert refusal(conv("a"), loss, aside, layer("more", "softmax_cross_entropy", "a", weight=0.5)) == (
        "layers[2] 'aside': no layer reads its output; only the losses loss, more may be unread"
    )


def test_nothing_reads_a_loss() -> None:
    loss = layer("loss", "softmax_cross_entropy")
    assert (
        refusal(conv("a"), loss, layer("b", "relu")) == "layers[2] 'b': reads the loss 'loss'; no layer can read a loss"
    )


def test_a_loss_may_stand_anywhere() -> None:
    made = network(
        conv("a"), layer("aux", "softmax_cross_entropy"), conv("b", "a"), layer("main", "softmax_cross_entropy")
    )
    assert [node.name for node in made.loss_nodes()] == ["aux", "main"]
    assert [node.name for node in made.gradient_sources("a")] == ["aux", "b"]


def test_a_tensor_beyond_the_limit_is_refused() -> None:
    assert refusal(layer("flat", "flatten"), layer("fc", "linear", out_features=2**24)) == (
        f"layers[1] 'fc': its weights of shape {(2**24, C * H * W)} would have more than {2**31} elements"
    )
    with pytest.raises(InputError) as caught:
        build_network("net", (2**20, 2**12, 1, 1), [conv("a", out_channels=1)])
    assert str(caught.value) == (
        f"layers[0] 'a': its input of shape {(2**20, 2**12, 1, 1)} would have more than {2**31} elements"
    )
