"""The convolution."""

from __future__ import annotations

from typing import ClassVar, Literal

from workloads.kinds.computed import ComputedLayer, StepFunctions
from workloads.kinds.shape_rules import expect_image
from workloads.kinds.window_fields import PaddingField, SizeField, resolve_padding, resolve_pair
from workloads.layers import PositiveInt
from workloads.reference.convolution import conv_forward, conv_gta, conv_gtw
from workloads.shapes import ConvShape, Padding, Pair, Shape


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
        kernel, stride, dilation = resolve_pair(self.kernel), resolve_pair(self.stride), resolve_pair(self.dilation)
        padding = resolve_padding(self.padding, (shape[2], shape[3]), kernel, stride, dilation)
        return make_conv_shape(shape, self.out_channels, kernel, stride, padding, dilation, self.groups)

    def bind_steps(self, shape: Shape, /) -> StepFunctions:
        """Give the three steps on an input of this shape."""
        return bind_convolution(self.infer_geometry(shape))


def make_conv_shape(
    image: Shape, out_channels: int, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> ConvShape:
    """Make the geometry of a convolution on images ``(N, C, H, W)``.

    Raises:
        ValueError: it has none there; a sentence without the place.
    """
    batch, in_channels, in_height, in_width = image
    try:
        return ConvShape(
            batch=batch, in_channels=in_channels, in_height=in_height, in_width=in_width, out_channels=out_channels,
            kernel_height=kernel[0], kernel_width=kernel[1], stride=stride, padding=padding, dilation=dilation,
            groups=groups,
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(f"{error}; the input's shape is {image}") from None


def bind_convolution(geometry: ConvShape) -> StepFunctions:
    """Give the three steps of a convolution."""
    return StepFunctions(
        forward=lambda input, weight: conv_forward(input, weight, geometry),
        gta=lambda grad_output, weight: conv_gta(grad_output, weight, geometry),
        gtw=lambda input, grad_output: conv_gtw(input, grad_output, geometry),
    )
