"""Pooling layers, forward and backward; tensors ``(N, C, H, W)`` and ``(N, C, P, Q)``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.reference.arrays import Array


@dataclass(frozen=True, slots=True)
class PoolWindow:
    """Geometry of a pooling window.

    Raises:
        ValueError: the padding is more than half of the kernel, so that a window could lie in padding alone.
    """

    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    pad_height: int = 0
    pad_width: int = 0
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        if 2 * self.pad_height > self.kernel_height or 2 * self.pad_width > self.kernel_width:
            raise ValueError(
                f"the padding of {self.pad_height} x {self.pad_width} is more than half of "
                f"the pooling kernel of {self.kernel_height} x {self.kernel_width}"
            )

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the output: (P, Q)."""
        return (
            self._axis_size(height, self.kernel_height, self.stride_height, self.pad_height),
            self._axis_size(width, self.kernel_width, self.stride_width, self.pad_width),
        )

    def _axis_size(self, size: int, kernel: int, stride: int, padding: int) -> int:
        reach = size + 2 * padding - kernel
        if not self.ceil_mode:
            return reach // stride + 1
        steps = -(-reach // stride)
        # As in torch, the last window has to start inside the input or the padding before it.
        return steps if steps * stride >= size + padding else steps + 1

    def taps(self, P: int, Q: int) -> Iterator[tuple[int, slice, slice]]:
        """Number r S + s of every tap of the window, and the rows and columns of the padded input that it meets."""
        for r in range(self.kernel_height):
            for s in range(self.kernel_width):
                rows = slice(r, r + self.stride_height * (P - 1) + 1, self.stride_height)
                columns = slice(s, s + self.stride_width * (Q - 1) + 1, self.stride_width)
                yield r * self.kernel_width + s, rows, columns


def max_pool_forward(input: Array, window: PoolWindow) -> tuple[Array, NDArray[Any]]:
    """Maximum of each window, and the number r S + s of the tap that holds it (the first one on a tie)."""
    P, Q = window.output_size(*input.shape[2:])
    padded = _pad(input, window, P, Q, -np.inf)
    output = np.full((*input.shape[:2], P, Q), -np.inf, dtype=input.dtype)
    taps = window.kernel_height * window.kernel_width
    argmax = np.zeros(output.shape, dtype=np.min_scalar_type(taps - 1))
    for tap, rows, columns in window.taps(P, Q):
        candidate = padded[:, :, rows, columns]
        larger = candidate > output
        np.copyto(output, candidate, where=larger)
        np.copyto(argmax, tap, where=larger)
    return output, argmax


def max_pool_backward(
    grad_output: Array, argmax: NDArray[Any], window: PoolWindow, input_shape: tuple[int, ...]
) -> Array:
    """Hand each output's gradient to the tap that held the maximum."""
    P, Q = grad_output.shape[2:]
    padded = np.zeros(_padded_shape(input_shape, window, P, Q), dtype=grad_output.dtype)
    for tap, rows, columns in window.taps(P, Q):
        padded[:, :, rows, columns] += grad_output * (argmax == tap)
    return _crop(padded, window, input_shape)


def avg_pool_forward(input: Array, window: PoolWindow) -> Array:
    """Mean of each window, zeros of the padding counted."""
    P, Q = window.output_size(*input.shape[2:])
    padded = _pad(input, window, P, Q, 0.0)
    output = np.zeros((*input.shape[:2], P, Q), dtype=input.dtype)
    for _, rows, columns in window.taps(P, Q):
        output += padded[:, :, rows, columns]
    output /= window.kernel_height * window.kernel_width
    return output


def avg_pool_backward(grad_output: Array, window: PoolWindow, input_shape: tuple[int, ...]) -> Array:
    """Hand each output's gradient in equal shares to all taps of its window."""
    P, Q = grad_output.shape[2:]
    share = grad_output / (window.kernel_height * window.kernel_width)
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


def _padded_shape(input_shape: tuple[int, ...], window: PoolWindow, P: int, Q: int) -> tuple[int, ...]:
    """Large enough for the padding and for a last window that ceil_mode lets stand over the edge."""
    N, C, H, W = input_shape
    height = max(H + 2 * window.pad_height, (P - 1) * window.stride_height + window.kernel_height)
    width = max(W + 2 * window.pad_width, (Q - 1) * window.stride_width + window.kernel_width)
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
    return padded[:, :, window.pad_height : window.pad_height + H, window.pad_width : window.pad_width + W]
