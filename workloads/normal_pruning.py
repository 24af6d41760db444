"""What stochastic pruning does to normal numbers: a threshold in standard deviations, and the share that it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, pi, sqrt
from statistics import NormalDist

from workloads.pruners.normal import share_left

# Thresholds that are looked for: below the first all but a thousandth is left, above the last less than any density.
LEAST_DEVIATIONS, MOST_DEVIATIONS = 1e-3, 1e9
HALVINGS = 100


@dataclass(frozen=True, slots=True)
class Thinning:
    """Stochastic pruning of normal numbers of a known deviation.

    Attributes:
        deviations: The threshold, in standard deviations.
        left: The share that remains nonzero.
    """

    deviations: float
    left: float


def thin_at_rate(rate: float) -> Thinning:
    """Give the pruning that aims at a rate above 0: that share of normal numbers lies below its threshold."""
    return Thinning(NormalDist().inv_cdf((1 + rate) / 2), share_left(rate))


def thin_to(left: float) -> Thinning:
    """Give the pruning that leaves a share; where nothing is to go, one with a threshold all but 0."""
    low, high = LEAST_DEVIATIONS, MOST_DEVIATIONS
    if left >= _share_above(low):
        return Thinning(low, 1.0)
    # Halved in their ratio, for small shares need thresholds that are larger by powers of ten.
    for _ in range(HALVINGS):
        middle = sqrt(low * high)
        low, high = (middle, high) if _share_above(middle) > left else (low, middle)
    return Thinning(high, left)


def _share_above(z: float) -> float:
    """Give the share left behind a threshold of z deviations."""
    return 2 * NormalDist().cdf(-z) + _share_snapped(z)


def _share_snapped(z: float) -> float:
    """Give E[|g| / z; |g| < z], the share of numbers that become the threshold."""
    return 2 * (1 - exp(-z * z / 2)) / (sqrt(2 * pi) * z)
