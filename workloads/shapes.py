"""Shapes of the layers that the accelerator executes, and the three steps of a training iteration.

The letters of numeric code and of docstring shapes, fixed here once:

====== ==================================================================
letter meaning
====== ==================================================================
N      images in the batch
C H W  input channels, height, width of the input ``(N, C, H, W)``
M P Q  filters, height, width of the output ``(N, M, P, Q)``
R S    kernel height, width of the weight ``(M, C / G, R, S)``
U      stride
G      groups of a grouped convolution
====== ==================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Shape = tuple[int, ...]


class Step(StrEnum):
    """A step of a training iteration: output, gradient to activations, gradient to weights."""

    FORWARD = "forward"
    GTA = "gta"
    GTW = "gtw"


@dataclass(frozen=True, slots=True)
class ConvShape:
    """Geometry of a 2-D convolution: one stride for both axes, symmetric zero padding, no dilation.

    Raises:
        ValueError: a size is below 1, the padding is negative, G does not divide C and M,
            or the kernel is larger than the padded input.
    """

    batch: int
    in_channels: int
    in_height: int
    in_width: int
    out_channels: int
    kernel_height: int
    kernel_width: int
    stride: int = 1
    pad_height: int = 0
    pad_width: int = 0
    groups: int = 1

    def __post_init__(self) -> None:
        for name in ("batch", "in_channels", "in_height", "in_width", "out_channels",
                     "kernel_height", "kernel_width", "stride", "groups"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.pad_height < 0 or self.pad_width < 0:
            raise ValueError(f"padding must not be negative, got {self.pad_height} x {self.pad_width}")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"groups = {self.groups} must divide the {self.in_channels} input channels "
                f"and the {self.out_channels} filters"
            )
        padded = (self.in_height + 2 * self.pad_height, self.in_width + 2 * self.pad_width)
        if self.kernel_height > padded[0] or self.kernel_width > padded[1]:
            raise ValueError(
                f"the kernel of {self.kernel_height} x {self.kernel_width} is larger than "
                f"the padded input of {padded[0]} x {padded[1]}"
            )

    @property
    def out_height(self) -> int:
        """P = floor((H + 2 pad - R) / U) + 1."""
        return (self.in_height + 2 * self.pad_height - self.kernel_height) // self.stride + 1

    @property
    def out_width(self) -> int:
        """Q = floor((W + 2 pad - S) / U) + 1."""
        return (self.in_width + 2 * self.pad_width - self.kernel_width) // self.stride + 1

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

    Raises:
        ValueError: a size is below 1.
    """

    batch: int
    in_features: int
    out_features: int

    def __post_init__(self) -> None:
        for name in ("batch", "in_features", "out_features"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def input_shape(self) -> tuple[int, int]:
        """(N, C)."""
        return (self.batch, self.in_features)

    @property
    def weight_shape(self) -> tuple[int, int]:
        """(M, C)."""
        return (self.out_features, self.in_features)

    @property
    def output_shape(self) -> tuple[int, int]:
        """(N, M)."""
        return (self.batch, self.out_features)

    @property
    def nominal_macs(self) -> int:
        """Multiplications of one step: N M C."""
        return self.batch * self.out_features * self.in_features


LayerShape = ConvShape | LinearShape
