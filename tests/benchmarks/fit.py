"""A straight line through wall times over effectual MACs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """seconds = intercept_s + s_per_gmac x effectual GMACs; residuals in seconds, r_squared of the fit."""

    intercept_s: float
    s_per_gmac: float
    r_squared: float
    residuals_s: tuple[float, ...]


def fit_line(gmacs: Sequence[float], seconds: Sequence[float]) -> Line:
    """Fit by least squares.

    Raises:
        ValueError: fewer than three points, which any line would fit.
    """
    if len(gmacs) < 3:
        raise ValueError(f"a line is fitted to at least 3 points, got {len(gmacs)}")
    times = np.asarray(seconds, dtype=np.float64)
    slope, intercept = (float(value) for value in np.polyfit(gmacs, times, 1))
    residuals = times - (intercept + slope * np.asarray(gmacs))
    spread = float(((times - times.mean()) ** 2).sum())
    r_squared = 1 - float((residuals**2).sum()) / spread if spread else 1.0
    return Line(intercept, slope, r_squared, tuple(float(value) for value in residuals))
