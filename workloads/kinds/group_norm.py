"""Group norm."""

from __future__ import annotations

from math import prod
from typing import Literal

from workloads.kinds.row_norm import RowNorm
from workloads.layers import PositiveInt
from workloads.shapes import Shape


class GroupNorm(RowNorm):
    """Normalisation over the positions of each group of channels (the second axis), with learned scale and shift."""

    type: Literal["group_norm"]
    groups: PositiveInt
    affine: bool = True

    def measure_row(self, shape: Shape) -> int:
        """Count the elements of a group, which must divide the channels."""
        if shape[1] % self.groups:
            raise ValueError(f"groups must divide the {shape[1]} channels of the input, got {self.groups}")
        return prod(shape[1:]) // self.groups

    def list_scaled_axes(self, _rank: int) -> range:
        """List the channels."""
        return range(1, 2)
