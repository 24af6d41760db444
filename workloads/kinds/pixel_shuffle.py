"""The shuffle of channels into positions."""

from __future__ import annotations

from typing import Literal

import numpy as np

from workloads.kinds.rearrangement import Move
from workloads.kinds.row_windows import span_channels
from workloads.kinds.shape_rules import expect_image
from workloads.layers import PositiveInt
from workloads.reference.arrays import Array
from workloads.shapes import Shape


class PixelShuffle(Move):
    """(N, C r r, H, W) to (N, C, H r, W r) with r = `upscale`, as torch's and ONNX's depth-to-space of mode CRD."""

    type: Literal["pixel_shuffle"]
    upscale: PositiveInt

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Make positions of channels, which the square of `upscale` must divide."""
        expect_image(self, shapes[0])
        batch, channels, height, width = shapes[0]
        if channels % self.upscale**2:
            raise ValueError(
                f"upscale {self.upscale} needs channels that are a multiple of {self.upscale**2}; "
                f"the input's shape is {shapes[0]}"
            )
        return (batch, channels // self.upscale**2, height * self.upscale, width * self.upscale)

    def span_rows(self, shape: Shape) -> int:
        """Take the elements of a row from `upscale` channels."""
        return span_channels(self.upscale, shape)

    def span_rows_back(self, _output: Shape) -> int:
        """Take every `upscale`-th element of one row."""
        return 1

    def rearrange(self, input: Array) -> Array:
        """Move channels between the positions."""
        r = self.upscale
        N, C, H, W = input.shape
        spread = input.reshape(N, C // r**2, r, r, H, W).transpose(0, 1, 4, 2, 5, 3)
        return np.ascontiguousarray(spread).reshape(N, C // r**2, H * r, W * r)

    def restore(self, output: Array, shape: Shape) -> Array:
        """Move them back."""
        r, (N, C, H, W) = self.upscale, shape
        gathered = output.reshape(N, C // r**2, H, r, W, r).transpose(0, 1, 3, 5, 2, 4)
        return np.ascontiguousarray(gathered).reshape(shape)
