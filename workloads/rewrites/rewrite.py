"""What a graph rewrite is: its form in the YAML file, where it matches, and the layers that it makes of a network's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from workloads.errors import InputError
from workloads.kinds import Layer
from workloads.layers import StrictModel
from workloads.network import Network, Node, build_network

# A network has no more layers than this, and a rewrite that is applied more often does not come to an end.
APPLICATION_LIMIT = 5_000


class Rewrite(StrictModel, ABC):
    """A change of the graph as a workload's file declares it, under `rewrites`.

    A class derived from it declares ``method: Literal["name"]`` and its own parameters.

    Attributes:
        claims_equality: Whether the rewritten network computes the same loss and the same gradients of the same
            parameters, bit for bit.
    """

    claims_equality: ClassVar[bool] = False

    method: str

    @abstractmethod
    def matches(self, node: Node, network: Network) -> bool:
        """Tell whether a node is to be rewritten."""

    @abstractmethod
    def apply(self, node: Node, network: Network) -> Sequence[Layer]:
        """Give all layers of the network with this node rewritten, so that it does not match again."""


def rewrite_network(network: Network, rewrites: Sequence[Rewrite], label: str) -> Network:
    """Apply rewrites, one after the other, each as often as it matches.

    Args:
        label: The workload, as messages name it.

    Raises:
        InputError: a rewrite makes layers that are no network, or does not come to an end.
    """
    for index, rewrite in enumerate(rewrites):
        place = f"{label}: rewrites[{index}] '{rewrite.method}'"
        for _ in range(APPLICATION_LIMIT):
            node = next((node for node in network.nodes if rewrite.matches(node, network)), None)
            if node is None:
                break
            network = _build(network, rewrite.apply(node, network), f"{place} at layer '{node.name}'")
        else:
            raise InputError(f"{place}: still matches after {APPLICATION_LIMIT} applications")
    return network


def list_layers(network: Network) -> list[Layer]:
    """List a network's layers, each with what it reads written out, so that their order does not matter."""
    return [node.layer.model_copy(update={"inputs": list(node.inputs)}) for node in network.nodes]


def replace_layer(network: Network, name: str, layers: Sequence[Layer], output: str) -> list[Layer]:
    """List a network's layers with others in the place of one, whose readers read `output`, a layer or ``input``."""
    result: list[Layer] = []
    for layer in list_layers(network):
        if layer.name == name:
            result += layers
        else:
            inputs = [output if source == name else source for source in layer.inputs or ()]
            result.append(layer.model_copy(update={"inputs": inputs}))
    return result


def _build(network: Network, layers: Sequence[Layer], place: str) -> Network:
    return build_network(
        network.name, network.input_shape, layers, locate=lambda index: f"{place} makes '{layers[index].name}'"
    )
