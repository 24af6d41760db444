"""Instance norm."""

from __future__ import annotations

from typing import Literal

from workloads.kinds.row_norm import RowNorm
from workloads.kinds.shape_rules import expect_image
from workloads.shapes import Shape


class InstanceNorm(RowNorm):
    """Normalisation over the positions of each channel of each image, without scale and shift unless `affine`."""

    type: Literal["instance_norm"]
    affine: bool = False

    def measure_row(self, shape: Shape) -> int:
        """Count the positions."""
        expect_image(self, shape)
        return shape[2] * shape[3]

    def list_scaled_axes(self, _rank: int) -> range:
        """List the channels."""
        return range(1, 2)
