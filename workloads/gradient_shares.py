"""What of a gradient is read and written: all of it, some shares' sum so far, or a concatenation's part.

The readers of a tensor hand their shares of its gradient back one after the other, and each that writes one adds what
is stored of the sum by then (`Network.summed_gradients`). What one of them leaves is a tensor of its own until the next
one has added it.
"""

from __future__ import annotations

from dataclasses import dataclass

from workloads.network import Network, Node
from workloads.pruning_sites import find_gradient_writer

# A reader, and the number of its input.
ShareWriter = tuple[str, int]


@dataclass(frozen=True, slots=True)
class GradientShare:
    """A gradient as it is stored.

    Attributes:
        node: It is the gradient to this node's output.
        writer: The reader of that output which left an incomplete sum, and which of its inputs, from 0, its share is
            of; None where the sum is complete.
        part: The input of a concatenation whose part of its gradient alone is meant.
        is_copy: It is the pruned copy that the node's GTA reads.
    """

    node: str
    writer: ShareWriter | None = None
    part: str | None = None
    is_copy: bool = False


def find_gradient(network: Network, name: str) -> str:
    """Name the node to whose output the gradient is stored that a node's own backward pass reads.

    It is the node's own, or that of its only reader where this one hands its output's gradient back as it is, or with
    the mask of a ReLU that it is stored with.
    """
    while True:
        readers = network.consumers(name)
        if len(readers) != 1 or not hands_whole_gradient_on(network, readers[0], name):
            return name
        name = readers[0].name


def hands_whole_gradient_on(network: Network, node: Node, source: str) -> bool:
    """Tell whether the gradient to an input of a node is stored as its output's: a concatenation hands on parts."""
    return not network.writes_gradient(node.name, source) and not node.layer.traits.is_joined


def list_share_writers(network: Network, name: str) -> tuple[ShareWriter, ...]:
    """Name the readers of a node's output that write a share of its gradient, in the order in which they do.

    Each stands with the number of its input; one that reads the tensor twice stands twice.
    """
    writers: list[ShareWriter] = []
    for node in network.gradient_sources(name):
        if network.writes_gradient(node.name, name):
            before = sum(writer == node.name for writer, _ in writers)
            numbers = [number for number, source in enumerate(node.inputs) if source == name]
            writers.append((node.name, numbers[before]))
    return tuple(writers)


def find_next_writer(network: Network, name: str, writer: ShareWriter) -> ShareWriter | None:
    """Name the reader that writes the next share of a gradient; None behind the last."""
    writers = list_share_writers(network, name)
    behind = writers[writers.index(writer) + 1 :]
    return behind[0] if behind else None


def find_share_written(network: Network, name: str, writer: ShareWriter) -> GradientShare:
    """Tell what is stored when a reader of a node's output, or that node's sum, has written the gradient to it."""
    if writer[0] == name or find_gradient_writer(network, name) != name:
        is_last = writer[0] == name or list_share_writers(network, name)[-1] == writer
        return GradientShare(name, None if is_last else writer)
    return GradientShare(name, writer)


def list_shares_added(network: Network, name: str, source: str, number: int = 0) -> tuple[GradientShare, ...]:
    """List what a node adds as it writes the gradient to one of its inputs; where this is itself, what its sum adds.

    Args:
        number: Which of its inputs, from 0.
    """
    is_sum = name == source
    added = network.unsummed_gradients(name) if is_sum else network.summed_gradients(name, number)
    writers = list_share_writers(network, source)
    shares = []
    for one in added:
        if one == source:
            shares.append(GradientShare(source, writers[-1] if is_sum else writers[writers.index((name, number)) - 1]))
        else:
            part = source if network.node(one).layer.traits.is_joined else None
            shares.append(GradientShare(find_gradient(network, one), part=part))
    return tuple(shares)
