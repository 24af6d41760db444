"""Stride, padding and dilation of a layer: every form says the same zeros, and `same` those of TensorFlow."""

from __future__ import annotations

import pytest

from workloads.kinds.conv2d import Conv2d
from workloads.kinds.window_fields import PaddingField, SidePadding, resolve_padding, resolve_pair
from workloads.shapes import ConvShape, Padding

IMAGE, KERNEL, STRIDE, DILATION = (8, 7), (3, 5), (2, 1), (1, 2)


def test_one_number_stands_for_both_axes() -> None:
    assert resolve_pair(3) == (3, 3)
    assert resolve_pair([3, 2]) == (3, 2)


@pytest.mark.parametrize(
    ("padding", "zeros"),
    [
        (1, (1, 1, 1, 1)),
        ([1, 2], (1, 2, 1, 2)),
        ([1, 2, 3, 4], (1, 2, 3, 4)),
        (SidePadding(top=1, right=4), (1, 0, 0, 4)),
        # Height: 4 outputs of stride 2 and 3 taps need 9 rows, so 1 zero; width: 7 of 5 taps at distance 2 need 15.
        ("same", (0, 4, 1, 4)),
    ],
)
def test_every_form_of_a_padding_gives_its_sides(padding: PaddingField, zeros: Padding) -> None:
    assert resolve_padding(padding, IMAGE, KERNEL, STRIDE, DILATION) == zeros


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("kernel", range(1, 6))
@pytest.mark.parametrize("stride", range(1, 5))
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_makes_as_many_outputs_as_strides_fit(size: int, kernel: int, stride: int, dilation: int) -> None:
    top, left, bottom, right = resolve_padding("same", (size, 3), (kernel, 1), (stride, 1), (dilation, 1))
    assert (left, right) == (0, 0)
    assert bottom - top in (0, 1)
    shape = ConvShape(1, 1, size, 3, 1, kernel, 1, (stride, 1), (top, 0, bottom, 0), (dilation, 1))
    assert shape.out_height == -(-size // stride)


def test_a_convolution_of_unequal_fields_has_their_geometry() -> None:
    layer = Conv2d(
        name="c", type="conv2d", out_channels=4, kernel=[3, 5], stride=[2, 1], padding="same", dilation=[1, 2], groups=2
    )
    shape = layer.infer_geometry((2, 6, 8, 7))
    assert shape == ConvShape(2, 6, 8, 7, 4, 3, 5, (2, 1), (0, 4, 1, 4), (1, 2), 2)
    assert shape.output_shape == (2, 4, 4, 7)
