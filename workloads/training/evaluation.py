"""A network as it is used, not trained: running statistics, nothing drawn, no backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.forward_walk import walk_forward
from workloads.kinds.execution import Parameters, Place
from workloads.losses import BatchTargets, Evaluation, evaluate_losses, make_targets
from workloads.network import Network, Node
from workloads.reference.arrays import Array
from workloads.reference.threads import fixed_blas_threads
from workloads.workers import HOST_WORKERS, shared_work


@dataclass(frozen=True, slots=True)
class Score:
    """How well a network does on some images.

    Attributes:
        loss: Mean over the images of the weighted sum of the losses.
        accuracy: Share of the targets that are met; None where the loss tells none.
    """

    images: int
    loss: float
    accuracy: float | None


def evaluate_batch(
    network: Network,
    parameters: Parameters,
    statistics: Parameters,
    images: NDArray[Any],
    targets: BatchTargets,
    threads: int = HOST_WORKERS,
) -> Evaluation:
    """Run forward and the losses once in evaluation mode.

    Args:
        statistics: Running ones, ``<layer>/mean`` and so on.
        threads: That share the work.

    Raises:
        InputError: the network has no loss, or the targets do not fit it.
    """
    compared = make_targets(network, targets)
    with fixed_blas_threads(), shared_work(threads), np.errstate(over="ignore", invalid="ignore"):
        return evaluate_losses(network, compute_scores(network, parameters, statistics, images), compared)


def compute_scores(
    network: Network, parameters: Parameters, statistics: Parameters, images: NDArray[Any]
) -> dict[str, Array]:
    """Compute what each loss reads, by the losses' names; other values go with their last reader."""

    def compute_node(node: Node, read: list[Array]) -> Array:
        place = Place(
            needs_grad_input=False, output_is_kept=False, seed=0, iteration=0, statistics=find_own(node, statistics)
        )
        names = node.layer.list_parameters(node.input_shapes[0])
        own = {name: parameters[f"{node.name}/{name}"] for name in names}
        return node.layer.run(read, own, place)[0]

    return walk_forward(network, images, compute_node)


def find_own(node: Node, statistics: Parameters) -> Mapping[str, Array]:
    """Give a layer's own running statistics by their names within it."""
    return {name: statistics[f"{node.name}/{name}"] for name in node.layer.list_statistics(node.input_shapes[0])}
