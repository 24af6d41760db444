"""Stochastic gradient pruning: thresholds, their FIFO, and which elements are snapped.

The draws are counter-based: an element's number follows from (seed, layer, iteration, image, element) alone, so any
row can be pruned by itself, in any order and in any process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import fsum, pi, sqrt
from statistics import NormalDist
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import BoolArray
from workloads.draws import draw_first_words
from workloads.kernel import freeze
from workloads.pruning_kernels import add_magnitudes, count_elements, prune_elements
from workloads.workers import share_out

Array = NDArray[np.floating[Any]]

# A gradient is summed and pruned in so many parts, whoever does them.
PARTS = 2
# Sums of magnitudes beside each other, whose additions need not wait for one another.
LANES = 256


@dataclass(frozen=True, slots=True)
class PruningKey:
    """The place of a tensor's draws; layer is the node to whose output the gradient is.

    Attributes:
        images: The numbers of a tensor's images in their batch; None is 0, 1, 2 and so on.
    """

    seed: int
    layer: str
    iteration: int
    images: tuple[int, ...] | None = None

    def image_key(self, image: int) -> int:
        """Give the 64-bit counter from which the elements of a tensor's image count on."""
        number = image if self.images is None else self.images[image]
        return int(draw_first_words(self.seed, (self.layer, "pruning", self.iteration), [number])[0])

    def image_keys(self, images: int) -> NDArray[np.uint64]:
        """Give the counters of a tensor's first images."""
        numbers = [image if self.images is None else self.images[image] for image in range(images)]
        return draw_first_words(self.seed, (self.layer, "pruning", self.iteration), numbers)


def threshold(gradient: Array, mask: BoolArray | None, rate: float) -> float:
    """Give tau, below which a share `rate` of a zero-mean normal gradient lies, as a float32 value; 0 prunes nothing.

    sigma is sqrt(pi / 2) times the mean magnitude over the positions where the mask is set (None: over all); tau is
    its quantile of (1 + rate) / 2.

    Raises:
        ValueError: the rate is not in [0, 1).
    """
    return threshold_of_sum(*_sum_magnitudes(gradient, mask), rate)


def threshold_of_sum(total: float, positions: int, rate: float) -> float:
    """Give tau from the sum of the magnitudes at so many positions.

    Raises:
        ValueError: the rate is not in [0, 1).
    """
    if not 0 <= rate < 1:
        raise ValueError(f"a pruning rate must be at least 0 and below 1, got {rate}")
    if not positions:
        return 0.0
    sigma = sqrt(pi / 2) * total / positions
    return float(np.float32(normal_quantile(rate) * sigma))


def normal_quantile(rate: float) -> float:
    """Give the magnitude below which a share `rate` of standard normal numbers lies."""
    return NormalDist().inv_cdf((1 + rate) / 2)


def prune(gradient: Array, tau: float, key: PruningKey) -> Array:
    """Prune a gradient ``(N, ...)``: below tau in magnitude an element becomes sign * tau or 0, unbiased.

    It becomes sign * tau with probability magnitude / tau. tau = 0 gives the gradient itself.
    """
    return prune_and_count(gradient, tau, key).gradient


@dataclass(frozen=True, eq=False, slots=True)
class PrunedGradient:
    """A gradient that was pruned, and which shares of all its elements are not zero, and were snapped or equal tau."""

    gradient: Array
    density: float
    snapped: float


def prune_and_count(gradient: Array, tau: float, key: PruningKey) -> PrunedGradient:
    """Prune as `prune` does, and count what becomes of the elements on the way."""
    if tau == 0 or not gradient.size:
        return PrunedGradient(gradient, measure_density(gradient) if gradient.size else 0.0, 0.0)
    pruned = np.empty(gradient.shape, gradient.dtype)
    values, keys = freeze(gradient).reshape(-1), key.image_keys(len(gradient))
    limit, first, counts = gradient.dtype.type(tau), _cut(len(gradient)), np.zeros((PARTS, 2), np.int64)

    def prune_part(part: int) -> None:
        images = (first[part], first[part + 1])
        counts[part] = prune_elements(values, keys, float(tau), limit, images, pruned.reshape(-1))

    share_out(prune_part, PARTS)
    nonzeros, snapped = (counts.sum(axis=0) / gradient.size).tolist()
    return PrunedGradient(pruned, nonzeros, snapped)


def measure_density(gradient: Array) -> float:
    """Give the share of nonzeros among all elements."""
    values, counts = freeze(gradient).reshape(-1), [0] * PARTS
    first = _cut(values.size)

    def count_part(part: int) -> None:
        counts[part] = int(count_elements(values[first[part] : first[part + 1]]))

    share_out(count_part, PARTS)
    return sum(counts) / values.size


def _cut(size: int) -> list[int]:
    """Give where parts begin, and the end of the last."""
    return [size * part // PARTS for part in range(PARTS + 1)]


def _sum_magnitudes(gradient: Array, mask: BoolArray | None) -> tuple[float, int]:
    """Sum the magnitudes where the mask is set, in float64 and in one order, and count what was summed."""
    values = freeze(gradient).reshape(-1)
    flags = freeze(np.empty(0, np.bool_) if mask is None else mask).reshape(-1)
    sums, counts = np.zeros((PARTS, LANES)), [0] * PARTS
    first = _cut(len(values))

    def add_part(part: int) -> None:
        chosen = slice(first[part], first[part + 1])
        counts[part] = add_magnitudes(values[chosen], flags[chosen], mask is not None, sums[part])

    share_out(add_part, PARTS)
    return float(sums.sum()), sum(counts)


@dataclass(frozen=True)
class PruningState:
    """The FIFO of thresholds of every pruned gradient: those of its last `depth` batches, oldest first."""

    depth: int
    taus: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"a FIFO of thresholds must be at least 1 deep, got {self.depth}")
        longest = max((len(taus) for taus in self.taus.values()), default=0)
        if longest > self.depth:
            raise ValueError(f"a FIFO of depth {self.depth} cannot hold {longest} thresholds")
        object.__setattr__(self, "taus", MappingProxyType(dict(self.taus)))

    def threshold(self, layer: str) -> float:
        """Give the mean of a full FIFO, as a float32 value; 0, which prunes nothing, before it is full."""
        taus = self.taus.get(layer, ())
        return float(np.float32(fsum(taus) / self.depth)) if len(taus) == self.depth else 0.0

    def push(self, taus: Mapping[str, float]) -> PruningState:
        """Give the state after a batch whose own unpruned gradients had these thresholds."""
        pushed = {layer: (*self.taus.get(layer, ()), tau)[-self.depth :] for layer, tau in taus.items()}
        return PruningState(self.depth, {**self.taus, **pushed})
