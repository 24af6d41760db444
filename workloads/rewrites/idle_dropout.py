"""A rewrite that takes away dropout that drops nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from workloads.kinds import Layer
from workloads.kinds.dropout import Dropout
from workloads.network import Network, Node
from workloads.rewrites.rewrite import Rewrite, replace_layer


class RemoveIdleDropout(Rewrite):
    """Remove dropout of rate 0, which hands on what it reads."""

    claims_equality: ClassVar[bool] = True

    method: Literal["remove_idle_dropout"]

    def matches(self, node: Node, network: Network) -> bool:
        """Match where readers are left, none of which reads the dropout's input already."""
        if not isinstance(node.layer, Dropout) or node.layer.rate:
            return False
        readers = network.consumers(node.name)
        return bool(readers) and all(node.inputs[0] not in reader.inputs for reader in readers)

    def apply(self, node: Node, network: Network) -> Sequence[Layer]:
        """Have the readers read what the dropout reads."""
        return replace_layer(network, node.name, (), node.inputs[0])
