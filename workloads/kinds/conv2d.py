"""The convolution."""

from __future__ import annotations

from typing import ClassVar, Literal

from workloads.kinds.computed import ComputedLayer, StepFunctions
from workloads.kinds.shape_rules import expect_image
from workloads.kinds.window_fields import PaddingField, SizeField, resolve_padding, resolve_pair
from workloads.layers import PositiveInt
from workloads.reference.convolution import conv_forward, conv_gta, conv_gtw
from workloads.shapes import ConvShape, Shape


class Conv2d(ComputedLayer):
    """2-D convolution; kernel, stride and dilation are one number or [height, width]; padding also has other forms."""

    geometry: ClassVar = ConvShape

    type: Literal["conv2d"]
    out_channels: PositiveInt
    kernel: SizeField
    stride: SizeField = 1
    padding: PaddingField = 0
    dilation: SizeField = 1
    groups: PositiveInt = 1
    bias: bool = True

    def infer_geometry(self, shape: Shape, /) -> ConvShape:
        """Give the geometry on images of this shape."""
        expect_image(self, shape)
        batch, in_channels, in_height, in_width = shape
        kernel, stride, dilation = resolve_pair(self.kernel), resolve_pair(self.stride), resolve_pair(self.dilation)
        try:
            return ConvShape(
                batch=batch, in_channels=in_channels, in_height=in_height, in_width=in_width,
                out_channels=self.out_channels, kernel_height=kernel[0], kernel_width=kernel[1], stride=stride,
                padding=resolve_padding(self.padding, (in_height, in_width), kernel, stride, dilation),
                dilation=dilation, groups=self.groups,
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
