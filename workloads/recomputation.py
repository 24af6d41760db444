"""Which outputs are not stored until the backward pass needs them, but computed again: by patterns of layers' names."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from workloads.network import Network
from workloads.passes import find_writer

RECOMPUTE = "recompute"


def find_unmatched(network: Network, patterns: Sequence[str]) -> str | None:
    """Give the first pattern that matches no layer; None where each matches some."""
    names = [node.name for node in network.nodes]
    return next((one for one in patterns if not any(fnmatchcase(name, one) for name in names)), None)


def is_recomputed(network: Network, tensor: str, patterns: Sequence[str]) -> bool:
    """Tell whether a stored output is one that is computed again.

    It is where a pattern matches the layer that writes it, or one that rides along between that and what is stored. The
    network's input and parameters are stored in any case.
    """
    names, writer = [tensor], find_writer(network, tensor)
    if network.is_source(writer) or network.node(writer).layer.traits.is_source:
        return False
    while names[-1] != writer:
        names += network.node(names[-1]).inputs
    return any(fnmatchcase(name, one) for name in names for one in patterns)
