"""Windows of a convolution, gathered into a matrix and added back from one, by compiled loops.

Along an axis, output place p and tap r meet the element p stride + r step + start of the image; the step may be
negative, and what is met outside of the image is zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.kernel import freeze, kernel
from workloads.reference.arrays import Array
from workloads.shapes import Pair, Shape

Line = tuple[int, int, int]
# Channels whose rows are written side by side, so that what is read lies together.
EXCHANGED_CHANNELS = 16


@dataclass(frozen=True, slots=True)
class WindowAxis:
    """How the windows of one axis lie: element = place stride + tap step + start."""

    taps: int
    stride: int
    step: int
    start: int

    def behind(self, places: range = range(0)) -> Line:
        """Give stride, step and start, counted from the first of some places."""
        return self.stride, self.step, self.start + places.start * self.stride


def gather_windows(images: Array, vertical: WindowAxis, horizontal: WindowAxis, rows: range, windows: Array) -> None:
    """Write the windows of some output rows of images ``(n, C, H, W)`` into ``(C, R, S, n, rows, Q)``."""
    size = (images.shape[2], images.shape[3])
    gather_elements(
        freeze(images).reshape(-1), size, windows.reshape(-1), windows.shape, vertical.behind(rows), horizontal.behind()
    )


def add_windows(windows: Array, vertical: WindowAxis, horizontal: WindowAxis, rows: range, images: Array) -> None:
    """Add windows ``(C, R, S, n, rows, Q)`` of some output rows into contiguous images ``(n, C, H, W)``, tap by tap."""
    size = (images.shape[2], images.shape[3])
    add_elements(
        freeze(windows).reshape(-1), windows.shape, images.reshape(-1), size, vertical.behind(rows), horizontal.behind()
    )


@kernel
def gather_elements(
    images: NDArray[Any],
    image_size: Pair,
    windows: NDArray[Any],
    windows_shape: Shape,
    vertical: Line,
    horizontal: Line,
) -> None:
    """Write windows ``(C, R, S, n, P, Q)`` of images ``(n, C, H, W)``, both as one row of elements."""
    (H, W), (C, R, S, N, P, Q) = image_size, windows_shape
    (stride_h, step_h, start_h), (stride_w, step_w, start_w) = vertical, horizontal
    target = 0
    for c in range(C):
        for r in range(R):
            top = r * step_h + start_h
            first, last = meet_places(top, stride_h, H, P)
            for s in range(S):
                left = s * step_w + start_w
                low, high = meet_places(left, stride_w, W, Q)
                for n in range(N):
                    source = ((n * C + c) * H + top) * W + left
                    if last == first or high == low:
                        fill_zeros(windows, target, P * Q)
                    elif stride_w == 1 and stride_h == 1 and Q == W:
                        # Rows lie as in the image: one run, in which only the ends of rows are wrong.
                        begin, end = first * W + low, (last - 1) * W + high
                        fill_zeros(windows, target, begin)
                        copy_run(images, source + begin, windows, target + begin, end - begin)
                        fill_zeros(windows, target + end, P * W - end)
                        if high - low < Q:
                            for p in range(first, last):
                                fill_zeros(windows, target + p * W, low)
                                fill_zeros(windows, target + p * W + high, W - high)
                    else:
                        for p in range(P):
                            row = target + p * Q
                            if first <= p < last:
                                fill_zeros(windows, row, low)
                                met = source + p * stride_h * W + low * stride_w
                                copy_strided(images, met, stride_w, windows, row + low, high - low)
                                fill_zeros(windows, row + high, Q - high)
                            else:
                                fill_zeros(windows, row, Q)
                    target += P * Q


@kernel
def add_elements(
    windows: NDArray[Any],
    windows_shape: Shape,
    images: NDArray[Any],
    image_size: Pair,
    vertical: Line,
    horizontal: Line,
) -> None:
    """Add windows ``(C, R, S, n, P, Q)`` into images ``(n, C, H, W)``, both as one row of elements."""
    (H, W), (C, R, S, N, P, Q) = image_size, windows_shape
    (stride_h, step_h, start_h), (stride_w, step_w, start_w) = vertical, horizontal
    for c in range(C):
        for n in range(N):
            for r in range(R):
                top = r * step_h + start_h
                first, last = meet_places(top, stride_h, H, P)
                for s in range(S):
                    left = s * step_w + start_w
                    low, high = meet_places(left, stride_w, W, Q)
                    target = ((n * C + c) * H + top) * W + left
                    source = (((c * R + r) * S + s) * N + n) * P * Q
                    for p in range(first, last):
                        met = target + p * stride_h * W + low * stride_w
                        add_strided(windows, source + p * Q + low, images, met, stride_w, high - low)


@kernel
def exchange_channels(
    weight: NDArray[Any], filters: int, channels: int, taps: int, first: int, last: int, exchanged: NDArray[Any]
) -> None:
    """Write some channels of ``(M, C, taps)`` into ``(C, M, taps)``, both as one row, a few channels at a time."""
    for begin in range(first, last, EXCHANGED_CHANNELS):
        end = min(last, begin + EXCHANGED_CHANNELS)
        for m in range(filters):
            for c in range(begin, end):
                copy_run(weight, (m * channels + c) * taps, exchanged, (c * filters + m) * taps, taps)


@kernel
def meet_places(start: int, stride: int, size: int, places: int) -> tuple[int, int]:
    """Give the first place, and the one behind the last, whose element place stride + start lies within the size."""
    low = min(max(0, -(start // stride)), places)
    high = min(max(low, (size - 1 - start) // stride + 1), places)
    return low, high


@kernel(inlines=True)
def fill_zeros(target: NDArray[Any], first: int, count: int) -> None:
    """Write zeros; indices without a sign cannot mean places from the end, which loops are slower for."""
    place = np.uint64(first)
    for i in range(np.uint64(max(0, count))):
        target[place + i] = 0


@kernel(inlines=True)
def copy_run(source: NDArray[Any], first: int, target: NDArray[Any], place: int, count: int) -> None:
    """Copy elements that lie together."""
    start, to = np.uint64(first), np.uint64(place)
    for i in range(np.uint64(max(0, count))):
        target[to + i] = source[start + i]


@kernel(inlines=True)
def copy_strided(source: NDArray[Any], first: int, stride: int, target: NDArray[Any], place: int, count: int) -> None:
    """Copy every `stride`-th element."""
    if stride == 1:
        copy_run(source, first, target, place, count)
        return
    start, to, step = np.uint64(first), np.uint64(place), np.uint64(stride)
    for i in range(np.uint64(max(0, count))):
        target[to + i] = source[start + i * step]


@kernel(inlines=True)
def add_strided(source: NDArray[Any], first: int, target: NDArray[Any], place: int, stride: int, count: int) -> None:
    """Add to every `stride`-th element."""
    start, to, step = np.uint64(first), np.uint64(place), np.uint64(stride)
    if stride == 1:
        for i in range(np.uint64(max(0, count))):
            target[to + i] += source[start + i]
    else:
        for i in range(np.uint64(max(0, count))):
            target[to + i * step] += source[start + i]
