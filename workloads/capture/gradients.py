"""The gradients of a backward pass that autograd computes itself, from hooks in its own graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workloads.arrays import Float32Array
from workloads.capture.calls import Tensor
from workloads.capture.seen import SeenLayer
from workloads.network import Network, Node


def to_float32(tensor: Tensor) -> Float32Array:
    """Copy a tensor's values as they are into float32, which holds what narrower formats hold."""
    values = tensor.detach().cpu()
    return np.array(
        values.float().numpy() if values.dtype.itemsize < 4 else values.numpy(), dtype=np.float32, order="C"
    )


@dataclass(eq=False)
class GradientTaker:
    """Takes what a backward pass hands to the outputs of layers, and what their readers hand back.

    Attributes:
        outputs: The gradient to a layer's output, by its name.
        shares: What a reader hands back of the gradient to a layer's output, by the names of both; in autograd's own
            number format.
        first_shares: Of these, what a product of a tensor with itself hands back to its first factor.
    """

    outputs: dict[str, Tensor] = field(default_factory=dict)
    shares: dict[tuple[str, str], Tensor] = field(default_factory=dict)
    first_shares: dict[tuple[str, str], Tensor] = field(default_factory=dict)
    _watched: set[tuple[str, str]] = field(default_factory=set)
    _handles: list[Any] = field(default_factory=list)

    def watch(self, network: Network, seen: Mapping[str, SeenLayer]) -> None:
        """Put hooks into autograd's graph, behind those that a user's tensors have."""
        self.watch_outputs(seen[node.name] for node in network.compute_nodes())
        for node in network.compute_nodes():
            for number, name in enumerate(node.inputs):
                if network.summed_gradients(node.name, number):
                    for reader in network.consumers(name):
                        self._watch_shares(seen[reader.name], name)

    def watch_outputs(self, layers: Iterable[SeenLayer]) -> None:
        """Put hooks where layers' outputs were made."""
        for seen in layers:
            if seen.output is not None:
                self._watch_output(seen.name, *seen.output)

    def leave(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _watch_output(self, name: str, maker: Any, number: int) -> None:
        def take(gradients: Any) -> None:
            if gradients[number] is not None:
                self.outputs[name] = gradients[number].detach().clone()

        self._handles.append(maker.register_prehook(take))

    def _watch_shares(self, reader: SeenLayer, source: str) -> None:
        if reader.output is None or (reader.name, source) in self._watched:
            return
        self._watched.add((reader.name, source))
        edges = {edge for name, edge in zip(reader.inputs, reader.edges, strict=True) if name == source and edge}
        stops = {edge[0] for edge in reader.edges if edge}
        is_square = reader.kind == "matmul" and reader.inputs == (source, source)
        first = find_first_factor(reader.output[0]) if is_square else None
        for maker, place in find_receivers(reader.output[0], edges, stops):
            is_first = first is not None and ((maker, place) == first or is_reached(first, maker, stops))
            self._handles.append(maker.register_hook(self._make_share_hook(reader.name, source, place, is_first)))

    def _make_share_hook(self, reader: str, source: str, place: int, is_first: bool) -> Any:
        def take(handed_back: Any, _: Any) -> None:
            share = handed_back[place]
            if share is not None:
                known = self.shares.get((reader, source))
                self.shares[reader, source] = share.detach().clone() if known is None else known + share
                if is_first:
                    self.first_shares[reader, source] = share.detach().clone()

        return take

    def list_summed(self, network: Network, node: Node, number: int) -> list[tuple[str, Tensor]]:
        """Give the stored gradients that a layer adds to its own, by the names of `Network.summed_gradients`."""
        if not network.summed_gradients(node.name, number):
            return []
        source = node.inputs[number]
        stored: dict[str, Tensor] = {}
        total = None
        for reader in order_readers(network, source):
            if reader.name == node.name:
                break
            share = self.shares[reader.name, source]
            total = share if total is None else total + share
            if network.writes_gradient(reader.name, source):
                stored = {source: total}
            else:
                stored[reader.name] = share
        if number and node.inputs[0] == source:
            first = self.first_shares[node.name, source]
            stored = {source: first if total is None else total + first}
        return list(stored.items())


def order_readers(network: Network, source: str) -> list[Node]:
    """Order the readers of a node's output as they hand their shares back: losses, then against the network's order."""
    readers = list({reader.name: reader for reader in network.consumers(source)}.values())
    losses = [reader for reader in readers if reader.layer.traits.is_loss]
    return losses + [reader for reader in reversed(readers) if not reader.layer.traits.is_loss]


def find_first_factor(start: Any) -> tuple[Any, int] | None:
    """Find, from the node that made a product on, where autograd hands the gradient to its first factor back."""
    while start is not None and len(start.next_functions) == 1:
        start = start.next_functions[0][0]
    return None if start is None or not start.next_functions else (start, 0)


def is_reached(first: tuple[Any, int], maker: Any, stops: set[Any]) -> bool:
    """Tell whether a node of autograd's graph lies behind an edge of another, before any of the stops."""
    node = first[0].next_functions[first[1]][0]
    while node is not None and node not in stops:
        if node is maker:
            return True
        node = node.next_functions[0][0] if node.next_functions else None
    return False


def find_receivers(start: Any, edges: set[tuple[Any, int]], stops: set[Any]) -> list[tuple[Any, int]]:
    """Find, from a node of autograd's graph on, those that hand a gradient to one of the edges, and at which place."""
    found, waiting, known = [], [start], {start}
    while waiting:
        maker = waiting.pop()
        for place, (further, number) in enumerate(maker.next_functions):
            if (further, number) in edges:
                found.append((maker, place))
            if further is not None and further not in known and further not in stops:
                known.add(further)
                waiting.append(further)
    return found
