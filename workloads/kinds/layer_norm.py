"""Layer norm."""

from __future__ import annotations

from math import prod
from typing import Literal

from workloads.kinds.row_norm import RowNorm
from workloads.layers import PositiveInt
from workloads.shapes import Shape


class LayerNorm(RowNorm):
    """Normalisation over the last axes, as many as `axes` says, with a learned scale and shift of their shape."""

    type: Literal["layer_norm"]
    axes: PositiveInt = 1
    affine: bool = True

    def measure_row(self, shape: Shape) -> int:
        """Count the elements of the last axes."""
        if self.axes >= len(shape):
            raise ValueError(
                f"axes must leave the batch out, so at most {len(shape) - 1} for an input of shape {shape}, "
                f"got {self.axes}"
            )
        return prod(shape[-self.axes :])

    def list_scaled_axes(self, rank: int) -> range:
        """List the axes that are normalised over."""
        return range(rank - self.axes, rank)
