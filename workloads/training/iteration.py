"""Training iterations with gradient pruning on the host: warm-up, the iteration that is simulated."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from workloads.arrays import BoolArray
from workloads.host import FLOAT32, HostOptions, Iteration, run_iteration
from workloads.host_backward import GradientPair
from workloads.kinds.execution import Parameters
from workloads.losses import BatchTargets, Labels
from workloads.network import Network
from workloads.operands import Operands, add_pruning
from workloads.pruners.site import SitePruning, find_sites, make_site_pruner
from workloads.pruning import PruningKey, PruningState
from workloads.pruning_sites import PruningPlace, PruningSite, completes_factor
from workloads.reference.arrays import Array
from workloads.settings import Pruning

BatchLoader = Callable[[int], tuple[NDArray[Any], Labels | BatchTargets]]


@dataclasses.dataclass(frozen=True, eq=False)
class PrunedIteration:
    """A training iteration whose gradients were pruned.

    Attributes:
        state: The FIFO behind it. Keys of prunings are the nodes.
    """

    iteration: Iteration
    number: int
    seed: int
    prunings: Mapping[str, SitePruning]
    state: PruningState

    @property
    def pruned(self) -> frozenset[str]:
        """The nodes the gradient to whose output is pruned by whoever writes it; copies for GTA alone are beside it."""
        return frozenset(
            node for node, one in self.prunings.items() if one.is_pruned and one.site.place is not PruningPlace.FOR_GTA
        )

    def operands(self) -> Iterator[Operands]:
        """Operands of each layer that the accelerator executes; their PPUs prune grad_input where they write it."""
        network = self.iteration.network
        for operands in self.iteration.operands():
            for one in self.prunings.values():
                if one.site.writer == operands.layer != one.site.node:
                    key = PruningKey(self.seed, one.site.node, self.number)
                    is_factor = completes_factor(network.node(operands.layer), one.site.node)
                    operands = add_pruning(operands, one.threshold, key, is_factor=is_factor, groups=one.groups)
            yield operands


class Pruner:
    """The host's hook of one iteration: prunes each gradient at its site, and keeps what was found."""

    def __init__(
        self, sites: Mapping[str, PruningSite], pruning: Pruning, state: PruningState, seed: int, number: int
    ) -> None:
        self._sites = sites
        self._pruner = make_site_pruner(pruning)
        self._state = state
        self._seed = seed
        self._number = number
        self.prunings: dict[str, SitePruning] = {}

    def __call__(self, node: str, gradient: Array, mask: BoolArray | None) -> Array | GradientPair:
        """Prune the gradient to a node's output, where the graph has a site; any other is handed back as it is.

        Where it is pruned for GTA alone, its positions are its nonzeros: what masks and maxima on its way have zeroed
        does not count.
        """
        if node not in self._sites:
            return gradient
        is_copy = self._sites[node].place is PruningPlace.FOR_GTA
        mask = gradient != 0 if is_copy else mask
        key = PruningKey(self._seed, node, self._number)
        pruned, self.prunings[node] = self._pruner.prune(self._sites[node], gradient, mask, self._state, key)
        return GradientPair(gradient, pruned) if is_copy else pruned


def run_pruned_iteration(
    network: Network,
    parameters: Parameters,
    batch: tuple[NDArray[Any], Labels | BatchTargets],
    *,
    pruning: Pruning,
    state: PruningState,
    seed: int,
    iteration: int,
    options: HostOptions = FLOAT32,
) -> PrunedIteration:
    """Run one iteration whose gradients are pruned with the thresholds of the state, or with their own.

    Raises:
        InputError: as `run_iteration`.
    """
    sites = find_sites(network, pruning)
    pruner = Pruner(sites, pruning, state, seed, iteration)
    found = run_iteration(network, parameters, *batch, seed=seed, iteration=iteration, hook=pruner, options=options)
    pushed = state.push({node: done.own_threshold for node, done in pruner.prunings.items() if done.groups is None})
    return PrunedIteration(found, iteration, seed, dict(pruner.prunings), pushed)


def warm_up(
    network: Network,
    parameters: Parameters,
    load_batch: BatchLoader,
    *,
    pruning: Pruning,
    seed: int,
    options: HostOptions = FLOAT32,
) -> PruningState:
    """Run iterations 0 .. warmup_batches - 1 for their thresholds, each on its own batch; with own_batch none is run.

    The weights are not updated, so that iterations with different pruning rates have the same ones.
    """
    state = PruningState(pruning.fifo_depth)
    for number in range(count_warmup_batches(pruning)):
        state = run_pruned_iteration(
            network, parameters, load_batch(number), pruning=pruning, state=state, seed=seed, iteration=number,
            options=options,
        ).state  # fmt: skip
    return state


def count_warmup_batches(pruning: Pruning | None) -> int:
    """Count the iterations before the simulated one, which is its number too."""
    return 0 if pruning is None else pruning.first_iteration
