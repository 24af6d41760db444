"""Where gradients are pruned, read off the graph, and which layer's backward work writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from workloads.network import Network, Node
from workloads.shapes import Step


class PruningPlace(StrEnum):
    """Why a gradient is pruned where it is."""

    BEHIND_MASK = "behind_mask"
    BATCH_NORM = "batch_norm"
    FOR_GTA = "for_gta"


@dataclass(frozen=True, slots=True)
class PruningSite:
    """The gradient to the output of `node` is pruned, as `writer` writes it (see `find_gradient_writer`)."""

    node: str
    writer: str
    place: PruningPlace


def find_pruning_sites(network: Network) -> dict[str, PruningSite]:
    """Find every pruned gradient, keyed by the node to whose output it is, in the network's order.

    Behind the mask: what a convolution or fully connected layer reads comes out of a ReLU (its grad_input). Batch norm:
    it, another normalisation or a softmax reads the output. In both cases only where the gradient becomes a grad_output
    of a convolution or fully connected layer with none of these on its way, for they would make it dense again. The
    gradient of the loss is not pruned.
    """
    sites: dict[str, PruningSite] = {}
    reaching = _find_reaching(network)
    for node in network.nodes:
        readers = network.consumers(node.name)
        if node.name not in reaching:
            continue
        if any(
            reader.layer.traits.is_computed and network.is_behind_relu(reader.name, node.name) for reader in readers
        ):
            place = PruningPlace.BEHIND_MASK
        elif any(reader.layer.traits.densifies_gradient for reader in readers):
            place = PruningPlace.BATCH_NORM
        else:
            continue
        sites[node.name] = PruningSite(node.name, find_gradient_writer(network, node.name), place)
    return sites


def find_copy_sites(network: Network) -> dict[str, PruningSite]:
    """Find every layer whose GTA reads a pruned copy of the gradient to its output, where GTA alone is pruned for.

    Those are the layers with a GTA that would read a pruned gradient: on its way to them lies a pruned one's site. The
    copy is written by a pass of its own.
    """
    sites = find_pruning_sites(network)
    return {
        node.name: PruningSite(node.name, node.name, PruningPlace.FOR_GTA)
        for node in network.compute_nodes()
        if Step.GTA in network.list_steps(node.name) and _comes_from(network, node.name, sites)
    }


def _comes_from(network: Network, name: str, sites: Mapping[str, PruningSite]) -> bool:
    """Tell whether the gradient to a node's output is handed back from a site, or is one."""
    if name in sites:
        return True
    return any(
        _comes_from(network, reader.name, sites)
        for reader in network.consumers(name)
        if not (reader.layer.traits.is_computed or reader.layer.traits.densifies_gradient)
    )


def find_gradient_writer(network: Network, name: str) -> str:
    """Name what completes the gradient to a node's output: a layer that reads it, or the node itself.

    That is the last one to write a share of it (`Network.gradient_sources`), where branches meet with their sum. The
    node itself stands for the pass that adds what no reader does (`Network.unsummed_gradients`).
    """
    writers = [reader.name for reader in network.gradient_sources(name) if network.writes_gradient(reader.name, name)]
    return writers[-1] if writers and not network.unsummed_gradients(name) else name


def completes_factor(node: Node, source: str) -> bool:
    """Tell whether a layer completes the gradient to what it reads as that to its second factor, in its GTW."""
    return source in node.inputs[1:]


def _find_reaching(network: Network) -> frozenset[str]:
    """Name the nodes the gradient to whose output becomes a layer's grad_output without passing a batch norm."""
    reaching: set[str] = set()
    for node in network.nodes:
        is_dense = node.layer.traits.densifies_gradient
        passes_on = not is_dense and any(name in reaching for name in node.inputs)
        if node.layer.traits.is_computed or passes_on:
            reaching.add(node.name)
    return frozenset(reaching)
