"""Pooling layers, forward and backward; tensors ``(N, C, H, W)`` and ``(N, C, P, Q)``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import BoolArray, IntArray
from workloads.kernel import freeze
from workloads.reference.arrays import Array
from workloads.reference.pool_loops import Geometry, find_maxima, scatter_gradients
from workloads.shapes import Padding, Pair, slice_positions
from workloads.words import write_padding
from workloads.workers import ELEMENT_PARTS, RUN_ELEMENTS, share_out


@dataclass(frozen=True, slots=True)
class PoolWindow:
    """Geometry of a pooling window.

    Args:
        kernel: (height, width).
        stride: (U_h, U_w).
        padding: At the (top, left, bottom, right), in the order of ONNX.
        dilation: (D_h, D_w), the distance of neighbouring taps.
        ceil_mode: Whether a last window that stands over the padded image's edge counts, as long as it starts inside
            the image or the padding before it.
        counts_padding: Whether an average's divisor counts the padding that its window meets; what stands over the
            padded image's edge is never counted.

    Raises:
        ValueError: A padding is not smaller than the dilated kernel.
    """

    kernel: Pair
    stride: Pair
    padding: Padding = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    ceil_mode: bool = False
    counts_padding: bool = True

    def __post_init__(self) -> None:
        top, left, bottom, right = self.padding
        height, width = self.reach
        if max(top, bottom) >= height or max(left, right) >= width:
            raise ValueError(
                f"the padding {write_padding(self.padding)} must be smaller than the pooling kernel of "
                f"{height} x {width}"
            )

    @property
    def reach(self) -> Pair:
        """Height and width of what a window spans."""
        height, width = (D * (taps - 1) + 1 for taps, D in zip(self.kernel, self.dilation, strict=True))
        return height, width

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the output: (P, Q).

        Raises:
            ValueError: The window is larger than the padded image, or one meets no element of the image.
        """
        top, left, bottom, right = self.padding
        if self.reach[0] > top + height + bottom or self.reach[1] > left + width + right:
            raise ValueError(
                f"the kernel of {self.reach[0]} x {self.reach[1]} is larger than the padded input of "
                f"{top + height + bottom} x {left + width + right}"
            )
        P = self._count(0, height, top, bottom)
        Q = self._count(1, width, left, right)
        if not (self._meets(0, height, top, P).any(axis=1).all() and self._meets(1, width, left, Q).any(axis=1).all()):
            raise ValueError(f"a window of {self.reach[0]} x {self.reach[1]} meets no element of the image")
        return P, Q

    def _count(self, axis: int, size: int, before: int, behind: int) -> int:
        stride, rest = self.stride[axis], before + size + behind - self.reach[axis]
        if not self.ceil_mode:
            return rest // stride + 1
        steps = -(-rest // stride)
        # As in torch, the last window has to start inside the input or the padding before it.
        return steps if steps * stride >= size + before else steps + 1

    def _meets(self, axis: int, size: int, before: int, count: int) -> BoolArray:
        """Tell which taps of which window lie in the image, bool ``(count, taps)``."""
        starts = np.arange(count)[:, None] * self.stride[axis] - before
        places = starts + np.arange(self.kernel[axis]) * self.dilation[axis]
        return (places >= 0) & (places < size)

    def count_taps(self, height: int, width: int) -> IntArray:
        """Count what an average divides by at each place of the output: int64 ``(P, Q)``."""
        sizes = []
        ends = ((height, self.padding[0], self.padding[2]), (width, self.padding[1], self.padding[3]))
        for axis, ((size, before, behind), count) in enumerate(zip(ends, self.output_size(height, width), strict=True)):
            if self.counts_padding:
                met = self._meets(axis, before + size + behind, 0, count)
            else:
                met = self._meets(axis, size, before, count)
            sizes.append(met.sum(axis=1))
        return np.outer(sizes[0], sizes[1]).astype(np.int64)

    def taps(self, P: int, Q: int) -> Iterator[tuple[int, slice, slice]]:
        """Number r S + s of every tap of the window, and the rows and columns of the padded input that it meets."""
        for r in range(self.kernel[0]):
            for s in range(self.kernel[1]):
                rows = slice_positions(r * self.dilation[0], P, self.stride[0])
                columns = slice_positions(s * self.dilation[1], Q, self.stride[1])
                yield r * self.kernel[1] + s, rows, columns


def max_pool_forward(input: Array, window: PoolWindow) -> tuple[Array, NDArray[Any]]:
    """Maximum of each window, and the number r S + s of the tap that holds it (the first one on a tie)."""
    size = (input.shape[2], input.shape[3])
    places = window.output_size(*size)
    output = np.empty((*input.shape[:2], *places), dtype=input.dtype)
    argmax = np.empty(output.shape, dtype=np.min_scalar_type(window.kernel[0] * window.kernel[1] - 1))
    values = freeze(input).reshape(-1)
    planes = _cut_planes(input.shape)

    def pool(part: int) -> None:
        find_maxima(
            values, size, planes[part], _geometry(window), places, output.reshape(-1), argmax.reshape(-1)
        )  # fmt: skip

    share_out(pool, len(planes))
    return output, argmax


def max_pool_backward(
    grad_output: Array, argmax: NDArray[Any], window: PoolWindow, input_shape: tuple[int, ...]
) -> Array:
    """Hand each output's gradient to the tap that held the maximum."""
    size, places = (input_shape[2], input_shape[3]), (grad_output.shape[2], grad_output.shape[3])
    grad_input = np.empty(input_shape, dtype=grad_output.dtype)
    gradients, taps = freeze(grad_output).reshape(-1), freeze(argmax).reshape(-1)
    planes = _cut_planes(input_shape)

    def scatter(part: int) -> None:
        scatter_gradients(gradients, taps, places, planes[part], _geometry(window), size, grad_input.reshape(-1))

    share_out(scatter, len(planes))
    return grad_input


def avg_pool_forward(input: Array, window: PoolWindow) -> Array:
    """Mean of each window."""
    P, Q = window.output_size(*input.shape[2:])
    padded = _pad(input, window, P, Q, 0.0)
    output = np.zeros((*input.shape[:2], P, Q), dtype=input.dtype)
    for _, rows, columns in window.taps(P, Q):
        output += padded[:, :, rows, columns]
    output /= window.count_taps(*input.shape[2:]).astype(output.dtype)
    return output


def avg_pool_backward(grad_output: Array, window: PoolWindow, input_shape: tuple[int, ...]) -> Array:
    """Hand each output's gradient in equal shares to all taps of its window."""
    P, Q = grad_output.shape[2:]
    share = grad_output / window.count_taps(*input_shape[2:]).astype(grad_output.dtype)
    padded = np.zeros(_padded_shape(input_shape, window, P, Q), dtype=grad_output.dtype)
    for _, rows, columns in window.taps(P, Q):
        padded[:, :, rows, columns] += share
    return _crop(padded, window, input_shape)


def global_avg_pool_forward(input: Array) -> Array:
    """Mean over all positions: ``(N, C, H, W)`` to ``(N, C, 1, 1)``."""
    output: Array = input.mean(axis=(2, 3), keepdims=True)
    return output


def global_avg_pool_backward(grad_output: Array, input_shape: tuple[int, ...]) -> Array:
    """Hand each channel's gradient in equal shares to all positions."""
    share = grad_output / (input_shape[2] * input_shape[3])
    return np.broadcast_to(share, input_shape).copy()


def _geometry(window: PoolWindow) -> Geometry:
    return window.kernel, window.stride, window.dilation, (-window.padding[0], -window.padding[1])


def _cut_planes(input_shape: tuple[int, ...]) -> list[Pair]:
    """Cut the planes of all images and channels into runs, large enough to be worth another thread."""
    planes, elements = input_shape[0] * input_shape[1], prod(input_shape)
    parts = max(1, min(ELEMENT_PARTS, planes, elements // RUN_ELEMENTS))
    return [(planes * part // parts, planes * (part + 1) // parts) for part in range(parts)]


def _padded_shape(input_shape: tuple[int, ...], window: PoolWindow, P: int, Q: int) -> tuple[int, ...]:
    """Large enough for the padding and for a last window that ceil_mode lets stand over the edge."""
    N, C, H, W = input_shape
    top, left, bottom, right = window.padding
    height = max(top + H + bottom, (P - 1) * window.stride[0] + window.reach[0])
    width = max(left + W + right, (Q - 1) * window.stride[1] + window.reach[1])
    return (N, C, height, width)


def _pad(input: Array, window: PoolWindow, P: int, Q: int, value: float) -> Array:
    padded_shape = _padded_shape(input.shape, window, P, Q)
    if padded_shape == input.shape:
        return input
    padded = np.full(padded_shape, value, dtype=input.dtype)
    _crop(padded, window, input.shape)[...] = input
    return padded


def _crop(padded: Array, window: PoolWindow, input_shape: tuple[int, ...]) -> Array:
    H, W = input_shape[2:]
    top, left = window.padding[:2]
    return padded[:, :, top : top + H, left : left + W]
