"""What the kinds of pooling have in common: their window, and how many of them an image has."""

from __future__ import annotations

from workloads.kinds.window_fields import SidePadding, resolve_padding, resolve_pair
from workloads.reference.pooling import PoolWindow
from workloads.shapes import Shape


class WindowFields:
    """The fields of a pooling layer that say where its windows stand."""

    kernel: int | list[int]
    stride: int | list[int] | None
    padding: int | list[int] | SidePadding | str
    ceil_mode: bool

    @property
    def dilations(self) -> tuple[int, int]:
        """The distance of neighbouring taps: (height, width)."""
        return (1, 1)

    @property
    def counts_padding(self) -> bool:
        """Whether a mean's divisor counts padding."""
        return True

    def window_on(self, shape: Shape) -> PoolWindow:
        """Give the geometry of the window on images of this shape; without a stride it moves by its own size.

        Raises:
            ValueError: a padding is not smaller than the kernel.
        """
        kernel = resolve_pair(self.kernel)
        stride = resolve_pair(self.kernel if self.stride is None else self.stride)
        padding = resolve_padding(self.padding, (shape[-2], shape[-1]), kernel, stride, self.dilations)
        return PoolWindow(kernel, stride, padding, self.dilations, self.ceil_mode, self.counts_padding)

    def count_rows_read(self, shape: Shape) -> int:
        """Count the rows of an image of this shape that a row of windows spans."""
        return min(self.window_on(shape).reach[0], shape[2])

    def count_rows_back(self, shape: Shape) -> int:
        """Count the rows of windows that a row of such an image lies in."""
        window = self.window_on(shape)
        return min(-(-window.reach[0] // window.stride[0]), infer_pooled(window, shape)[2])


def infer_pooled(window: PoolWindow, shape: Shape) -> Shape:
    """Give the shape behind a pooling of images.

    Raises:
        ValueError: a window meets no element of the image; a sentence without the place.
    """
    try:
        return (shape[0], shape[1], *window.output_size(shape[2], shape[3]))
    except ValueError as error:
        raise ValueError(f"{error}; the input's shape is {shape}") from None
