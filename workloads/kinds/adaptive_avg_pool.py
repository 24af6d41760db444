"""The average pooling to a given size."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from workloads.arrays import IntArray
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.kinds.resampling import ResamplingLayer
from workloads.kinds.window_fields import SizeField, resolve_pair
from workloads.reference.resampling import Weights, weigh_adaptive


class AdaptiveAvgPool(ResamplingLayer):
    """Means over windows that cover the image in `output` rows and columns, as torch lays them."""

    profile: ClassVar[ProfileRules] = ProfileRules(
        output=OutputRule.DERIVED, gradient=GradientRule.HANDED_ON, spreads_gradient=True
    )

    type: Literal["adaptive_avg_pool"]
    output: SizeField

    def measure(self, _height: int, _width: int) -> tuple[int, int]:
        """Give the size that is asked for."""
        return resolve_pair(self.output)

    def locate_rows(self, height: int) -> tuple[IntArray, IntArray]:
        """Give the rows that each window covers."""
        rows = resolve_pair(self.output)[0]
        places = np.arange(rows)
        return places * height // rows, -(-(places + 1) * height // rows) - 1

    def weigh(self, height: int, width: int) -> tuple[Weights, Weights]:
        """Give the shares of each window's rows and columns."""
        rows, columns = resolve_pair(self.output)
        return weigh_adaptive(height, rows), weigh_adaptive(width, columns)
