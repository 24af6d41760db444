"""The convolution of signals: images that are one row high."""

from __future__ import annotations

from typing import ClassVar, Literal

from workloads.kinds.computed import ComputedLayer, StepFunctions
from workloads.kinds.conv2d import bind_convolution, make_conv_shape
from workloads.kinds.shape_rules import expect_image
from workloads.kinds.window_fields import resolve_padding
from workloads.layers import Natural, NaturalPair, PositiveInt
from workloads.shapes import ConvShape, Shape


class Conv1d(ComputedLayer):
    """1-D convolution of (batch, channels, 1, length); padding is one number, [left, right] or `same`.

    To the accelerator it is a convolution whose kernel has one row.
    """

    geometry: ClassVar = ConvShape

    type: Literal["conv1d"]
    out_channels: PositiveInt
    kernel: PositiveInt
    stride: PositiveInt = 1
    padding: Natural | NaturalPair | Literal["same"] = 0
    dilation: PositiveInt = 1
    groups: PositiveInt = 1
    bias: bool = True

    def infer_geometry(self, shape: Shape, /) -> ConvShape:
        """Give the geometry on signals of this shape."""
        expect_image(self, shape)
        if shape[2] != 1:
            raise ValueError(f"conv1d reads (batch, channels, 1, length), but its input has the shape {shape}")
        kernel, stride, dilation = (1, self.kernel), (1, self.stride), (1, self.dilation)
        if isinstance(self.padding, str):
            padding = resolve_padding(self.padding, (1, shape[3]), kernel, stride, dilation)
        else:
            left, right = [self.padding] * 2 if isinstance(self.padding, int) else self.padding
            padding = (0, left, 0, right)
        return make_conv_shape(shape, self.out_channels, kernel, stride, padding, dilation, self.groups)

    def bind_steps(self, shape: Shape, /) -> StepFunctions:
        """Give the three steps on an input of this shape."""
        return bind_convolution(self.infer_geometry(shape))
