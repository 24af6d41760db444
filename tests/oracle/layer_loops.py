"""Plain loops that define every layer kind, forward and backward; nothing is shared with the reference.

Tensors are ``(N, C, H, W)``; gradients have the shape of what they belong to.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def indices(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All indices of an array of this shape, last axis fastest."""
    return itertools.product(*(range(size) for size in shape))


@dataclass(frozen=True)
class ConvLoops:
    """A convolution by its multiplications, one by one."""

    input_shape: tuple[int, int, int, int]
    weight_shape: tuple[int, int, int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        N, _, H, W = self.input_shape
        M, _, R, S = self.weight_shape
        top, left, bottom, right = self.padding
        rows = len(range(-top, H + bottom - self.dilation[0] * (R - 1), self.stride[0]))
        columns = len(range(-left, W + right - self.dilation[1] * (S - 1), self.stride[1]))
        return (N, M, rows, columns)

    def products(self) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
        """Indices into output, input and weight of every multiplication that is not on padding."""
        _, _, H, W = self.input_shape
        M, group_channels, R, S = self.weight_shape
        for n, m, p, q in indices(self.output_shape):
            first_channel = m // (M // self.groups) * group_channels
            for c, r, s in indices((group_channels, R, S)):
                h = p * self.stride[0] + r * self.dilation[0] - self.padding[0]
                w = q * self.stride[1] + s * self.dilation[1] - self.padding[1]
                if 0 <= h < H and 0 <= w < W:
                    yield (n, m, p, q), (n, first_channel + c, h, w), (m, c, r, s)

    def forward(self, input: Array, weight: Array) -> Array:
        return sum_forward(self, input, weight)

    def gta(self, grad_output: Array, weight: Array, mask: Array | None = None) -> Array:
        return sum_gta(self, grad_output, weight, mask)

    def gtw(self, input: Array, grad_output: Array) -> Array:
        return sum_gtw(self, input, grad_output)


@dataclass(frozen=True)
class TransposedLoops:
    """A transposed convolution by its multiplications: every input element spreads the kernel over the output."""

    input_shape: tuple[int, int, int, int]
    weight_shape: tuple[int, int, int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    output_padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        N, _, H, W = self.input_shape
        _, group_filters, R, S = self.weight_shape
        top, left, bottom, right = self.padding
        rows = (H - 1) * self.stride[0] + self.dilation[0] * (R - 1) + 1 + self.output_padding[0] - top - bottom
        columns = (W - 1) * self.stride[1] + self.dilation[1] * (S - 1) + 1 + self.output_padding[1] - left - right
        return (N, group_filters * self.groups, rows, columns)

    def products(self) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
        """Indices into output, input and weight of every multiplication that does not fall on padding."""
        _, _, P, Q = self.output_shape
        C, group_filters, R, S = self.weight_shape
        for n, c, h, w in indices(self.input_shape):
            first_filter = c // (C // self.groups) * group_filters
            for m, r, s in indices((group_filters, R, S)):
                p = h * self.stride[0] + r * self.dilation[0] - self.padding[0]
                q = w * self.stride[1] + s * self.dilation[1] - self.padding[1]
                if 0 <= p < P and 0 <= q < Q:
                    yield (n, first_filter + m, p, q), (n, c, h, w), (c, m, r, s)

    def forward(self, input: Array, weight: Array) -> Array:
        return sum_forward(self, input, weight)

    def gta(self, grad_output: Array, weight: Array, mask: Array | None = None) -> Array:
        return sum_gta(self, grad_output, weight, mask)

    def gtw(self, input: Array, grad_output: Array) -> Array:
        return sum_gtw(self, input, grad_output)


def sum_forward(loops: ConvLoops | TransposedLoops, input: Array, weight: Array) -> Array:
    """Sum every multiplication into the output."""
    output = np.zeros(loops.output_shape)
    for out_index, in_index, weight_index in loops.products():
        output[out_index] += input[in_index] * weight[weight_index]
    return output


def sum_gta(loops: ConvLoops | TransposedLoops, grad_output: Array, weight: Array, mask: Array | None) -> Array:
    """Sum every multiplication into the gradient to the input, where the mask is set."""
    grad_input = np.zeros(loops.input_shape)
    for out_index, in_index, weight_index in loops.products():
        if mask is None or mask[in_index]:
            grad_input[in_index] += grad_output[out_index] * weight[weight_index]
    return grad_input


def sum_gtw(loops: ConvLoops | TransposedLoops, input: Array, grad_output: Array) -> Array:
    """Sum every multiplication into the gradient to the weight."""
    grad_weight = np.zeros(loops.weight_shape)
    for out_index, in_index, weight_index in loops.products():
        grad_weight[weight_index] += grad_output[out_index] * input[in_index]
    return grad_weight


def matmul_forward(first: Array, second: Array) -> Array:
    """Product of (Z, T, C) and (Z, C, M), place by place."""
    output = np.zeros((len(first), first.shape[1], second.shape[2]))
    for z, t, m, c in indices((*output.shape, first.shape[2])):
        output[z, t, m] += first[z, t, c] * second[z, c, m]
    return output


def matmul_backward(grad_output: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """Gradients to both factors."""
    grad_first, grad_second = np.zeros(first.shape), np.zeros(second.shape)
    for z, t, m, c in indices((*grad_output.shape, first.shape[2])):
        grad_first[z, t, c] += grad_output[z, t, m] * second[z, c, m]
        grad_second[z, c, m] += grad_output[z, t, m] * first[z, t, c]
    return grad_first, grad_second


def linear_forward(input: Array, weight: Array) -> Array:
    output = np.zeros((len(input), len(weight)))
    for n, m, c in indices((*output.shape, input.shape[1])):
        output[n, m] += input[n, c] * weight[m, c]
    return output


def linear_gta(grad_output: Array, weight: Array, mask: Array | None = None) -> Array:
    grad_input = np.zeros((len(grad_output), weight.shape[1]))
    for n, c, m in indices((*grad_input.shape, len(weight))):
        if mask is None or mask[n, c]:
            grad_input[n, c] += grad_output[n, m] * weight[m, c]
    return grad_input


def linear_gtw(input: Array, grad_output: Array) -> Array:
    grad_weight = np.zeros((grad_output.shape[1], input.shape[1]))
    for m, c, n in indices((*grad_weight.shape, len(input))):
        grad_weight[m, c] += grad_output[n, m] * input[n, c]
    return grad_weight


def relu_forward(input: Array) -> Array:
    output = np.zeros(input.shape)
    for index in indices(input.shape):
        if input[index] > 0:
            output[index] = input[index]
    return output


def relu_backward(grad_output: Array, input: Array) -> Array:
    grad_input = np.zeros(input.shape)
    for index in indices(input.shape):
        if input[index] > 0:
            grad_input[index] = grad_output[index]
    return grad_input


def window_starts(size: int, kernel: int, stride: int, before: int, behind: int, ceil_mode: bool) -> list[int]:
    """First input position of every pooling window along one axis, negative in the padding.

    A window lies within the padded input; with ceil_mode, one more may stand over its end, if the
    ones before have not covered it and it starts before the padding behind the input.
    """
    starts = list(range(-before, size + behind - kernel + 1, stride))
    following = starts[-1] + stride
    covered = starts[-1] + kernel
    if ceil_mode and covered < size + behind and following < size:
        starts.append(following)
    return starts


@dataclass(frozen=True)
class PoolLoops:
    """Pooling window by window."""

    input_shape: tuple[int, int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int] = (1, 1)
    ceil_mode: bool = False
    counts_padding: bool = True

    @property
    def spans(self) -> tuple[range, range]:
        """Places of the taps of a window, from its start."""
        return (
            range(0, self.dilation[0] * self.kernel[0], self.dilation[0]),
            range(0, self.dilation[1] * self.kernel[1], self.dilation[1]),
        )

    def starts(self) -> tuple[list[int], list[int]]:
        """First row and first column of every window."""
        top, left, bottom, right = self.padding
        _, _, H, W = self.input_shape
        rows, columns = self.spans
        return (
            window_starts(H, rows[-1] + 1, self.stride[0], top, bottom, self.ceil_mode),
            window_starts(W, columns[-1] + 1, self.stride[1], left, right, self.ceil_mode),
        )

    def divisor(self, p: int, q: int, members: int) -> int:
        """What the mean of a window is divided by: its taps in the image, or in the padded image."""
        if not self.counts_padding:
            return members
        _, _, H, W = self.input_shape
        tops, lefts = self.starts()
        rows = [r for r in self.spans[0] if tops[p] + r < H + self.padding[2]]
        columns = [s for s in self.spans[1] if lefts[q] + s < W + self.padding[3]]
        return len(rows) * len(columns)

    def windows(self) -> Iterator[tuple[tuple[int, ...], list[tuple[int, ...]]]]:
        """Index of every output, and those of the inputs in its window, in row order."""
        N, C, H, W = self.input_shape
        tops, lefts = self.starts()
        for n, c, p, q in indices((N, C, len(tops), len(lefts))):
            rows = [tops[p] + r for r in self.spans[0] if 0 <= tops[p] + r < H]
            columns = [lefts[q] + s for s in self.spans[1] if 0 <= lefts[q] + s < W]
            yield (n, c, p, q), [(n, c, h, w) for h in rows for w in columns]

    @property
    def output_shape(self) -> tuple[int, ...]:
        last = max(index for index, _ in self.windows())
        return tuple(position + 1 for position in last)

    def max_forward(self, input: Array) -> Array:
        output = np.zeros(self.output_shape)
        for index, members in self.windows():
            output[index] = max(input[member] for member in members)
        return output

    def max_backward(self, grad_output: Array, input: Array) -> Array:
        grad_input = np.zeros(self.input_shape)
        for index, members in self.windows():
            largest = max(input[member] for member in members)
            first = next(member for member in members if input[member] == largest)
            grad_input[first] += grad_output[index]
        return grad_input

    def avg_forward(self, input: Array) -> Array:
        output = np.zeros(self.output_shape)
        for index, members in self.windows():
            output[index] = sum(input[member] for member in members) / self.divisor(index[2], index[3], len(members))
        return output

    def avg_backward(self, grad_output: Array) -> Array:
        grad_input = np.zeros(self.input_shape)
        for index, members in self.windows():
            for member in members:
                grad_input[member] += grad_output[index] / self.divisor(index[2], index[3], len(members))
        return grad_input


def global_avg_forward(input: Array) -> Array:
    N, C, H, W = input.shape
    output = np.zeros((N, C, 1, 1))
    for n, c, h, w in indices(input.shape):
        output[n, c, 0, 0] += input[n, c, h, w] / (H * W)
    return output


def global_avg_backward(grad_output: Array, input_shape: tuple[int, ...]) -> Array:
    grad_input = np.zeros(input_shape)
    for n, c, h, w in indices(input_shape):
        grad_input[n, c, h, w] = grad_output[n, c, 0, 0] / (input_shape[2] * input_shape[3])
    return grad_input


def flatten_forward(input: Array) -> Array:
    N, C, H, W = input.shape
    output = np.zeros((N, C * H * W))
    for n, c, h, w in indices(input.shape):
        output[n, (c * H + h) * W + w] = input[n, c, h, w]
    return output


def dropout_forward(input: Array, kept: Array, rate: float) -> Array:
    output = np.zeros(input.shape)
    for index in indices(input.shape):
        if kept[index]:
            output[index] = input[index] / (1 - rate)
    return output


def add_forward(inputs: Sequence[Array]) -> Array:
    output = np.zeros(inputs[0].shape)
    for index in indices(output.shape):
        output[index] = sum(input[index] for input in inputs)
    return output


def concat_forward(inputs: Sequence[Array]) -> Array:
    N, _, H, W = inputs[0].shape
    output = np.zeros((N, sum(input.shape[1] for input in inputs), H, W))
    first = 0
    for input in inputs:
        for n, c, h, w in indices(input.shape):
            output[n, first + c, h, w] = input[n, c, h, w]
        first += input.shape[1]
    return output


def concat_backward(grad_output: Array, channels: Sequence[int]) -> list[Array]:
    N, _, H, W = grad_output.shape
    grad_inputs, first = [], 0
    for count in channels:
        grad_input = np.zeros((N, count, H, W))
        for n, c, h, w in indices(grad_input.shape):
            grad_input[n, c, h, w] = grad_output[n, first + c, h, w]
        grad_inputs.append(grad_input)
        first += count
    return grad_inputs


def normalise(values: Sequence[float], epsilon: float) -> tuple[list[float], float]:
    """Normalised values of one channel, and 1 / sqrt(variance + epsilon)."""
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    inverse = 1 / math.sqrt(variance + epsilon)
    return [(value - mean) * inverse for value in values], inverse


def batch_norm_forward(input: Array, scale: Array, shift: Array, epsilon: float) -> Array:
    output = np.zeros(input.shape)
    for c in range(input.shape[1]):
        members = [index for index in indices(input.shape) if index[1] == c]
        normalised, _ = normalise([input[index] for index in members], epsilon)
        for index, value in zip(members, normalised, strict=True):
            output[index] = scale[c] * value + shift[c]
    return output


def batch_norm_backward(grad_output: Array, input: Array, scale: Array, epsilon: float) -> tuple[Array, Array, Array]:
    """By the whole Jacobian of a channel: d y_j / d x_i = scale inverse ([i = j] - (1 + x_i x_j) / count)."""
    grad_input, grad_scale, grad_shift = np.zeros(input.shape), np.zeros(len(scale)), np.zeros(len(scale))
    for c in range(input.shape[1]):
        members = [index for index in indices(input.shape) if index[1] == c]
        normalised, inverse = normalise([input[index] for index in members], epsilon)
        count = len(members)
        for j, out_index in enumerate(members):
            grad_scale[c] += grad_output[out_index] * normalised[j]
            grad_shift[c] += grad_output[out_index]
            for i, in_index in enumerate(members):
                slope = (1 if i == j else 0) - (1 + normalised[i] * normalised[j]) / count
                grad_input[in_index] += grad_output[out_index] * scale[c] * inverse * slope
    return grad_input, grad_scale, grad_shift


def cross_entropy(scores: Array, labels: Array) -> tuple[float, Array]:
    """Mean loss and its gradient to the scores."""
    N, classes = scores.shape
    loss, grad_scores = 0.0, np.zeros(scores.shape)
    for n in range(N):
        total = sum(math.exp(score) for score in scores[n])
        for m in range(classes):
            probability = math.exp(scores[n, m]) / total
            is_label = labels[n] == m
            grad_scores[n, m] = (probability - (1 if is_label else 0)) / N
            if is_label:
                loss -= math.log(probability) / N
    return loss, grad_scores
