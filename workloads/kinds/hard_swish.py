"""The hard swish."""

from __future__ import annotations

from typing import ClassVar, Literal

from workloads.kinds.elementwise import InputActivation
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.reference.activations import hard_swish, hard_swish_slope
from workloads.reference.arrays import Array


class HardSwish(InputActivation):
    """x min(max(x + 3, 0), 6) / 6.

    Its output is zero for all x <= -3, where its derivative is zero, and at x = 0, where that is 1/2. So an output of
    zero does not tell that no gradient is needed: a layer behind one has no mask, but it does skip the zeros. How many
    there are only a trained network tells, so a profile needs rows for it.
    """

    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.FIGURE, gradient=GradientRule.FIGURE)

    type: Literal["hard_swish"]

    def activate(self, input: Array) -> Array:
        """Compute the output."""
        return hard_swish(input)

    def differentiate(self, input: Array) -> Array:
        """Compute the derivative from the input: two of them have the same output."""
        return hard_swish_slope(input)
