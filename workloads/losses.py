"""The losses of an iteration: what their scores are compared with, their total, and which one tells the accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.errors import InputError
from workloads.kinds.execution import Loss
from workloads.kinds.loss import LossLayer
from workloads.network import Network, Node
from workloads.reference.arrays import Array

Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class BatchTargets:
    """What a batch's scores are compared with.

    Attributes:
        labels: Class numbers ``(N,)`` of the images.
        own: Targets of losses that have some of their own, by their names; they stand in the place of the labels.
    """

    labels: Labels
    own: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All losses of an iteration, by the names of their nodes."""

    network: Network
    found: Mapping[str, Loss]

    @property
    def values(self) -> dict[str, float]:
        """The value of each loss, before its weight."""
        return {name: one.value for name, one in self.found.items()}

    @property
    def total(self) -> float:
        """The weighted sum."""
        return sum(_weigh(self.network.node(name)) * one.value for name, one in self.found.items())

    @property
    def accuracy(self) -> float | None:
        """What share of its targets the loss of the largest weight meets, the last of those; None where it has none."""
        weights = {name: _weigh(self.network.node(name)) for name in self.found}
        main = [name for name, weight in weights.items() if weight == max(weights.values())][-1]
        return self.found[main].hits

    @property
    def saturated_images(self) -> int:
        """How many images have no gradient but that of a wrong class, from no loss."""
        return min(one.saturated_images for one in self.found.values())

    def grad_scores(self, name: str) -> Array:
        """Give a loss's share of the gradient to its scores, weighted."""
        return self.found[name].grad_scores * _weigh(self.network.node(name))


def evaluate_losses(network: Network, scores: Mapping[str, Array], targets: Mapping[str, NDArray[Any]]) -> Evaluation:
    """Compare the scores that reach each loss with its targets."""
    losses = network.loss_nodes()
    return Evaluation(
        network, {node.name: node.layer.evaluate(scores[node.name], targets[node.name]) for node in losses}
    )


def make_targets(network: Network, given: BatchTargets) -> dict[str, NDArray[Any]]:
    """Give the targets of each loss: its own, or those that the labels stand for.

    Raises:
        InputError: the network has no loss, a target belongs to none, or one does not fit its scores.
    """
    losses = require_losses(network)
    strange = [name for name in given.own if name not in {node.name for node in losses}]
    if strange:
        raise InputError(f"network '{network.name}': targets are given for '{strange[0]}', which is no loss")
    batch = network.input_shape[:1]
    if given.labels.shape != batch:
        raise InputError(f"labels must have shape {batch}, one for each image, got {given.labels.shape}")
    return {node.name: _make_loss_targets(network, node, given) for node in losses}


def _make_loss_targets(network: Network, node: Node, given: BatchTargets) -> NDArray[Any]:
    (scores,) = node.input_shapes
    what = "targets" if node.name in given.own else "labels"
    try:
        if node.name in given.own:
            return _as_loss(node).check_targets(given.own[node.name], scores)
        return _as_loss(node).spread_labels(given.labels, scores)
    except ValueError as error:
        raise InputError(f"network '{network.name}': {what} of the loss '{node.name}' {error}") from None


def count_classes(network: Network) -> int:
    """Count the classes whose labels every loss can take."""
    return min(_as_loss(node).count_classes(node.input_shapes[0]) for node in require_losses(network))


def list_spread(network: Network) -> tuple[str, ...]:
    """Name the losses with scores at several places of an image, which labels compare with that of the image."""
    return tuple(node.name for node in network.loss_nodes() if len(node.input_shapes[0]) > 2)


def require_losses(network: Network) -> tuple[Node, ...]:
    """Give the losses of a network.

    Raises:
        InputError: there is none.
    """
    losses = network.loss_nodes()
    if not losses:
        raise InputError(f"network '{network.name}' has no loss layer; a training iteration on the host needs one")
    return losses


def _as_loss(node: Node) -> LossLayer:
    assert isinstance(node.layer, LossLayer)
    return node.layer


def _weigh(node: Node) -> float:
    return _as_loss(node).weight
