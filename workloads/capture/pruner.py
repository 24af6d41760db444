"""Stochastic gradient pruning in a training loop of the user's own: sites, thresholds, FIFO and draws as the host's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from workloads.arrays import BoolArray
from workloads.capture.calls import LayerCall, Tensor
from workloads.capture.graph_form import compare_shapes, find_ends, make_graph_form, name_workload
from workloads.capture.observer import GraphObserver
from workloads.capture.places import ModulePaths
from workloads.capture.seen import SeenLayer
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.gradient_masks import make_mask
from workloads.network import INPUT, Network
from workloads.pruners.site import SitePruning, StochasticPruner
from workloads.pruning import PruningKey, PruningState
from workloads.pruning_sites import PruningSite, find_pruning_sites
from workloads.settings import GradientPruning, check_threshold_model
from workloads.workload import make_workload

SEED_LIMIT = 2**63 - 1


@dataclass(frozen=True, eq=False)
class PrunedBatch:
    """What happened to the gradients of one batch.

    Attributes:
        iteration: Its number, counted from 0.
    """

    iteration: int
    prunings: Mapping[str, SitePruning]


@dataclass(eq=False)
class WatchedPass:
    """A forward pass and what its backward pass needs: sites, and the inputs of layers that stand behind a ReLU."""

    observer: GraphObserver
    images: Tensor
    inputs: dict[str, Tensor] = field(default_factory=dict)
    network: Network | None = None
    sites: Mapping[str, PruningSite] = field(default_factory=dict)
    iteration: int | None = None
    prunings: dict[str, SitePruning] = field(default_factory=dict)

    def find_mask(self, node: str) -> BoolArray | None:
        """Give the mask of the gradient to a node's output: that of a layer that reads it from behind a ReLU."""
        assert self.network is not None
        for reader in self.network.consumers(node):
            if reader.name in self.inputs:
                mask = make_mask(self.network, reader.name, to_numpy(self.inputs[reader.name]))
                if mask is not None:
                    return mask
        return None


class GradientPruner:
    """Prunes the gradients of a model while a loop of the user's own trains it.

    Each backward pass of a forward pass is a batch. state: the FIFO of thresholds; iteration: the number of the next
    batch. Both can be kept with a checkpoint and set again. last: what happened to the gradients of the last batch.
    """

    def __init__(self, model: Any, pruning: GradientPruning, seed: int) -> None:
        self.seed = seed
        self.state = PruningState(pruning.fifo_depth)
        self.iteration = 0
        self.last: PrunedBatch | None = None
        self._pruning = pruning
        self._pruner = StochasticPruner(pruning)
        self._label = name_workload(model)
        self._paths = ModulePaths(str(Path(torch.__file__).parent))
        self._running: WatchedPass | None = None
        self._networks: dict[Any, tuple[Network, Mapping[str, PruningSite]]] = {}
        self._handles = [model.register_forward_pre_hook(self._begin)]
        self._paths.watch(model)
        self._handles.append(model.register_forward_hook(self._end, always_call=True))

    def __repr__(self) -> str:
        return f"<GradientPruner of {self._label}: rate {self.rate:.4g}, {self.iteration} batches so far>"

    def __deepcopy__(self, _: Any) -> GradientPruner:
        """Give itself: a copy of the model, such as an average of its weights, shares what prunes it."""
        return self

    @property
    def rate(self) -> float:
        """The share of a gradient's elements below its threshold."""
        return self._pruning.rate

    @property
    def model(self) -> str:
        """The name of the model that chooses thresholds."""
        return self._pruning.model

    def remove(self) -> None:
        """Leave the gradients of the model's further passes alone."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._paths.leave()

    def _begin(self, model: Any, arguments: Any) -> None:
        if not torch.is_grad_enabled() or not model.training or self._running is not None:
            return
        if len(arguments) != 1 or not isinstance(arguments[0], torch.Tensor):
            raise InputError(f"{self._label}: its gradients can be pruned where it is called with one tensor of images")
        watched = WatchedPass(GraphObserver(self._paths, self._hold), arguments[0])
        watched.observer = GraphObserver(self._paths, self._hold, lambda seen, out: self._watch(watched, seen, out))
        watched.observer.track(arguments[0], INPUT)
        self._running = watched
        watched.observer.__enter__()

    def _hold(self, call: LayerCall, output: Tensor) -> Tensor:
        return call.inputs[0].detach().to(output.dtype)

    def _watch(self, watched: WatchedPass, seen: SeenLayer, output: Tensor) -> None:
        if seen.operands is not None:
            watched.inputs[seen.name] = seen.operands
        if output.requires_grad:
            output.register_hook(lambda gradient: self._prune(watched, seen.name, gradient))

    def _end(self, _: Any, __: Any, outputs: Any) -> None:
        watched, self._running = self._running, None
        if watched is None:
            return
        watched.observer.__exit__(None, None, None)
        if outputs is not None:
            self._read_graph(watched, outputs)

    def _read_graph(self, watched: WatchedPass, outputs: Any) -> None:
        """Find the sites of the pass; a graph that was there before is known."""
        graph, images = watched.observer.graph, watched.images
        key = (tuple(images.shape), tuple((one.name, one.kind, one.inputs, one.shape) for one in graph.layers.values()))
        if key not in self._networks:
            for tensor in list_outputs(outputs):
                found = watched.observer.find(tensor)
                graph.loss_reads += [] if found is None else [found.name]
            # Every pass is read anew, so that it may depend on data, as where a loop prints values.
            graph.value_reads.clear()
            form = make_graph_form(graph, find_ends(graph, None), images.shape, self._label)
            network = make_workload(YamlDocument(self._label, form.describe(self._label)), Path()).network
            compare_shapes(form, network, self._label)
            self._networks = {key: (network, find_pruning_sites(network))}
        watched.network, watched.sites = self._networks[key]

    def _prune(self, watched: WatchedPass, node: str, gradient: Tensor) -> Tensor | None:
        """Prune the gradient to a node's output, where the graph has a site."""
        if watched.iteration is None:
            watched.iteration, self.iteration = self.iteration, self.iteration + 1
            self.last = PrunedBatch(watched.iteration, watched.prunings)
        site = watched.sites.get(node)
        if site is None:
            return None
        mask = watched.find_mask(node)
        values = to_numpy(gradient)
        pruned, done = self._prune_values(site, values if mask is None else values * mask, mask, watched.iteration)
        watched.prunings[node] = done
        return torch.from_numpy(np.ascontiguousarray(pruned)).to(device=gradient.device, dtype=gradient.dtype)

    def _prune_values(
        self, site: PruningSite, values: NDArray[Any], mask: BoolArray | None, iteration: int
    ) -> tuple[NDArray[Any], SitePruning]:
        key = PruningKey(self.seed, site.node, iteration)
        pruned, done = self._pruner.prune(site, values, mask, self.state, key)
        self.state = self.state.push({site.node: done.own_threshold})
        return pruned, done


