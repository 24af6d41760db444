"""Graph rewrites: where they match, what they make, and that what claims to be equal is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from workloads.conformance import ConformanceError, check_rewrite
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.kinds import Layer
from workloads.kinds.dropout import Dropout
from workloads.kinds.relu import Relu
from workloads.network import Network, Node
from workloads.rewrites import rewrite as rewrite_room
from workloads.rewrites.equality import find_difference
from workloads.rewrites.idle_dropout import RemoveIdleDropout
from workloads.rewrites.rewrite import Rewrite, list_layers, replace_layer, rewrite_network
from workloads.workload import Workload, make_workload
from workloads.yaml_file import parse_yaml

NET = """\
name: small
batch: 2
input: {channels: 1, height: 4, width: 4}
layers:
  - {name: drop0, type: dropout, rate: 0.0}
  - {name: conv1, type: conv2d, out_channels: 2, kernel: 3}
  - {name: relu1, type: relu}
  - {name: drop1, type: dropout, rate: 0.0}
  - {name: drop2, type: dropout, rate: 0.0}
  - {name: drop3, type: dropout, rate: 0.5}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 3}
  - {name: loss, type: softmax_cross_entropy}
operands: {source: synthetic, seed: 1, density: {input: 0.5}}
"""
IDLE = RemoveIdleDropout(method="remove_idle_dropout")
REWRITTEN = NET + "rewrites: [{method: remove_idle_dropout}]\n"


def make(text: str) -> Workload:
    return make_workload(parse_yaml(text, "net.yaml"), Path())


def test_dropout_that_drops_nothing_is_removed_and_nothing_else() -> None:
    network = make(REWRITTEN).network
    assert [(node.name, *node.inputs) for node in network.nodes] == [
        ("conv1", "input"), ("relu1", "conv1"), ("drop3", "relu1"), ("flat", "drop3"), ("fc", "flat"), ("loss", "fc"),
    ]  # fmt: skip


def test_dropout_beside_which_its_input_is_read_stays() -> None:
    text = NET.partition("  - {name: drop2")[0] + "  - {name: sum, type: add, inputs: [relu1, drop1]}\n"
    network = make(text + "rewrites: [{method: remove_idle_dropout}]\n").network
    assert [node.name for node in network.nodes] == ["conv1", "relu1", "drop1", "sum"]


def test_the_shipped_rewrite_keeps_its_laws() -> None:
    check_rewrite(IDLE, make(NET))


def test_a_rewritten_workload_is_written_back_as_it_was_declared() -> None:
    made = make(REWRITTEN)
    resolved = made.resolved()
    assert [layer["name"] for layer in resolved["layers"]] == [node.name for node in make(NET).network.nodes]
    again = make_workload(YamlDocument("again", resolved), Path())
    assert (again.network, again.resolved()) == (made.network, resolved)


def test_a_network_that_is_not_rewritten_is_the_same_object_of_layers() -> None:
    network = make(NET).network
    assert rewrite_network(network, (), "net.yaml") is network
    assert [layer.inputs for layer in list_layers(network)] == [list(node.inputs) for node in network.nodes]


class WithoutDropout(Rewrite):
    """Claims that dropout does nothing."""

    claims_equality: ClassVar[bool] = True

    method: Literal["without_dropout"]

    def matches(self, node: Node, network: Network) -> bool:
        return isinstance(node.layer, Dropout) and bool(network.consumers(node.name))

    def apply(self, node: Node, network: Network) -> Sequence[Layer]:
        return replace_layer(network, node.name, (), node.inputs[0])


class Endless(Rewrite):
    """Renames a ReLU for ever; or makes of it, where it is broken, what is no network."""

    method: Literal["endless"]
    broken: bool = False

    def matches(self, node: Node, network: Network) -> bool:  # noqa: ARG002
        return isinstance(node.layer, Relu)

    def apply(self, node: Node, network: Network) -> Sequence[Layer]:
        name = "loss" if self.broken else f"{node.name[:5]}{'x' * (len(node.name) % 2)}"
        return replace_layer(network, node.name, [Relu(type="relu", name=name, inputs=list(node.inputs))], name)


def test_an_equality_that_does_not_hold_is_refused() -> None:
    with pytest.raises(ConformanceError, match=r"^the rewrite 'without_dropout': claims equality, but changes the "):
        check_rewrite(WithoutDropout(method="without_dropout"), make(NET))


def test_a_rewrite_that_finds_nothing_shows_nothing() -> None:
    with pytest.raises(ConformanceError) as caught:
        check_rewrite(IDLE, make(REWRITTEN))
    assert str(caught.value) == "the rewrite 'remove_idle_dropout': matches no layer of net.yaml"


def test_networks_of_other_parameters_differ() -> None:
    assert find_difference(make(NET).network, make(NET.replace("kernel: 3", "kernel: 1")).network) == "the parameters"


def test_a_rewrite_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrite_room, "APPLICATION_LIMIT", 20)
    with pytest.raises(InputError) as caught:
        rewrite_network(make(NET).network, [IDLE, Endless(method="endless")], "net.yaml")
    assert str(caught.value) == "net.yaml: rewrites[1] 'endless': still matches after 20 applications"


def test_layers_that_are_no_network_are_refused_with_the_rewrite_that_made_them() -> None:
    with pytest.raises(InputError) as caught:
        rewrite_network(make(NET).network, [Endless(method="endless", broken=True)], "net.yaml")
    assert str(caught.value).startswith(
        "net.yaml: rewrites[0] 'endless' at layer 'relu1' makes 'loss': the name is taken"
    )
