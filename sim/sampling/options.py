"""How a run is sampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# What `auto` aims at: half the width of the interval of a machine's total cycles, as a share of them.
AIM = 0.01


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """How a run is sampled: the fraction of every step's tiles, None for as few as the aim allows; keys of draws.

    Attributes:
        bounds: Of (layer, step), a second bound on the share of its cycles that half its interval may take, besides
            that by shares of the MACs.
    """

    fraction: float | None
    seed: int
    nominal_macs: int
    bounds: Mapping[tuple[str, str], float] | None = None

    def bound(self, layer: str, step: str, step_macs: int, has_all: bool) -> float:
        """Give the share of a step's cycles that half its interval may take.

        Steps are drawn independently, so the squares of half widths add up. If each step keeps within the aim over the
        root of its share of the work, and takes that share of the cycles, the total keeps within the aim. Steps of
        operands that pass by only once are held to the aim itself, which the total then keeps in any case.
        """
        bound = AIM if has_all else AIM / (step_macs / self.nominal_macs) ** 0.5
        return bound if self.bounds is None else min(bound, self.bounds[layer, step])
