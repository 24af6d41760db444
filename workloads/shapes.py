"""Shapes of the layers that the accelerator executes, and the three steps of a training iteration.

The letters of numeric code and of docstring shapes, fixed here once:

====== ==================================================================
letter meaning
====== ==================================================================
N      images in the batch
C H W  input channels, height, width of the input ``(N, C, H, W)``
M P Q  filters, height, width of the output ``(N, M, P, Q)``
R S    kernel height, width of the weight ``(M, C / G, R, S)``
U D    stride, dilation, of height and width apart where it matters
G      groups of a grouped convolution
====== ==================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import prod
from typing import ClassVar

from workloads.words import write_padding, write_pair

Shape = tuple[int, ...]


class Step(StrEnum):
    """A step of a training iteration: output, gradient to activations, gradient to weights."""

    FORWARD = "forward"
    GTA = "gta"
    GTW = "gtw"


Pair = tuple[int, int]
Padding = tuple[int, int, int, int]


def count_positions(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Count the places of a window along an axis: floor((size + padding - D (kernel - 1) - 1) / U) + 1.

    Args:
        padding: Of both ends together. The count is below 1 where the window is larger than the padded axis.
    """
    return (size + padding - dilation * (kernel - 1) - 1) // stride + 1


def slice_positions(first: int, count: int, stride: int) -> slice:
    """Give the places first, first + stride, ... of which there are `count`."""
    return slice(first, first + stride * (count - 1) + 1, stride)


