"""Images made larger."""

from __future__ import annotations

from typing import ClassVar, Literal

from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.kinds.resampling import ResamplingLayer
from workloads.kinds.window_fields import SizeField, resolve_pair
from workloads.reference.resampling import Weights, weigh_linear, weigh_nearest


class Upsample(ResamplingLayer):
    """Images `scale` times as high and wide, of nearest neighbours or interpolated in both directions, as in torch."""

    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DERIVED, gradient=GradientRule.HANDED_ON)

    type: Literal["upsample"]
    scale: SizeField
    mode: Literal["nearest", "bilinear"] = "nearest"
    align_corners: bool = False

    def measure(self, height: int, width: int) -> tuple[int, int]:
        """Give the size times the scale.

        Raises:
            ValueError: corners are to be aligned of what has none.
        """
        if self.mode == "nearest" and self.align_corners:
            raise ValueError("align_corners is for mode: bilinear; the nearest neighbour has no corners to align")
        down, across = resolve_pair(self.scale)
        return height * down, width * across

    def weigh(self, height: int, width: int) -> tuple[Weights, Weights]:
        """Give the shares of neighbours in rows and in columns."""
        down, across = resolve_pair(self.scale)
        if self.mode == "nearest":
            return weigh_nearest(height, down), weigh_nearest(width, across)
        return weigh_linear(height, down, self.align_corners), weigh_linear(width, across, self.align_corners)
