"""What is done to the gradient at a site, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import BoolArray
from workloads.errors import InputError
from workloads.host import NotFiniteError, is_finite
from workloads.network import Network
from workloads.pruners.row_groups import RowGroups, keep_largest
from workloads.pruners.table import NORMAL, THRESHOLD_MODELS
from workloads.pruners.threshold_model import FittedThreshold
from workloads.pruning import PruningKey, PruningState, measure_density, normal_quantile, prune_and_count
from workloads.pruning_sites import PruningSite, find_copy_sites, find_pruning_sites
from workloads.settings import GradientPruning, GroupPruning, Pruning

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class SitePruning:
    """What happened to one gradient: the threshold it was pruned with (0: not pruned), the one its own values give.

    Densities are shares of nonzeros among all its elements.

    Attributes:
        aimed_density: What the threshold model expects behind a pruning with the gradient's own threshold.
        sigma: The deviation of normal numbers that its own threshold was computed from; None at a rate of 0, and of
            another model.
        snapped: The share of all its elements that became the threshold.
        groups: Of which neighbours in a row which stay, where that decides and no threshold.
    """

    site: PruningSite
    threshold: float
    own_threshold: float
    density_before: float
    density_after: float
    aimed_density: float
    sigma: float | None
    snapped: float
    groups: RowGroups | None = None

    @property
    def is_pruned(self) -> bool:
        """Whether anything decided on its elements."""
        return self.threshold > 0 or self.groups is not None

    def facts(self) -> dict[str, Any]:
        """Give the record of a run."""
        return {
            "written_by": self.site.writer,
            "place": self.site.place.value,
            "threshold": self.threshold,
            "own_threshold": self.own_threshold,
            "density_before": self.density_before,
            "density_after": self.density_after,
            "aimed_density": self.aimed_density,
            **({} if self.groups is None else {"kept_of_neighbours": str(self.groups)}),
        }


class SitePruner(Protocol):
    """What prunes the gradients of a training."""

    def prune(
        self, site: PruningSite, gradient: Array, mask: BoolArray | None, state: PruningState, key: PruningKey
    ) -> tuple[Array, SitePruning]:
        """Prune the gradient at a site, whose own threshold the caller pushes."""
        ...


def find_sites(network: Network, pruning: Pruning) -> dict[str, PruningSite]:
    """Find the gradients that are pruned, by the node to whose output they are."""
    return find_pruning_sites(network) if pruning.feeds == "both" else find_copy_sites(network)


def make_site_pruner(pruning: Pruning) -> SitePruner:
    """Make what prunes as the settings say."""
    return StochasticPruner(pruning) if isinstance(pruning, GradientPruning) else GroupPruner(pruning)


class GroupPruner:
    """Keeps the largest of neighbours in a row, whatever was before; there is no threshold."""

    def __init__(self, pruning: GroupPruning) -> None:
        self._groups = pruning.groups

    def prune(
        self,
        site: PruningSite,
        gradient: Array,
        mask: BoolArray | None,  # noqa: ARG002
        state: PruningState,  # noqa: ARG002
        key: PruningKey,  # noqa: ARG002
    ) -> tuple[Array, SitePruning]:
        """Prune the gradient at a site; what is aimed at is the share that may stay of all its elements."""
        pruned = keep_largest(gradient, self._groups)
        before, after = measure_density(gradient), measure_density(pruned)
        aimed = self._groups.share_left(gradient.shape[-1])
        return pruned, SitePruning(site, 0.0, 0.0, before, after, aimed, None, 0.0, self._groups)


class StochasticPruner:
    """Prunes gradients as `workloads.pruning` defines it, with the threshold model that the settings choose."""

    def __init__(self, pruning: GradientPruning) -> None:
        self._pruning = pruning
        self._model = THRESHOLD_MODELS.make(pruning.model)

    def prune(
        self, site: PruningSite, gradient: Array, mask: BoolArray | None, state: PruningState, key: PruningKey
    ) -> tuple[Array, SitePruning]:
        """Prune the gradient at a site, with the threshold of the state or with its own, which the caller pushes.

        Raises:
            NotFiniteError: the gradient holds what is no finite number.
            InputError: the threshold model gives no threshold.
        """
        own = self._fit(site, gradient, mask)
        used = own.tau if self._pruning.threshold == "own_batch" else state.threshold(site.node)
        before, pruned = measure_density(gradient), prune_and_count(gradient, used, key)
        positions = 1.0 if mask is None else float(np.count_nonzero(mask) / mask.size)
        return pruned.gradient, SitePruning(
            site, used, own.tau, before, pruned.density, own.density * positions, self._find_sigma(own.tau),
            pruned.snapped,
        )  # fmt: skip

    def _find_sigma(self, tau: float) -> float | None:
        is_normal = self._pruning.model == NORMAL and self._pruning.rate > 0
        return tau / normal_quantile(self._pruning.rate) if is_normal else None

    def _fit(self, site: PruningSite, gradient: Array, mask: BoolArray | None) -> FittedThreshold:
        found = self._model.fit(gradient, mask, self._pruning.rate)
        if not (isfinite(found.tau) and found.tau >= 0):
            if not is_finite(gradient):
                raise NotFiniteError(
                    f"the gradient to the output of '{site.node}' is not finite; weights are too large"
                )
            raise InputError(
                f"the threshold model '{self._pruning.model}' gives {found.tau:g}; a threshold is a finite number of "
                "at least 0"
            )
        return found
