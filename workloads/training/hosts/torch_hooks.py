"""What is done to gradients on torch's way back, and what is counted there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray

from workloads.gradient_masks import make_mask
from workloads.host import GradientPair
from workloads.network import Node
from workloads.pruners.site import SitePruning
from workloads.pruning import PruningState
from workloads.training.hosts.torch_kinds import Tensor, to_array, to_tensor
from workloads.training.iteration import Pruner
from workloads.training.plan import TrainingPlan


class BackwardHooks:
    """The hooks of one iteration: they prune the gradients at their sites, and count nonzeros where they are recorded.

    Args:
        state: None where nothing is pruned.
    """

    def __init__(self, plan: TrainingPlan, state: PruningState | None, number: int) -> None:
        self._network = plan.network
        self._is_recorded = plan.is_recorded(number)
        self._state = state
        self._pruner: Pruner | None = None
        self._sites = plan.find_sites()
        if plan.pruning is not None and state is not None:
            self._pruner = Pruner(self._sites, plan.pruning, state, plan.seed, number)
        self._read: dict[str, tuple[Node, Tensor]] = {}
        self._counts: dict[tuple[str, str], tuple[Tensor, int]] = {}

    @property
    def prunings(self) -> Mapping[str, SitePruning]:
        """What happened to the gradients at their sites."""
        return {} if self._pruner is None else self._pruner.prunings

    def push_thresholds(self) -> PruningState | None:
        """Give the FIFO behind the iteration."""
        if self._state is None or self._pruner is None:
            return self._state
        found = self._pruner.prunings.items()
        return self._state.push({node: one.own_threshold for node, one in found if one.groups is None})

    def watch(self, node: Node, read: list[Tensor], output: Tensor) -> None:
        """Look at a node, and set the hooks on its output."""
        if self._pruner is not None and node.layer.traits.is_computed:
            for source, values in zip(node.inputs, read, strict=True):
                if source in self._sites and self._network.is_behind_relu(node.name, source):
                    self._read.setdefault(source, (node, values.detach()))
        if not output.requires_grad:
            return
        if node.name in self._sites:
            output.register_hook(partial(self._prune, node.name))
        if self._is_recorded and node.layer.traits.is_computed:
            self._count(node.name, "input", read[0])
            if len(read) > 1:
                self._count(node.name, "weight", read[1])
            output.register_hook(partial(self._count, node.name, "grad_output"))

    def measure_densities(self, parameters: Mapping[str, Tensor]) -> dict[tuple[str, str], float]:
        """Give the densities of the tensors that every layer met, where they are recorded."""
        if not self._is_recorded:
            return {}
        for node in self._network.compute_nodes():
            if f"{node.name}/weight" in parameters:
                self._count(node.name, "weight", parameters[f"{node.name}/weight"])
        return {key: int(count) / size for key, (count, size) in self._counts.items()}

    def _count(self, layer: str, tensor: str, values: Tensor) -> None:
        self._counts[layer, tensor] = torch.count_nonzero(values.detach()), values.numel()

    def _prune(self, node: str, gradient: Tensor) -> Tensor:
        assert self._pruner is not None
        values: NDArray[Any] = to_array(gradient)
        mask = None
        if node in self._read:
            reader, read = self._read.pop(node)
            mask = make_mask(self._network, reader.name, to_array(read), node)
            values = values * mask
        found = self._pruner(node, values, mask)
        assert not isinstance(found, GradientPair), "pruning for GTA alone is refused when a training is opened"
        return to_tensor(found, gradient.device)
