"""The threshold of a gradient whose nonzero magnitudes are log-normal.

Gradients of trained networks are reported to be nearly so: B. Chmiel, L. Ben-Uri, M. Shkolnik, E. Hoffer, R. Banner,
D. Soudry, "Neural gradients are near-lognormal: improved quantized and sparse training", ICLR 2021, arXiv 2006.08173.
"""

from __future__ import annotations

from math import erfc, exp, log, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import BoolArray
from workloads.pruners.threshold_model import (
    FLOAT32_LARGEST,
    NOTHING_TO_PRUNE,
    FittedThreshold,
    ThresholdModel,
    round_threshold,
    select_magnitudes,
)

# So far out Phi(-x) underflows soon; phi(x) / x equals it within 1 / x^2, 0.2 % here.
TAIL = 25.0


class LognormalModel(ThresholdModel):
    """Take log |g| of the nonzeros for normal numbers; zeros are a share of their own, below every threshold."""

    def fit(self, gradient: NDArray[np.floating[Any]], mask: BoolArray | None, rate: float) -> FittedThreshold:
        """Give exp(mean + deviation Phi^-1(q)) of log |g|, q the share of the nonzeros that is still to lie below.

        Of n positions z are zero: q = (rate n - z) / (n - z), and tau is 0, which prunes nothing, where q is not above
        0. The density expected is 1 - q + E[|g| / tau; |g| < tau] of the nonzeros.
        """
        magnitudes = select_magnitudes(gradient, mask)
        logarithms = np.log(magnitudes[magnitudes != 0], dtype=np.float64)
        if not logarithms.size:
            return NOTHING_TO_PRUNE
        nonzero = logarithms.size / magnitudes.size
        below = 1 - (1 - rate) / nonzero
        if below <= 0:
            return FittedThreshold(0.0, nonzero)
        mean, deviation = float(logarithms.mean()), float(logarithms.std())
        z = NormalDist().inv_cdf(below)
        tau = round_threshold(exp(min(mean + deviation * z, log(FLOAT32_LARGEST))))
        return FittedThreshold(tau, nonzero * (1 - below + expect_snapped(deviation, z)))


def expect_snapped(deviation: float, z: float) -> float:
    """Give E[|g| / tau; |g| < tau] of log-normal magnitudes, log tau being z deviations above the mean of log |g|.

    exp(deviation (deviation / 2 - z)) Phi(z - deviation).
    """
    distance = deviation - z
    if distance > TAIL:
        return NormalDist().pdf(z) / distance
    return exp(deviation * (deviation / 2 - z)) * erfc(distance / sqrt(2)) / 2
