"""The threshold of a zero-mean normal gradient, from one sum: what hardware can gather while it writes."""

from __future__ import annotations

from math import exp, pi, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import BoolArray
from workloads.pruners.threshold_model import FittedThreshold, ThresholdModel
from workloads.pruning import threshold


class NormalModel(ThresholdModel):
    """Take elements for normal numbers, whose deviation the mean magnitude tells (`workloads.pruning.threshold`)."""

    def fit(self, gradient: NDArray[np.floating[Any]], mask: BoolArray | None, rate: float) -> FittedThreshold:
        """Give Phi^-1((1 + rate) / 2) deviations, and what is left of normal numbers."""
        return FittedThreshold(threshold(gradient, mask, rate), share_left(rate))


def share_left(rate: float) -> float:
    """Give the density that stochastic pruning at a rate leaves of normal numbers, in closed form.

    With z = Phi^-1((1 + rate) / 2) the threshold in standard deviations: P(|g| >= z) + E[|g| / z; |g| < z].
    """
    if rate == 0:
        return 1.0
    z = NormalDist().inv_cdf((1 + rate) / 2)
    return (1 - rate) + 2 * (1 - exp(-z * z / 2)) / (sqrt(2 * pi) * z)
