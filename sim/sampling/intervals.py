"""Confidence intervals: Student's t with the degrees of freedom of Satterthwaite."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

CONFIDENCE = 0.95
# Continued fraction of the incomplete beta function: terms at most, and the change that ends it.
MOST_TERMS, LEAST_CHANGE = 1000, 1e-15
TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Spread:
    """How far an estimate may be off: its variance, and the degrees of freedom that variance was estimated with."""

    variance: float = 0.0
    degrees: float = math.inf

    @property
    def half_width(self) -> float:
        """Half the width of the 95 % confidence interval, in the estimate's unit."""
        return student_quantile(self.degrees) * math.sqrt(self.variance) if self.variance else 0.0


EXACT = Spread()


def add_independent(spreads: Iterable[Spread]) -> Spread:
    """Give the spread of a sum of independent estimates; its degrees of freedom are Satterthwaite's (1946)."""
    parts = [spread for spread in spreads if spread.variance]
    total = math.fsum(part.variance for part in parts)
    if not total:
        return EXACT
    shares = math.fsum((part.variance / total) ** 2 / part.degrees for part in parts)
    return Spread(total, max(1.0, 1 / shares) if shares else math.inf)


def scale_spread(spread: Spread, factor: float) -> Spread:
    """Give the spread of an estimate times a constant."""
    return Spread(spread.variance * factor * factor, spread.degrees)


def divide_estimates(
    numerator: float, numerator_spread: Spread, denominator: float, denominator_spread: Spread
) -> Spread:
    """Give the spread of a ratio, to first order, of two estimates taken as independent.

    Machines that are sampled on the same images err together, so that their ratio is rather closer than this says.
    """
    parts = (
        scale_spread(numerator_spread, 1 / denominator),
        scale_spread(denominator_spread, numerator / denominator**2),
    )
    return add_independent(parts)


@lru_cache(maxsize=4096)
def student_quantile(degrees: float, confidence: float = CONFIDENCE) -> float:
    """Give how many standard errors hold a Student's t of so many degrees of freedom with this probability.

    Raises:
        ValueError: there is less than one degree of freedom.
    """
    if degrees < 1:
        raise ValueError(f"an interval needs at least one degree of freedom, got {degrees}")
    low, high = 0.0, 1.0
    while student_within(high, degrees) < confidence:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student_within(middle, degrees) < confidence else (low, middle)
    return (low + high) / 2


def student_within(bound: float, degrees: float) -> float:
    """Give the probability that a Student's t lies within +- bound."""
    if math.isinf(degrees):
        return math.erf(bound / math.sqrt(2))
    return 1 - incomplete_beta(degrees / (degrees + bound * bound), degrees / 2, 0.5)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Give the regularised incomplete beta function I_x(a, b) by its continued fraction (Lentz's method)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    value, upper, lower = 1.0, 1.0, 0.0
    for term in range(MOST_TERMS):
        half = term // 2
        if term == 0:
            factor = 1.0
        elif term % 2 == 0:
            factor = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        else:
            factor = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        lower = 1 / ((1 + factor * lower) or TINY)
        upper = (1 + factor / upper) or TINY
        value *= upper * lower
        if term and abs(upper * lower - 1) < LEAST_CHANGE:
            break
    return front * (value - 1)
