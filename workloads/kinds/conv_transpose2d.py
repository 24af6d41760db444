"""The transposed convolution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from workloads.kinds.computed import ComputedLayer, StepFunctions
from workloads.kinds.execution import Parameter
from workloads.kinds.shape_rules import expect_image
from workloads.kinds.window_fields import SidePadding, SizeField, resolve_padding, resolve_pair
from workloads.layers import Natural, NaturalPair, NaturalQuad, PositiveInt
from workloads.reference.convolution import conv_forward, conv_gta, conv_gtw
from workloads.shapes import ConvShape, Shape, TransposedConvShape


class ConvTranspose2d(ComputedLayer):
    """Transposed 2-D convolution, with P = (H - 1) U - top - bottom + D (R - 1) + output_padding + 1 rows."""

    geometry: ClassVar = TransposedConvShape

    type: Literal["conv_transpose2d"]
    out_channels: PositiveInt
    kernel: SizeField
    stride: SizeField = 1
    padding: Natural | NaturalPair | NaturalQuad | SidePadding = 0
    output_padding: Natural | NaturalPair = 0
    dilation: SizeField = 1
    groups: PositiveInt = 1
    bias: bool = True

    def infer_geometry(self, shape: Shape, /) -> TransposedConvShape:
        """Give the geometry on images of this shape."""
        expect_image(self, shape)
        batch, in_channels, *image = shape
        kernel, stride, dilation = resolve_pair(self.kernel), resolve_pair(self.stride), resolve_pair(self.dilation)
        padding = resolve_padding(self.padding, (0, 0), kernel, stride, dilation)
        added = resolve_pair(self.output_padding)
        for extra, U, D in zip(added, stride, dilation, strict=True):
            if extra >= max(U, D):
                raise ValueError(
                    f"output_padding must be smaller than the stride or the dilation, got {extra} beside a stride of "
                    f"{U} and a dilation of {D}"
                )
        height, width = (
            (size - 1) * U - padding[axis] - padding[axis + 2] + D * (taps - 1) + extra + 1
            for axis, (size, U, D, taps, extra) in enumerate(zip(image, stride, dilation, kernel, added, strict=True))
        )
        if height < 1 or width < 1:
            raise ValueError(f"its output would have the size {height} x {width}; the input's shape is {shape}")
        # The convolution it transposes would name the two the other way round.
        if in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"groups = {self.groups} must divide the {in_channels} input channels and the {self.out_channels} "
                f"filters; the input's shape is {shape}"
            )
        try:
            conv = ConvShape(
                batch, self.out_channels, height, width, in_channels, *kernel, stride, padding, dilation, self.groups,
                out_size=(image[0], image[1]),
            )  # fmt: skip
        except ValueError as error:
            raise ValueError(f"{error}; the input's shape is {shape}") from None
        return TransposedConvShape(conv)

    def list_parameters(self, shape: Shape, /) -> Mapping[str, Parameter]:
        """Have a weight (C, M / G, R, S), and with a bias one for each output channel, at first 0."""
        weight = Parameter(self.infer_geometry(shape).weight_shape)
        return {"weight": weight} | ({"bias": Parameter((self.out_channels,), 0)} if self.bias else {})

    def bind_steps(self, shape: Shape, /) -> StepFunctions:
        """Give the three steps on an input of this shape: those of the convolution from the output to the input."""
        conv = self.infer_geometry(shape).conv
        return StepFunctions(
            forward=lambda input, weight: conv_gta(input, weight, conv),
            gta=lambda grad_output, weight: conv_forward(grad_output, weight, conv),
            gtw=lambda input, grad_output: conv_gtw(grad_output, input, conv),
        )
