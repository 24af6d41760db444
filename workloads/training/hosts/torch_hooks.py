"""What is done to gradients on torch's way back, and what is counted there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from workloads.gradient_masks import make_mask
from workloads.host import OUTPUT
from workloads.host_backward import GradientPair
from workloads.network import Node
from workloads.profile_plan import list_output_figures
from workloads.pruners.site import SitePruning
from workloads.pruning import PruningKey, PruningState
from workloads.pruning_sites import PruningPlace
from workloads.reference.arrays import Array
from workloads.settings import GradientPruning
from workloads.training.hosts.torch_kinds import Tensor, Tensors, TorchPlace, run_forked, run_layer, to_array, to_tensor
from workloads.training.hosts.torch_pruning import prune_site, prunes_in_place
from workloads.training.iteration import Pruner
from workloads.training.plan import TrainingPlan


class BackwardHooks:
    """The hooks of one iteration: they prune the gradients at their sites, and count nonzeros where they are recorded.

    Gradients on a graphics card are pruned there where they can be; all others by the reference's own code.

    Args:
        state: None where nothing is pruned.
    """

    def __init__(self, plan: TrainingPlan, state: PruningState | None, number: int, device: Any) -> None:
        self._plan = plan
        self._network = plan.network
        self._number = number
        self._is_recorded = plan.is_recorded(number)
        self._watched = list_output_figures(plan.network) if self._is_recorded else frozenset[str]()
        self._state = state
        self._pruner: Pruner | None = None
        self._prunes_in_place = prunes_in_place(plan.pruning, device)
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

    def run(self, node: Node, read: list[Tensor], own: Tensors, place: TorchPlace) -> Tensor:
        """Compute a node's output, and set the hooks on it."""
        pruner, site = self._pruner, self._sites.get(node.name)
        if pruner is not None and site is not None and site.place is PruningPlace.FOR_GTA:
            output = run_forked(node.layer, read, own, place, partial(self._prune_copy, pruner, node.name))
        else:
            output = run_layer(node.layer, read, own, place)
            if pruner is not None and site is not None and output.requires_grad:
                output.register_hook(partial(self._prune, pruner, node.name))
        self._watch(node, read, output)
        return output

    def _watch(self, node: Node, read: list[Tensor], output: Tensor) -> None:
        if self._pruner is not None and node.layer.traits.is_computed:
            for source, values in zip(node.inputs, read, strict=True):
                if source in self._sites and self._network.is_behind_relu(node.name, source):
                    self._read.setdefault(source, (node, values.detach()))
        if node.name in self._watched:
            self._count(node.name, OUTPUT, output)
        if self._is_recorded and node.layer.traits.is_computed and output.requires_grad:
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

    def _prune(self, pruner: Pruner, node: str, gradient: Tensor) -> Tensor:
        pruning: Any = self._plan.pruning
        reader: Node | None
        read: Any
        reader, read = self._read.pop(node, (None, None))
        if self._prunes_in_place:
            mask = None if reader is None else make_mask(self._network, reader.name, read, node)
            return self._prune_there(pruner, pruning, node, gradient if mask is None else gradient * mask, mask)
        values = to_array(gradient)
        if reader is None:
            return to_tensor(_take_for_gta(pruner(node, values, None)), gradient.device)
        kept = make_mask(self._network, reader.name, to_array(read), node)
        assert kept is not None
        return to_tensor(_take_for_gta(pruner(node, values * kept, kept)), gradient.device)

    def _prune_copy(self, pruner: Pruner, node: str, gradient: Tensor) -> Tensor:
        """Prune what GTA alone reads; its positions are its nonzeros."""
        pruning: Any = self._plan.pruning
        if self._prunes_in_place:
            pruned = self._prune_there(pruner, pruning, node, gradient, gradient != 0)
        else:
            pruned = to_tensor(_take_for_gta(pruner(node, to_array(gradient), None)), gradient.device)
        if self._is_recorded:
            self._count(node, "grad_output_for_gta", pruned)
        return pruned

    def _prune_there(self, pruner: Pruner, pruning: GradientPruning, node: str, gradient: Tensor, mask: Any) -> Tensor:
        assert self._state is not None
        key = PruningKey(self._plan.seed, node, self._number)
        pruned, pruner.prunings[node] = prune_site(pruning, self._sites[node], gradient, mask, self._state, key)
        return pruned


def _take_for_gta(found: Array | GradientPair) -> Array:
    return found.for_gta if isinstance(found, GradientPair) else found
