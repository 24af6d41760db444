"""What the kinds of pooling have in common: their window, and how many of them an image has."""

from __future__ import annotations

from workloads.kinds.window_fields import resolve_pair
from workloads.reference.pooling import PoolWindow
from workloads.shapes import Shape


def make_window(
    kernel: int | list[int], stride: int | None, padding: int | list[int], ceil_mode: bool = False
) -> PoolWindow:
    """Make the window of a pooling layer's fields; without a stride it moves by its own size.

    Raises:
        ValueError: the padding is more than half of the kernel.
    """
    return PoolWindow(
        *resolve_pair(kernel), *resolve_pair(kernel if stride is None else stride), *resolve_pair(padding), ceil_mode
    )


def infer_pooled(window: PoolWindow, shape: Shape) -> Shape:
    """Give the shape behind a pooling of images.

    Raises:
        ValueError: the padded input is smaller than the window; a sentence without the place.
    """
    padded = (shape[2] + 2 * window.pad_height, shape[3] + 2 * window.pad_width)
    if window.kernel_height > padded[0] or window.kernel_width > padded[1]:
        raise ValueError(
            f"the kernel of {window.kernel_height} x {window.kernel_width} is larger than the padded input of "
            f"{padded[0]} x {padded[1]}; the input's shape is {shape}"
        )
    return (shape[0], shape[1], *window.output_size(shape[2], shape[3]))
