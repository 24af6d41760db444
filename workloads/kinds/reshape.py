"""Another shape."""

from __future__ import annotations

from math import prod
from typing import Annotated, Literal

from pydantic import Field

from workloads.kinds.rearrangement import View
from workloads.layers import PositiveInt
from workloads.reference.arrays import Array
from workloads.shapes import Shape

LARGEST_RANK = 8

ReshapedAxes = Annotated[list[PositiveInt | Literal[-1]], Field(min_length=1, max_length=LARGEST_RANK)]


class Reshape(View):
    """The elements of each image in another shape, given without the batch; -1 stands for the length that is left."""

    type: Literal["reshape"]
    shape: ReshapedAxes

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Fill in the length that is left; the numbers of elements must agree."""
        elements, given = prod(shapes[0][1:]), prod(length for length in self.shape if length != -1)
        left = self.shape.count(-1)
        if left > 1:
            raise ValueError(f"shape may hold -1 once, got {self.shape}")
        if (left and elements % given) or (not left and elements != given):
            raise ValueError(
                f"shape must hold the {elements} elements of an image of shape {shapes[0][1:]}, got {self.shape}"
            )
        return (shapes[0][0], *(elements // given if length == -1 else length for length in self.shape))

    def rearrange(self, input: Array) -> Array:
        """Change the shape."""
        return input.reshape(input.shape[0], *self.shape)
