"""Fields of layers that move a window over an image: stride, padding and dilation, and what they say of an image."""

from __future__ import annotations

from typing import Literal

from workloads.layers import Natural, NaturalPair, NaturalQuad, Pair, PositiveInt, StrictModel
from workloads.shapes import Padding

SAME = "same"


class SidePadding(StrictModel):
    """Zeros at each side, by name; a side that is not named has none."""

    top: Natural = 0
    left: Natural = 0
    bottom: Natural = 0
    right: Natural = 0


# One number for both axes, or [height, width].
SizeField = PositiveInt | Pair
# One number, [height, width], [top, left, bottom, right] as ONNX orders them, the sides by name, or `same`.
PaddingField = Natural | NaturalPair | NaturalQuad | SidePadding | Literal["same"]


def resolve_pair(size: int | list[int]) -> tuple[int, int]:
    """Give (height, width) of a field; one number stands for both."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def resolve_padding(
    padding: int | list[int] | SidePadding | str,
    image: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> Padding:
    """Give the zeros at (top, left, bottom, right) of an image (height, width).

    `same` makes ceil(size / stride) outputs: max(0, (outputs - 1) U + D (kernel - 1) + 1 - size) zeros in all, the odd
    one at the bottom and the right, as SAME of TensorFlow and SAME_UPPER of ONNX.
    """
    if isinstance(padding, SidePadding):
        return (padding.top, padding.left, padding.bottom, padding.right)
    if isinstance(padding, str):
        height, width = (
            max(0, (-(-size // U) - 1) * U + D * (taps - 1) + 1 - size)
            for size, taps, U, D in zip(image, kernel, stride, dilation, strict=True)
        )
        return (height // 2, width // 2, height - height // 2, width - width // 2)
    if not isinstance(padding, int) and len(padding) == 4:
        return (padding[0], padding[1], padding[2], padding[3])
    height, width = resolve_pair(padding)
    return (height, width, height, width)
