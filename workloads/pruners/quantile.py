"""The exact quantile of a batch: an oracle, for which hardware would have to sort a gradient before it prunes it."""

from __future__ import annotations

from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import BoolArray
from workloads.pruners.threshold_model import (
    NOTHING_TO_PRUNE,
    FittedThreshold,
    ThresholdModel,
    round_threshold,
    select_magnitudes,
)


class ExactQuantile(ThresholdModel):
    """Count: of n positions, floor(rate n) lie below the threshold, or fewer where magnitudes are equal."""

    def fit(self, gradient: NDArray[np.floating[Any]], mask: BoolArray | None, rate: float) -> FittedThreshold:
        """Give the magnitude with the place floor(rate n), counted from 0, in ascending order.

        It is 0, which prunes nothing, where more than that many positions are zero already. The density expected is
        that of these very elements: the mean of min(1, magnitude / tau).
        """
        magnitudes = select_magnitudes(gradient, mask)
        if not magnitudes.size:
            return NOTHING_TO_PRUNE
        place = floor(rate * magnitudes.size)
        tau = round_threshold(float(np.partition(magnitudes, place)[place])) if place else 0.0
        if not tau:
            return FittedThreshold(0.0, np.count_nonzero(magnitudes) / magnitudes.size)
        return FittedThreshold(tau, float(np.minimum(magnitudes, tau).mean(dtype=np.float64)) / tau)
