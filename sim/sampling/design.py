"""Which tiles of a step are simulated: a stratified sample in two stages, of runs of images and of places in them.

The tiles of a step form a table: one row for each run of images (a *cluster*), one column for each *place*, a
combination of the other runs. First clusters are drawn, at random among those of the same length. Then, in each of
them, places of the same geometry are cut into strata of neighbours, and two of each stratum are drawn. All draws
follow from priorities, so that a larger sample holds every smaller one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import IntArray
from workloads.draws import keyed_generator

# A variance needs two; of three, two would leave a single one to be estimated.
DRAWN, ALL_DRAWN = 2, 3
# Clusters of one length that are drawn at least: with four degrees of freedom an interval is 1.4 times as wide as with
# many.
LEAST_CLUSTERS = 5
# A step of so few tiles is simulated whole.
FEW_TILES = 16


@dataclass(frozen=True, eq=False)
class TilePopulation:
    """The tiles of a step: a geometric class for each cluster, int64 ``(C,)``, and for each place, ``(P,)``."""

    cluster_class: IntArray
    place_class: IntArray

    def __len__(self) -> int:
        return len(self.cluster_class) * len(self.place_class)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is drawn: clusters of each length, and how often the strata of places were halved."""

    clusters: int
    halvings: int = 0


@dataclass(frozen=True, eq=False)
class Stratum:
    """Units among which some were drawn; int64 arrays of their numbers, ascending."""

    members: IntArray
    drawn: IntArray

    @property
    def fraction(self) -> float:
        """The share that was drawn."""
        return len(self.drawn) / len(self.members)


@dataclass(frozen=True, eq=False)
class TileSample:
    """What is drawn: strata of clusters, and for each drawn cluster, by its number, strata of places."""

    population: TilePopulation
    clusters: tuple[Stratum, ...]
    places: dict[int, tuple[Stratum, ...]]

    @property
    def tiles(self) -> NDArray[np.bool_]:
        """Flags of the drawn tiles, bool ``(C, P)``."""
        flags = np.zeros((len(self.population.cluster_class), len(self.population.place_class)), dtype=np.bool_)
        for cluster, strata in self.places.items():
            for stratum in strata:
                flags[cluster, stratum.drawn] = True
        return flags

    def join_strata(self, cluster: int) -> tuple[Stratum, ...]:
        """Give the strata of a drawn cluster's places with all runs of neighbours of one class together."""
        by_kind: dict[int, list[Stratum]] = {}
        for stratum in self.places[cluster]:
            by_kind.setdefault(int(self.population.place_class[stratum.members[0]]), []).append(stratum)
        return tuple(
            Stratum(np.concatenate([one.members for one in runs]), np.concatenate([one.drawn for one in runs]))
            for runs in by_kind.values()
        )

    @property
    def fraction(self) -> float:
        """The share of the tiles that is drawn."""
        return int(self.tiles.sum()) / len(self.population)


@dataclass(frozen=True)
class StepDraws:
    """The random order in which the units of one step are drawn, keyed by (seed, layer, step) alone."""

    seed: int
    layer: str
    step: str

    def order_images(self, count: int) -> NDArray[np.float64]:
        """Give the priority of each image of a batch, the smallest first: ``(count,)``."""
        return keyed_generator(self.seed, self.layer, self.step, "images").random(count)

    def order_places(self, cluster: int, count: int) -> NDArray[np.float64]:
        """Give the priority of each place in a cluster: ``(count,)``."""
        return keyed_generator(self.seed, self.layer, self.step, "places", cluster).random(count)


@dataclass(frozen=True, eq=False)
class TileDraws:
    """The draws of tiles of a population.

    Attributes:
        cluster_order: Priority of each cluster, ``(C,)``.
    """

    population: TilePopulation
    draws: StepDraws
    cluster_order: NDArray[np.float64]

    def draw(self, effort: Effort) -> TileSample:
        """Draw the sample of an effort."""
        order = self.cluster_order
        clusters = tuple(
            choose_first(np.flatnonzero(self.population.cluster_class == kind), order, effort.clusters)
            for kind in np.unique(self.population.cluster_class)
        )
        chosen = np.sort(np.concatenate([stratum.drawn for stratum in clusters]))
        places = {int(cluster): self._draw_places(int(cluster), effort.halvings) for cluster in chosen}
        return TileSample(self.population, clusters, places)

    def _draw_places(self, cluster: int, halvings: int) -> tuple[Stratum, ...]:
        kinds = self.population.place_class
        order = self.draws.order_places(cluster, len(kinds))
        strata: list[Stratum] = []
        for kind in np.unique(kinds):
            strata += [choose_first(part, order, DRAWN) for part in halve(np.flatnonzero(kinds == kind), halvings)]
        return tuple(strata)


def choose_first(members: IntArray, order: NDArray[np.float64], count: int) -> Stratum:
    """Draw so many of the members, those with the smallest priorities; all where one would be left."""
    count = len(members) if len(members) <= max(ALL_DRAWN, count) else count
    drawn = members[np.argsort(order[members], kind="stable")[:count]]
    return Stratum(members.astype(np.int64), np.sort(drawn).astype(np.int64))


def halve(members: IntArray, halvings: int) -> list[IntArray]:
    """Halve a run of neighbours so often, but nothing that is drawn whole."""
    if not halvings or len(members) <= ALL_DRAWN:
        return [members]
    middle = (len(members) + 1) // 2
    return [*halve(members[:middle], halvings - 1), *halve(members[middle:], halvings - 1)]


def count_drawn(population: TilePopulation, effort: Effort) -> int:
    """Count the tiles that an effort draws."""
    _, cluster_sizes = np.unique(population.cluster_class, return_counts=True)
    clusters = sum(size if size <= max(ALL_DRAWN, effort.clusters) else effort.clusters for size in cluster_sizes)
    places = 0
    for kind in np.unique(population.place_class):
        parts = halve(np.flatnonzero(population.place_class == kind), effort.halvings)
        places += sum(len(part) if len(part) <= ALL_DRAWN else DRAWN for part in parts)
    return int(clusters) * places


def grow(population: TilePopulation, effort: Effort) -> Effort | None:
    """Double the clusters; once all of them are drawn, the places in them. None when everything is drawn."""
    if count_drawn(population, effort) == len(population):
        return None
    largest = int(np.unique(population.cluster_class, return_counts=True)[1].max())
    if effort.clusters < largest:
        return Effort(min(largest, 2 * effort.clusters), effort.halvings)
    return Effort(effort.clusters, effort.halvings + 1)


def draw_all(population: TilePopulation) -> Effort:
    """Give the effort that draws every tile."""
    return Effort(len(population.cluster_class), len(population.place_class).bit_length())


def start_effort(population: TilePopulation) -> Effort:
    """Give the smallest effort; a step of few tiles is drawn whole."""
    return draw_all(population) if len(population) <= FEW_TILES else Effort(LEAST_CLUSTERS)


def choose_effort(population: TilePopulation, fraction: float) -> Effort:
    """Give the largest effort that draws at most a fraction of the tiles, and the smallest one where none does."""
    if fraction >= 1:
        return draw_all(population)
    effort, wanted = start_effort(population), fraction * len(population)
    if count_drawn(population, effort) >= wanted:
        return effort
    largest = int(np.unique(population.cluster_class, return_counts=True)[1].max())
    while effort.clusters < largest:
        more = Effort(effort.clusters + 1)
        if count_drawn(population, more) > wanted:
            return effort
        effort = more
    while (further := grow(population, effort)) is not None and count_drawn(population, further) <= wanted:
        effort = further
    return effort
