"""Estimates from a sample: weights for sums, a hot deck for what is no sum, the jackknife for both.

In a sum a drawn tile stands for as many as its strata have. What is no sum, such as the cycles of a step, is computed
on a whole table of tiles: one that was not drawn takes the figures of a drawn one of its stratum, all of them
together, and a cluster that was not drawn those of a drawn cluster, place by place. Donors take turns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sim.sampling.design import Stratum, TileSample
from sim.sampling.intervals import EXACT, Spread, add_independent
from workloads.arrays import Float64Array, IntArray
from workloads.draws import keyed_generator


@dataclass(frozen=True, eq=False)
class Deck:
    """A whole table of tiles made of drawn ones.

    Attributes:
        donors: int64 ``(C, P)``, for each tile the drawn one whose figures it takes.
        weights: float ``(drawn,)``, how many tiles each drawn one stands for in a sum. Drawn tiles are numbered by
            cluster, then by place.
        cluster_weights: float ``(drawn clusters,)``, the same of clusters, ascending.
    """

    donors: IntArray
    weights: Float64Array
    cluster_weights: Float64Array


ROUNDING = 1e-12
# Tiles of one class in a cluster that are left out one by one; with 63 degrees of freedom an interval is 2 % wider.
MOST_GROUPS = 64

Evaluate = Callable[[Deck], Float64Array]


def make_deck(sample: TileSample) -> Deck:
    """Deal the drawn tiles to all tiles."""
    return _Dealer(sample).deck


def estimate_spreads(sample: TileSample, evaluate: Evaluate) -> tuple[Float64Array, tuple[Spread, ...]]:
    """Estimate quantities, and their spreads by the jackknife: each drawn cluster and each drawn tile is left out once.

    Args:
        evaluate: Gives the quantities, float ``(quantities,)``, of a deck. With s^2 the variances of both stages and f
            the share of clusters drawn, the variance is (1 - f) s_clusters^2 + f s_tiles^2 (Cochran, Sampling
            Techniques, 10.4). The runs of neighbours that places of one class were cut into count as one stratum here:
            two draws of a run are alike by chance too often, and what the runs gain is left as a reserve. Where many
            tiles of a class were drawn in a cluster, groups of them are left out, for each that is left out deals the
            table again.
    """
    dealer = _Dealer(sample)
    found = evaluate(dealer.deck)
    parts: list[list[Spread]] = [[] for _ in found]

    def add(stratum: Stratum, share: float, values: list[Float64Array]) -> None:
        count = len(values)
        deviations = np.square(np.array(values) - np.mean(values, axis=0)).sum(axis=0)
        variances = share * (1 - stratum.fraction) * (count - 1) / count * deviations
        for place, variance in enumerate(variances):
            parts[place].append(Spread(float(variance), count - 1))

    for stratum in sample.clusters:
        if stratum.fraction < 1:
            add(stratum, 1.0, [evaluate(dealer.without_cluster(stratum, int(one))) for one in stratum.drawn])
        for cluster in stratum.drawn:
            for places in sample.join_strata(int(cluster)):
                if places.fraction < 1:
                    groups = group_tiles(places.drawn)
                    left_out = (dealer.without_tiles(stratum, int(cluster), places, group) for group in groups)
                    add(places, stratum.fraction, [evaluate(deck) for deck in left_out])
    spreads = (add_independent(one) for one in parts)
    # Prices are sums of floats: what they round off is no spread.
    return found, tuple(
        EXACT if one.variance <= (ROUNDING * value) ** 2 else one for one, value in zip(spreads, found, strict=True)
    )


def group_tiles(drawn: IntArray) -> list[IntArray]:
    """Cut drawn tiles into groups to be left out: each by itself, or some of them at random where they are many."""
    if len(drawn) <= MOST_GROUPS:
        return np.split(drawn, len(drawn))
    # Neighbours in one group, or spread evenly, would be more, or less, alike than the tiles are.
    return np.array_split(keyed_generator(0, "groups").permutation(drawn), MOST_GROUPS)


class _Dealer:
    """Deals decks of one sample, whole or with something left out."""

    def __init__(self, sample: TileSample) -> None:
        drawn = sample.tiles
        self._numbers = np.cumsum(drawn.reshape(-1)).reshape(drawn.shape) - 1
        self._sample = sample
        self._rows = {cluster: self._deal_places(cluster, sample.places[cluster]) for cluster in sorted(sample.places)}
        donors = np.zeros(drawn.shape, dtype=np.int64)
        self._donor_of = np.zeros(len(drawn), dtype=np.int64)
        weights, cluster_weights = np.zeros(int(drawn.sum())), np.zeros(len(self._rows))
        self._chosen = np.array(list(self._rows), dtype=np.int64)
        for stratum in sample.clusters:
            cluster_weights[np.searchsorted(self._chosen, stratum.drawn)] = 1 / stratum.fraction
            self._donor_of[stratum.drawn] = stratum.drawn
            others = np.setdiff1d(stratum.members, stratum.drawn)
            self._donor_of[others] = take_turns(stratum.drawn, len(others))
            for cluster in stratum.drawn:
                for places in sample.places[int(cluster)]:
                    weights[self._numbers[cluster, places.drawn]] = 1 / (stratum.fraction * places.fraction)
        for cluster, donor in enumerate(self._donor_of):
            donors[cluster] = self._rows[int(donor)]
        self.deck = Deck(donors, weights, cluster_weights)

    def without_cluster(self, stratum: Stratum, cluster: int) -> Deck:
        """Deal the deck again as if a cluster had not been drawn."""
        left = stratum.drawn[stratum.drawn != cluster]
        donors, weights = self.deck.donors.copy(), self.deck.weights.copy()
        needy = np.flatnonzero(self._donor_of == cluster)
        for place, donor in zip(needy, take_turns(left, len(needy)), strict=True):
            donors[place] = self._rows[int(donor)]
        cluster_weights = self.deck.cluster_weights.copy()
        for one in stratum.drawn:
            factor = 0.0 if one == cluster else len(stratum.drawn) / len(left)
            weights[np.unique(self._rows[int(one)])] *= factor
            cluster_weights[np.searchsorted(self._chosen, one)] *= factor
        return Deck(donors, weights, cluster_weights)

    def without_tiles(self, stratum: Stratum, cluster: int, places: Stratum, tiles: IntArray) -> Deck:
        """Deal the deck again as if tiles had not been drawn, the others from all places of their class alike."""
        left = np.setdiff1d(places.drawn, tiles)
        donors, weights = self.deck.donors.copy(), self.deck.weights.copy()
        row = self._rows[cluster].copy()
        needy = np.setdiff1d(places.members, left)
        row[needy] = self._numbers[cluster, take_turns(left, len(needy))]
        donors[self._donor_of == cluster] = row
        weights[self._numbers[cluster, tiles]] = 0.0
        weights[self._numbers[cluster, left]] = len(places.members) / len(left) / stratum.fraction
        return Deck(donors, weights, self.deck.cluster_weights)

    def _deal_places(self, cluster: int, strata: tuple[Stratum, ...]) -> IntArray:
        row = np.zeros(self._numbers.shape[1], dtype=np.int64)
        for stratum in strata:
            row[stratum.drawn] = self._numbers[cluster, stratum.drawn]
            others = np.setdiff1d(stratum.members, stratum.drawn)
            row[others] = self._numbers[cluster, take_turns(stratum.drawn, len(others))]
        return row


def take_turns(donors: IntArray, count: int) -> IntArray:
    """Give so many donors, each as often as any other, but for one."""
    turns: IntArray = donors[np.arange(count) % len(donors)]
    return turns
