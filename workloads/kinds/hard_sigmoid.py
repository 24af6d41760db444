"""The hard sigmoid."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from workloads.arrays import BoolArray
from workloads.kinds.elementwise import FlaggedActivation
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.reference.activations import hard_sigmoid
from workloads.reference.arrays import Array


class HardSigmoid(FlaggedActivation):
    """min(max(x + 3, 0), 6) / 6.

    Its output is zero for x <= -3, and its derivative is zero there, as it is from 3 on. That would do for a mask, but
    it stands in a pass, not in the unit that masks, and mostly before a product: a layer behind one has no mask, but it
    does skip the zeros. How many there are only a trained network tells, so a profile needs rows for it.
    """

    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.FIGURE, gradient=GradientRule.FIGURE)

    type: Literal["hard_sigmoid"]

    def activate(self, input: Array) -> Array:
        """Compute the output."""
        return hard_sigmoid(input)

    def flag(self, input: Array) -> BoolArray:
        """Tell what is not clipped."""
        return np.abs(input) < 3

    def list_slopes(self) -> tuple[float, float]:
        """Give 0 where it is clipped, else 1/6."""
        return 0.0, 1 / 6
