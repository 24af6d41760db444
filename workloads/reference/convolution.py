"""The three steps of a 2-D convolution as matrix products on gathered windows, in blocks that a core's cache holds.

Blocks are cut by the geometry alone, and each result is summed in one order, so that nothing depends on how many
threads share the blocks out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from workloads.arrays import BoolArray
from workloads.kernel import freeze
from workloads.reference.arrays import Array, require_shape
from workloads.reference.elementwise import add_forward
from workloads.reference.scratch import take_scratch
from workloads.reference.windows import WindowAxis, add_windows, exchange_channels, gather_windows
from workloads.shapes import ConvShape, Pair, Shape
from workloads.workers import RUN_ELEMENTS, share_out

# Gathered windows of one product, in elements: about half of a core's second cache.
BLOCK_ELEMENTS = 2**18
# Places of one product at least, where there are so many: with fewer, BLAS reads the weights too often.
BLOCK_PLACES = 512
# With at least this many places a 1x1 kernel needs no gathering of images to keep BLAS busy.
POINTWISE_PLACES = 64
# The gradient to the weights is the sum of those of so many parts of the blocks, whoever computes them.
WEIGHT_PARTS = 2
# GTA gathers windows of grad_output where that has at most so many times the input's channels, else it adds windows.
GATHERED_CHANNELS = 2
# The gradient to a group's weights is computed turned where it has fewer elements.
TURNED_ELEMENTS = 2**17


@dataclass(frozen=True, slots=True)
class Block:
    """Some images, and some rows of what lies beside the windows in a product."""

    images: slice
    rows: range


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of images, one for each of ``(P, Q)`` places."""

    vertical: WindowAxis
    horizontal: WindowAxis
    groups: int
    places: Pair

    @property
    def is_pointwise(self) -> bool:
        """Whether the windows of an image are the image."""
        return self.vertical == self.horizontal == WindowAxis(1, 1, self.vertical.step, 0)

    def gather(self, images: Array, block: Block) -> Array:
        """Give a block's windows of ``(N, C, H, W)`` as ``(G, (C / G) R S, n rows Q)``: scratch, or a view."""
        chosen, width = images[block.images], self.places[1]
        channels, taps = images.shape[1], (self.vertical.taps, self.horizontal.taps)
        if self.is_pointwise and len(chosen) == 1 and self.places == images.shape[2:]:
            return _slice_places(chosen[0], block.rows, self.groups)
        unfolded = (channels, *taps, len(chosen), len(block.rows), width)
        windows = take_scratch("windows", unfolded, images.dtype)
        gather_windows(chosen, self.vertical, self.horizontal, block.rows, windows)
        return windows.reshape(self.groups, channels // self.groups * taps[0] * taps[1], -1)

    def cut(self, batch: int, channels: int) -> list[Block]:
        """Cut the products of a batch of images of so many channels into blocks."""
        height, width = self.places
        length = channels // self.groups * self.vertical.taps * self.horizontal.taps * self.groups
        limit = max(BLOCK_PLACES, BLOCK_ELEMENTS // length)
        rows = height
        if self.is_pointwise and height * width >= POINTWISE_PLACES:
            images = 1
        else:
            images = max(1, min(batch, limit // (height * width)))
            rows = min(height, max(1, limit // width))
        # An even number of runs keeps two threads busy to the end.
        runs = -(-batch // images)
        images = -(-batch // min(batch, runs + runs % 2))
        return [
            Block(slice(first, min(first + images, batch)), range(top, min(top + rows, height)))
            for first in range(0, batch, images)
            for top in range(0, height, rows)
        ]


def conv_forward(input: Array, weight: Array, shape: ConvShape) -> Array:
    """Convolve, without bias: input ``(N, C, H, W)`` and weight ``(M, C / G, R, S)`` to ``(N, M, P, Q)``."""
    require_shape("input", input, shape.input_shape)
    require_shape("weight", weight, shape.weight_shape)
    return _multiply_windows(input, _filter_matrices(weight, shape), _input_windows(shape), shape.output_shape)


def conv_gta(grad_output: Array, weight: Array, shape: ConvShape, mask: BoolArray | None = None) -> Array:
    """Gradient to the input ``(N, C, H, W)`` from grad_output ``(N, M, P, Q)``; zero where the mask is not set."""
    require_shape("grad_output", grad_output, shape.output_shape)
    require_shape("weight", weight, shape.weight_shape)
    if mask is not None:
        require_shape("mask", mask, shape.input_shape)
    if shape.stride == (1, 1) and shape.out_channels <= GATHERED_CHANNELS * shape.in_channels:
        filters = _exchange_filters(weight, shape)
        grad_input = _multiply_windows(grad_output, filters, _output_windows(shape), shape.input_shape)
    else:
        grad_input = _add_windows(grad_output, weight, shape)
    if mask is not None:
        np.copyto(grad_input, 0, where=~mask)
    return grad_input


def conv_gtw(input: Array, grad_output: Array, shape: ConvShape) -> Array:
    """Gradient to the weight ``(M, C / G, R, S)`` from input ``(N, C, H, W)`` and grad_output ``(N, M, P, Q)``."""
    require_shape("input", input, shape.input_shape)
    require_shape("grad_output", grad_output, shape.output_shape)
    windows = _input_windows(shape)
    blocks = windows.cut(shape.batch, shape.in_channels)
    parts = np.array_split(np.arange(len(blocks)), min(WEIGHT_PARTS, len(blocks)))
    matrices = (shape.group_out_channels, shape.group_in_channels * shape.kernel_height * shape.kernel_width)
    # Of small products BLAS is faster at the turned ones; turning a large result takes longer than that saves.
    is_turned = prod(matrices) < TURNED_ELEMENTS
    sums = np.empty((len(parts), shape.groups, *(matrices[::-1] if is_turned else matrices)), dtype=input.dtype)

    def sum_part(part: int) -> None:
        total = sums[part]
        for number, place in enumerate(parts[part]):
            gathered, factor = windows.gather(input, blocks[place]), _output_matrices(grad_output, blocks[place], shape)
            pair = (gathered, factor.transpose(0, 2, 1)) if is_turned else (factor, gathered.transpose(0, 2, 1))
            if number:
                product = take_scratch("product", total.shape, total.dtype)
                total += np.matmul(*pair, out=product)
            else:
                np.matmul(*pair, out=total)

    share_out(sum_part, len(parts))
    total = add_forward(list(sums))
    return np.ascontiguousarray(total.transpose(0, 2, 1) if is_turned else total).reshape(shape.weight_shape)


def _multiply_windows(images: Array, filters: Array, windows: Windows, result_shape: Shape) -> Array:
    """Multiply filters ``(G, M / G, (C / G) R S)`` with the windows of images to ``(N, M, P, Q)``."""
    result = np.empty(result_shape, dtype=images.dtype)
    blocks = windows.cut(*images.shape[:2])

    def multiply(number: int) -> None:
        block = blocks[number]
        gathered, target = windows.gather(images, block), result[block.images]
        if len(target) == 1:
            np.matmul(filters, gathered, out=_slice_places(target[0], block.rows, windows.groups))
        else:
            met = target[:, :, block.rows.start : block.rows.stop].transpose(1, 0, 2, 3)
            product = take_scratch("product", (*filters.shape[:2], gathered.shape[2]), result.dtype)
            met[...] = np.matmul(filters, gathered, out=product).reshape(met.shape)

    share_out(multiply, len(blocks))
    return result


def _add_windows(grad_output: Array, weight: Array, shape: ConvShape) -> Array:
    """Gradient to the input, as the sum of the gradients to all windows, block by block."""
    grad_input = np.empty(shape.input_shape, dtype=grad_output.dtype)
    filters = _filter_matrices(weight, shape).transpose(0, 2, 1)
    windows = _input_windows(shape)
    runs = _group_by_images(windows.cut(shape.batch, shape.in_channels))

    def add_run(number: int) -> None:
        for place, block in enumerate(runs[number]):
            target = grad_input[block.images]
            if not place:
                target[...] = 0
            factor = _output_matrices(grad_output, block, shape)
            gradients = take_scratch("product", (*filters.shape[:2], factor.shape[2]), grad_output.dtype)
            np.matmul(filters, factor, out=gradients)
            taps = (shape.kernel_height, shape.kernel_width)
            unfolded = (shape.in_channels, *taps, len(target), len(block.rows), shape.out_width)
            add_windows(gradients.reshape(unfolded), windows.vertical, windows.horizontal, block.rows, target)

    share_out(add_run, len(runs))
    return grad_input


def _group_by_images(blocks: Sequence[Block]) -> list[list[Block]]:
    """Put the blocks of the same images together, for their windows overlap."""
    runs: dict[int, list[Block]] = {}
    for block in blocks:
        runs.setdefault(block.images.start, []).append(block)
    return list(runs.values())


def _input_windows(shape: ConvShape) -> Windows:
    """Give the windows of the input, one for each place of the output."""
    return Windows(
        WindowAxis(shape.kernel_height, shape.stride_height, shape.dilation_height, -shape.pad_top),
        WindowAxis(shape.kernel_width, shape.stride_width, shape.dilation_width, -shape.pad_left),
        shape.groups,
        (shape.out_height, shape.out_width),
    )


def _output_windows(shape: ConvShape) -> Windows:
    """Give the windows of the output, for strides of 1: what each place of the input reaches."""
    return Windows(
        WindowAxis(shape.kernel_height, 1, -shape.dilation_height, shape.pad_top),
        WindowAxis(shape.kernel_width, 1, -shape.dilation_width, shape.pad_left),
        shape.groups,
        (shape.in_height, shape.in_width),
    )


def _filter_matrices(weight: Array, shape: ConvShape) -> Array:
    """Weight as ``(G, M / G, (C / G) R S)``."""
    return weight.reshape(shape.groups, shape.group_out_channels, -1)


def _exchange_filters(weight: Array, shape: ConvShape) -> Array:
    """Weight as ``(G, C / G, (M / G) R S)``."""
    G, Mg, Cg, taps = shape.groups, shape.group_out_channels, shape.group_in_channels, prod(weight.shape[2:])
    given, exchanged = freeze(weight).reshape(G, -1), np.empty((G, Cg, Mg * taps), dtype=weight.dtype)
    parts = 2 if weight.size >= RUN_ELEMENTS else 1

    def exchange(part: int) -> None:
        for group in range(G):
            first, last = Cg * part // parts, Cg * (part + 1) // parts
            exchange_channels(given[group], Mg, Cg, taps, first, last, exchanged[group].reshape(-1))

    share_out(exchange, parts)
    return exchanged


def _output_matrices(grad_output: Array, block: Block, shape: ConvShape) -> Array:
    """A block's output gradients ``(N, M, P, Q)`` as ``(G, M / G, n rows Q)``; a view of a single image."""
    chosen = grad_output[block.images]
    if len(chosen) == 1:
        return _slice_places(chosen[0], block.rows, shape.groups)
    met = chosen[:, :, block.rows.start : block.rows.stop].transpose(1, 0, 2, 3)
    return met.reshape(shape.groups, shape.group_out_channels, -1)


def _slice_places(image: Array, rows: range, groups: int) -> Array:
    """View some rows of one contiguous image ``(C, P, Q)`` as ``(G, C / G, rows Q)``."""
    channels, _, width = image.shape
    flat = image.reshape(groups, channels // groups, -1)
    return flat[:, :, rows.start * width : rows.stop * width]
