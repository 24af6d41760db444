"""What a threshold model is: from a gradient and a rate it gives tau, and the density that it then expects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import BoolArray

FLOAT32_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class FittedThreshold:
    """A threshold, and the share of the positions that the model expects to be nonzero behind the pruning with it.

    Attributes:
        tau: A float32 value; 0 prunes nothing.
    """

    tau: float
    density: float


NOTHING_TO_PRUNE = FittedThreshold(0.0, 0.0)


class ThresholdModel(ABC):
    """A way to choose the threshold below which a share of a gradient's elements lies. It is made without arguments."""

    @abstractmethod
    def fit(self, gradient: NDArray[np.floating[Any]], mask: BoolArray | None, rate: float) -> FittedThreshold:
        """Give the threshold of a gradient ``(N, ...)``, which stays as it is.

        Positions are those where the mask is set, of the gradient's shape, or all without one; zeros at positions
        count. Gradients that are k times as large have a threshold k times as large.

        Args:
            rate: The share of the positions below tau that is aimed at, in [0, 1); at 0 tau is 0.
        """


def select_magnitudes(gradient: NDArray[np.floating[Any]], mask: BoolArray | None) -> NDArray[np.floating[Any]]:
    """Give the magnitudes at a gradient's positions, in one row that is the caller's own."""
    magnitudes: NDArray[np.floating[Any]] = np.abs(gradient.reshape(-1) if mask is None else gradient[mask])
    return magnitudes


def round_threshold(tau: float) -> float:
    """Give a threshold as a float32 value; one beyond float32 is its largest number."""
    return float(np.float32(min(tau, FLOAT32_LARGEST)))
