"""Another order of axes."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from workloads.kinds.rearrangement import Move
from workloads.kinds.row_windows import span_axis
from workloads.layers import PositiveInt
from workloads.reference.arrays import Array
from workloads.shapes import Shape


class Transpose(Move):
    """The axes behind the batch, counted from 1, in another order: [2, 1] makes (N, T, C) of (N, C, T)."""

    type: Literal["transpose"]
    axes: Annotated[list[PositiveInt], Field(min_length=1)]

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Take the lengths in the new order, which must name each axis once."""
        expected = list(range(1, len(shapes[0])))
        if sorted(self.axes) != expected:
            raise ValueError(
                f"axes must hold each of {expected} once, got {self.axes}; the input's shape is {shapes[0]}"
            )
        return (shapes[0][0], *(shapes[0][axis] for axis in self.axes))

    def span_rows(self, shape: Shape) -> int:
        """Go along the input's axis that becomes the last."""
        return span_axis(shape, self.axes[-1])

    def span_rows_back(self, output: Shape) -> int:
        """Go along the axis that the input's last one became."""
        return span_axis(output, 1 + self.axes.index(len(self.axes)))

    def rearrange(self, input: Array) -> Array:
        """Move the axes."""
        return np.ascontiguousarray(input.transpose(0, *self.axes))

    def restore(self, output: Array, _shape: Shape) -> Array:
        """Move the axes back."""
        return np.ascontiguousarray(output.transpose(0, *(1 + np.argsort(self.axes))))
