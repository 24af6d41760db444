"""How a run is sampled."""

from __future__ import annotations

from dataclasses import dataclass

# What `auto` aims at: half the width of the interval of a machine's total cycles, as a share of them.
AIM = 0.01


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """How a run is sampled: the fraction of every step's tiles, None for as few as the aim allows; keys of draws."""

    fraction: float | None
    seed: int
    nominal_macs: int

    def bound(self, step_macs: int) -> float:
        """Give the share of a step's cycles that half its interval may take.

        Steps are drawn independently, so the squares of half widths add up. If each step keeps within the aim over the
        root of its share of the work, and takes that share of the cycles, the total keeps within the aim.
        """
        return float(AIM / (step_macs / self.nominal_macs) ** 0.5)
