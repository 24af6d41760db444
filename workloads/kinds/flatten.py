"""The layer that makes features of images."""

from __future__ import annotations

from math import prod
from typing import Literal

from workloads.kinds.rearrangement import View
from workloads.layers import PositiveInt
from workloads.reference.arrays import Array
from workloads.shapes import Shape


class Flatten(View):
    """Join the axes from `start_axis` on: (N, C, H, W) to (N, C H W)."""

    type: Literal["flatten"]
    start_axis: PositiveInt = 1

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Join the axes; there must be one behind the batch from which on to join."""
        shape = shapes[0]
        if len(shape) < 3 and self.start_axis == 1:
            raise ValueError(f"flatten joins two axes or more behind the batch, but its input has the shape {shape}")
        if self.start_axis >= len(shape):
            raise ValueError(
                f"start_axis must be from 1 to {len(shape) - 1} for an input of shape {shape}, got {self.start_axis}"
            )
        return (*shape[: self.start_axis], prod(shape[self.start_axis :]))

    def rearrange(self, input: Array) -> Array:
        """Change the shape."""
        return input.reshape(*input.shape[: self.start_axis], -1)