@dataclass(frozen=True, slots=True)
class ConvShape:
    """Geometry of a 2-D convolution.

    Args:
        stride: (U_h, U_w).
        padding: zeros at the (top, left, bottom, right), in the order of ONNX.
        dilation: (D_h, D_w), the distance of neighbouring taps.
        out_size: (P, Q) where they are fewer than fit, as the input of a transposed convolution may be.

    Raises:
        ValueError: a size is below 1, the padding is negative, G does not divide C and M,
            or the dilated kernel is larger than the padded input.
    """

    batch: int
    in_channels: int
    in_height: int
    in_width: int
    out_channels: int
    kernel_height: int
    kernel_width: int
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    out_size: Pair | None = None

    channel_axis: ClassVar[int] = 1
    weighs_activations: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("batch", "in_channels", "in_height", "in_width", "out_channels",
                     "kernel_height", "kernel_width", "groups"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("stride", "dilation"):
            if min(getattr(self, name)) < 1:
                raise ValueError(f"{name} must be at least 1, got {write_pair(getattr(self, name))}")
        if min(self.padding) < 0:
            raise ValueError(f"padding must not be negative, got {write_padding(self.padding)}")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"groups = {self.groups} must divide the {self.in_channels} input channels "
                f"and the {self.out_channels} filters"
            )
        if self.out_height < 1 or self.out_width < 1:
            height, width = self.kernel_height, self.kernel_width
            dilated = "" if self.dilation == (1, 1) else f", dilated by {write_pair(self.dilation)},"
            raise ValueError(
                f"the kernel of {height} x {width}{dilated} is larger than "
                f"the padded input of {self.in_height + self.pad_top + self.pad_bottom} x "
                f"{self.in_width + self.pad_left + self.pad_right}"
            )

    @property
    def stride_height(self) -> int:
        """U_h."""
        return self.stride[0]

    @property
    def stride_width(self) -> int:
        """U_w."""
        return self.stride[1]

    @property
    def dilation_height(self) -> int:
        """D_h."""
        return self.dilation[0]

    @property
    def dilation_width(self) -> int:
        """D_w."""
        return self.dilation[1]

    @property
    def pad_top(self) -> int:
        """Rows of zeros above the input."""
        return self.padding[0]

    @property
    def pad_left(self) -> int:
        """Columns of zeros before the input."""
        return self.padding[1]

    @property
    def pad_bottom(self) -> int:
        """Rows of zeros below the input."""
        return self.padding[2]

    @property
    def pad_right(self) -> int:
        """Columns of zeros behind the input."""
        return self.padding[3]

    @property
    def out_height(self) -> int:
        """P = floor((H + top + bottom - D_h (R - 1) - 1) / U_h) + 1."""
        if self.out_size is not None:
            return self.out_size[0]
        padding = self.pad_top + self.pad_bottom
        return count_positions(
            self.in_height, self.kernel_height, self.stride_height, padding, self.dilation_height
        )  # fmt: skip

    @property
    def out_width(self) -> int:
        """Q = floor((W + left + right - D_w (S - 1) - 1) / U_w) + 1."""
        if self.out_size is not None:
            return self.out_size[1]
        padding = self.pad_left + self.pad_right
        return count_positions(self.in_width, self.kernel_width, self.stride_width, padding, self.dilation_width)

    def met_rows(self, r: int) -> slice:
        """Rows of the padded input that meet kernel row r, one for each output row."""
        return slice_positions(r * self.dilation_height, self.out_height, self.stride_height)

    def met_columns(self, s: int) -> slice:
        """Columns of the padded input that meet kernel column s, one for each output column."""
        return slice_positions(s * self.dilation_width, self.out_width, self.stride_width)

    def with_batch(self, batch: int) -> ConvShape:
        """Give the same geometry of so many images."""
        return replace(self, batch=batch)

    @property
    def group_in_channels(self) -> int:
        """C / G."""
        return self.in_channels // self.groups

    @property
    def group_out_channels(self) -> int:
        """M / G."""
        return self.out_channels // self.groups

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return (self.batch, self.in_channels, self.in_height, self.in_width)

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """(M, C / G, R, S)."""
        return (self.out_channels, self.group_in_channels, self.kernel_height, self.kernel_width)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """(N, M, P, Q)."""
        return (self.batch, self.out_channels, self.out_height, self.out_width)

    @property
    def nominal_macs(self) -> int:
        """Multiplications of one step with those on padding counted: N M P Q (C / G) R S."""
        return (
            self.batch * self.out_channels * self.out_height * self.out_width
            * self.group_in_channels * self.kernel_height * self.kernel_width
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LinearShape:
    """Geometry of a fully connected layer: N images, C input features, M output features.

    Args:
        tokens: the axes between the images and the features, such as the places of a sequence; each of their
            vectors is a row of its own, and the weights are the same for all.
        products: how many such layers, each with weights of its own, stand side by side, of which this is one.

    Raises:
        ValueError: a size is below 1.
    """

    batch: int
    in_features: int
    out_features: int
    tokens: Shape = ()
    products: int = 1

    channel_axis: ClassVar[int] = -1
    weighs_activations: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("batch", "in_features", "out_features"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if min(self.tokens, default=1) < 1:
            raise ValueError(f"tokens must be at least 1, got {list(self.tokens)}")

    def with_batch(self, batch: int) -> LinearShape:
        """Give the same geometry of so many images."""
        return replace(self, batch=batch)

    def by_row(self) -> LinearShape:
        """Give the geometry in which every vector of features is an image of its own."""
        return LinearShape(self.rows, self.in_features, self.out_features) if self.tokens else self

    @property
    def rows(self) -> int:
        """Vectors of features in all images."""
        return self.batch * prod(self.tokens)

    @property
    def input_shape(self) -> Shape:
        """(N, ..., C)."""
        return (self.batch, *self.tokens, self.in_features)

    @property
    def weight_shape(self) -> tuple[int, int]:
        """(M, C)."""
        return (self.out_features, self.in_features)

    @property
    def output_shape(self) -> Shape:
        """(N, ..., M)."""
        return (self.batch, *self.tokens, self.out_features)

    @property
    def nominal_macs(self) -> int:
        """Multiplications of one step: M C for each row."""
        return self.rows * self.out_features * self.in_features


@dataclass(frozen=True, slots=True)
class MatmulShape:
    """Geometry of a product of two activations: A (N, ..., T, C) times B (N, ..., C, M).

    Args:
        batch: N, the images.
        rows: T, the rows of A and of the output.
        places: the axes between the images and the matrices, such as the heads of an attention.
        transpose_a: A is (N, ..., C, T) as it is given.
        transpose_b: B is (N, ..., M, C) as it is given.
        scale: the product is multiplied by it.
        whole_batch: the images of the batch of which these are some, None where they are all of it; work is dealt by
            the products of all.

    Raises:
        ValueError: a size is below 1.
    """

    batch: int
    rows: int
    in_features: int
    out_features: int
    places: Shape = ()
    transpose_a: bool = False
    transpose_b: bool = False
    scale: float = 1.0
    whole_batch: int | None = None

    channel_axis: ClassVar[int] = -1
    weighs_activations: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("batch", "rows", "in_features", "out_features"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if min(self.places, default=1) < 1:
            raise ValueError(f"places must be at least 1, got {list(self.places)}")

    def with_batch(self, batch: int) -> MatmulShape:
        """Give the same geometry of so many images, which are some of the batch's if they are fewer."""
        whole = self.whole_batch or self.batch
        return replace(self, batch=batch, whole_batch=whole if whole > batch else None)

    def turns_result(self, step: Step) -> bool:
        """Tell whether a step's result lies otherwise than in rows of one dot product's outputs each.

        The gradient to B is computed for one output at a time, in rows of C.
        """
        return {Step.FORWARD: False, Step.GTA: self.transpose_a, Step.GTW: not self.transpose_b}[step]

    @property
    def products(self) -> int:
        """Products of two matrices in all images."""
        return self.batch * prod(self.places)

    @property
    def dealt_products(self) -> int:
        """Products of the batch of which these images are some, among which the machine's groups are shared."""
        return (self.whole_batch or self.batch) * prod(self.places)

    @property
    def input_shape(self) -> Shape:
        """(N, ..., T, C), or (N, ..., C, T) where A is transposed."""
        matrix = (self.in_features, self.rows) if self.transpose_a else (self.rows, self.in_features)
        return (self.batch, *self.places, *matrix)

    @property
    def weight_shape(self) -> Shape:
        """Of the second factor: (N, ..., C, M), or (N, ..., M, C) where B is transposed."""
        features = self.in_features, self.out_features
        matrix = features[::-1] if self.transpose_b else features
        return (self.batch, *self.places, *matrix)

    @property
    def output_shape(self) -> Shape:
        """(N, ..., T, M)."""
        return (self.batch, *self.places, self.rows, self.out_features)

    @property
    def nominal_macs(self) -> int:
        """Multiplications of one step: T M C for each product."""
        return self.products * self.rows * self.out_features * self.in_features


@dataclass(frozen=True, slots=True)
class TransposedConvShape:
    """Geometry of a transposed convolution: that of the convolution from its output to its input.

    Args:
        conv: that convolution, whose input is this layer's output and whose output is this layer's input.
    """

    conv: ConvShape

    channel_axis: ClassVar[int] = 1
    weighs_activations: ClassVar[bool] = False

    def with_batch(self, batch: int) -> TransposedConvShape:
        """Give the same geometry of so many images."""
        return TransposedConvShape(self.conv.with_batch(batch))

    @property
    def batch(self) -> int:
        """N."""
        return self.conv.batch

    @property
    def input_shape(self) -> Shape:
        """(N, C, H, W)."""
        return self.conv.output_shape

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """(C, M / G, R, S)."""
        return self.conv.weight_shape

    @property
    def output_shape(self) -> Shape:
        """(N, M, P, Q)."""
        return self.conv.input_shape

    @property
    def nominal_macs(self) -> int:
        """Multiplications of one step with those outside the output counted."""
        return self.conv.nominal_macs


LayerShape = ConvShape | LinearShape | MatmulShape | TransposedConvShape
