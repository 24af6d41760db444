"""The convolution."""

from __future__ import annotations

from typing import ClassVar, Literal

from workloads.kinds.computed import ComputedLayer, StepFunctions
from workloads.kinds.shape_rules import expect_image, pair
from workloads.layers import Natural, NaturalPair, Pair, PositiveInt
from workloads.reference.convolution import conv_forward, conv_gta, conv_gtw
from workloads.shapes import ConvShape, Shape


class Conv2d(ComputedLayer):
    """2-D convolution; kernel and padding are one number or [height, width]."""

    geometry: ClassVar = ConvShape

    type: Literal["conv2d"]
    out_channels: PositiveInt
    kernel: PositiveInt | Pair
    stride: PositiveInt = 1
    padding: Natural | NaturalPair = 0
    groups: PositiveInt = 1
    bias: bool = True

    def infer_geometry(self, shape: Shape, /) -> ConvShape:
        """Give the geometry on images of this shape."""
        expect_image(self, shape)
        (kernel_height, kernel_width), (pad_height, pad_width) = pair(self.kernel), pair(self.padding)
        batch, in_channels, in_height, in_width = shape
        try:
            return ConvShape(
                batch=batch, in_channels=in_channels, in_height=in_height, in_width=in_width,
                out_channels=self.out_channels, kernel_height=kernel_height, kernel_width=kernel_width,
                stride=self.stride, pad_height=pad_height, pad_width=pad_width, groups=self.groups,
            )  # fmt: skip
        except ValueError as error:
            raise ValueError(f"{error}; the input's shape is {shape}") from None

    def bind_steps(self, shape: Shape, /) -> StepFunctions:
        """Give the three steps on an input of this shape."""
        geometry = self.infer_geometry(shape)
        return StepFunctions(
            forward=lambda input, weight: conv_forward(input, weight, geometry),
            gta=lambda grad_output, weight: conv_gta(grad_output, weight, geometry),
            gtw=lambda input, grad_output: conv_gtw(input, grad_output, geometry),
        )
