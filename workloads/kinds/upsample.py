"""Images made larger."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from workloads.arrays import IntArray
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.kinds.resampling import ResamplingLayer
from workloads.kinds.window_fields import SizeField, resolve_pair
from workloads.reference.resampling import Weights, locate_below, weigh_linear, weigh_nearest


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

    def locate_rows(self, height: int) -> tuple[IntArray, IntArray]:
        """Give the nearest rows, or those on both sides of each place."""
        down = resolve_pair(self.scale)[0]
        places = np.arange(height * down)
        if self.mode == "nearest":
            return places // down, places // down
        below, share = locate_below(height, down, self.align_corners)
        return below, np.minimum(below + (share > 0), height - 1)

    def weigh(self, height: int, width: int) -> tuple[Weights, Weights]:
        """Give the shares of neighbours in rows and in columns."""
        down, across = resolve_pair(self.scale)
        if self.mode == "nearest":
            return weigh_nearest(height, down), weigh_nearest(width, across)
        return weigh_linear(height, down, self.align_corners), weigh_linear(width, across, self.align_corners)
