"""The way forward through a network: each node once, in order, and no value kept beyond its last reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from workloads.network import INPUT, Network, Node

Value = TypeVar("Value")


def walk_forward(network: Network, images: Value, compute: Callable[[Node, list[Value]], Value]) -> dict[str, Value]:
    """Compute what each loss reads, by the losses' names.

    Args:
        compute: Gives the output of a node that is no loss, from what it reads.
    """
    readers = Counter(name for node in network.nodes for name in node.inputs)
    values = {INPUT: images}
    scores: dict[str, Value] = {}
    for node in network.nodes:
        read = [values[name] for name in node.inputs]
        for name in node.inputs:
            readers[name] -= 1
            if not readers[name]:
                values.pop(name, None)
        if node.layer.traits.is_loss:
            scores[node.name] = read[0]
        else:
            values[node.name] = compute(node, read)
    return scores