def start_pruning(
    model: Any, *, rate: float, seed: int, fifo_depth: int, threshold: str, threshold_model: str
) -> GradientPruner:
    """Prune a model's gradients, as `workloads.capture.prune_gradients` says."""
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"prune_gradients needs a torch.nn.Module, got {type(model).__name__}")
    if find_pruner(model) is not None:
        raise InputError(f"the gradients of {name_workload(model)} are pruned already; remove() ends that")
    if not isinstance(seed, int) or not 0 <= seed <= SEED_LIMIT:
        raise InputError(f"the seed must be a whole number from 0 to {SEED_LIMIT}, got {seed}")
    try:
        check_threshold_model(threshold_model)
    except ValueError as error:
        raise InputError(f"prune_gradients: {error}") from None
    try:
        pruning = GradientPruning(
            rate=rate, fifo_depth=fifo_depth, threshold=threshold, model=threshold_model,  # type: ignore[arg-type]
            warmup_batches=max(int(fifo_depth), 6),
        )  # fmt: skip
    except (ValidationError, TypeError, ValueError):
        raise InputError(
            "prune_gradients needs a rate from 0 to below 1, a fifo_depth from 1 to 1024 and the threshold 'fifo' or "
            f"'own_batch', got {rate}, {fifo_depth} and {threshold!r}"
        ) from None
    return GradientPruner(model, pruning, seed)


def find_pruner(model: Any) -> GradientPruner | None:
    """Find what prunes a model's gradients."""
    hooks = getattr(model, "_forward_pre_hooks", {}).values()
    owners = (getattr(hook, "__self__", None) for hook in hooks)
    return next((owner for owner in owners if isinstance(owner, GradientPruner)), None)


def list_outputs(outputs: Any) -> list[Tensor]:
    """List the tensors that a model gives out."""
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    parts = outputs.values() if isinstance(outputs, dict) else outputs if isinstance(outputs, list | tuple) else ()
    return [tensor for part in parts for tensor in list_outputs(part)]


def to_numpy(gradient: Tensor) -> NDArray[Any]:
    """Give a gradient's values; narrow formats as float32."""
    values = gradient.detach().cpu()
    return np.asarray((values.float() if values.dtype.itemsize < 4 else values).numpy())
