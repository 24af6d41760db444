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
from workloads.draws import keyed_generator

Array = NDArray[np.floating[Any]]

UINT64_LAST = 2**64 - 1
# SplitMix64: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figure 16.
GOLDEN_GAMMA = 0x9E3779B97F4A7C15
FIRST_FACTOR, SECOND_FACTOR = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
FRACTION_SHIFT, FRACTION_UNIT = 11, 2.0**-53


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
        generator = keyed_generator(self.seed, self.layer, "pruning", self.iteration, number)
        return int(generator.integers(UINT64_LAST, dtype=np.uint64, endpoint=True))


def threshold(gradient: Array, mask: BoolArray | None, rate: float) -> float:
    """Give tau, below which a share `rate` of a zero-mean normal gradient lies, as a float32 value; 0 prunes nothing.

    sigma is sqrt(pi / 2) times the mean magnitude over the positions where the mask is set (None: over all); tau is
    its quantile of (1 + rate) / 2.

    Raises:
        ValueError: the rate is not in [0, 1).
    """
    if not 0 <= rate < 1:
        raise ValueError(f"a pruning rate must be at least 0 and below 1, got {rate}")
    magnitudes = np.abs(gradient)
    positions = magnitudes.size if mask is None else int(np.count_nonzero(mask))
    if not positions:
        return 0.0
    total = float(magnitudes.sum(dtype=np.float64, where=True if mask is None else mask))
    sigma = sqrt(pi / 2) * total / positions
    return float(np.float32(normal_quantile(rate) * sigma))


def normal_quantile(rate: float) -> float:
    """Give the magnitude below which a share `rate` of standard normal numbers lies."""
    return NormalDist().inv_cdf((1 + rate) / 2)


def prune(gradient: Array, tau: float, key: PruningKey) -> Array:
    """Prune a gradient ``(N, ...)``: below tau in magnitude an element becomes sign * tau or 0, unbiased.

    It becomes sign * tau with probability magnitude / tau. tau = 0 gives the gradient itself.
    """
    if tau == 0:
        return gradient
    pruned = np.ascontiguousarray(gradient).copy()
    for image in range(len(pruned)):
        flat = pruned[image].reshape(-1)
        small = np.flatnonzero((np.abs(flat) < tau) & (flat != 0))
        values = flat[small]
        is_snapped = draw_uniforms(key.image_key(image), small) * tau < np.abs(values)
        flat[small] = np.where(is_snapped, np.copysign(tau, values), 0.0)
    return pruned


def draw_uniforms(image_key: int, elements: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Give the numbers in [0, 1) of an image's elements, which are counted in C order: SplitMix64 at each counter."""
    mixed = elements.astype(np.uint64) + np.uint64(1)
    mixed *= np.uint64(GOLDEN_GAMMA)
    mixed += np.uint64(image_key)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(FIRST_FACTOR)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(SECOND_FACTOR)
    mixed ^= mixed >> np.uint64(31)
    uniforms = (mixed >> np.uint64(FRACTION_SHIFT)).astype(np.float64)
    uniforms *= FRACTION_UNIT
    return uniforms


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
