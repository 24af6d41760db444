"""The loops of maximum pooling over planes, each image's channels, which lie as one row of elements."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.kernel import kernel
from workloads.reference.windows import meet_places

Pair = tuple[int, int]
# Taps, stride, step from tap to tap, and the place of the first tap: vertical, then horizontal.
Geometry = tuple[Pair, Pair, Pair, Pair]


@kernel
def find_maxima(
    input: NDArray[Any], size: Pair, planes: Pair, geometry: Geometry, output_size: Pair, output: NDArray[Any],
    argmax: NDArray[Any],
) -> None:  # fmt: skip
    """Write the maximum of each window, and the number of the first tap that holds it."""
    (H, W), (P, Q) = size, output_size
    (R, S), (stride_h, stride_w), (step_h, step_w), (start_h, start_w) = geometry
    for plane in range(planes[0], planes[1]):
        for p in range(P):
            row = (plane * P + p) * Q
            for q in range(Q):
                output[row + q], argmax[row + q] = -np.inf, 0
            for r in range(R):
                h = p * stride_h + r * step_h + start_h
                if not 0 <= h < H:
                    continue
                for s in range(S):
                    left = s * step_w + start_w
                    low, high = meet_places(left, stride_w, W, Q)
                    met, stride = np.uint64((plane * H + h) * W + left + low * stride_w), np.uint64(stride_w)
                    target = np.uint64(row + low)
                    for q in range(np.uint64(max(0, high - low))):
                        value, best = input[met + q * stride], output[target + q]
                        is_larger = value > best
                        output[target + q] = value if is_larger else best
                        argmax[target + q] = r * S + s if is_larger else argmax[target + q]


@kernel
def scatter_gradients(
    grad_output: NDArray[Any], argmax: NDArray[Any], output_size: Pair, planes: Pair, geometry: Geometry, size: Pair,
    grad_input: NDArray[Any],
) -> None:  # fmt: skip
    """Add each window's gradient to its tap, the last window first: an element's shares come in the order of taps."""
    (H, W), (P, Q) = size, output_size
    (_, S), (stride_h, stride_w), (step_h, step_w), (start_h, start_w) = geometry
    for plane in range(planes[0], planes[1]):
        for i in range(H * W):
            grad_input[plane * H * W + i] = 0
        for p in range(P - 1, -1, -1):
            for q in range(Q - 1, -1, -1):
                place = (plane * P + p) * Q + q
                tap = np.int64(argmax[place])
                h = p * stride_h + tap // S * step_h + start_h
                w = q * stride_w + tap % S * step_w + start_w
                if 0 <= h < H and 0 <= w < W:
                    grad_input[(plane * H + h) * W + w] += grad_output[place]
