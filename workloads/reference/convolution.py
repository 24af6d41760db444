"""The three steps of a 2-D convolution as matrix products on unfolded windows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from workloads.arrays import BoolArray
from workloads.reference.arrays import Array, require_shape
from workloads.shapes import ConvShape, slice_positions

# Unfolded windows of one product, in elements: large enough for BLAS, small beside what backprop keeps.
WINDOW_ELEMENTS = 2**22
# With at least this many positions a 1x1 kernel needs no gathering of images to keep BLAS busy.
POINTWISE_POSITIONS = 64


def conv_forward(input: Array, weight: Array, shape: ConvShape) -> Array:
    """Convolve, without bias: input ``(N, C, H, W)`` and weight ``(M, C / G, R, S)`` to ``(N, M, P, Q)``."""
    require_shape("input", input, shape.input_shape)
    require_shape("weight", weight, shape.weight_shape)
    output = np.empty(shape.output_shape, dtype=input.dtype)
    filters = _filter_matrices(weight, shape)
    for images in _image_runs(shape):
        padded = _pad(input[images], shape)
        for rows in _row_runs(shape):
            target = _by_channel(output[images, :, rows])
            target[...] = np.matmul(filters, _unfold(padded, rows, shape)).reshape(target.shape)
    return output


def conv_gta(grad_output: Array, weight: Array, shape: ConvShape, mask: BoolArray | None = None) -> Array:
    """Gradient to the input ``(N, C, H, W)`` from grad_output ``(N, M, P, Q)``; zero where the mask is not set."""
    require_shape("grad_output", grad_output, shape.output_shape)
    require_shape("weight", weight, shape.weight_shape)
    if mask is not None:
        require_shape("mask", mask, shape.input_shape)
    grad_input = np.empty(shape.input_shape, dtype=grad_output.dtype)
    filters = _filter_matrices(weight, shape).transpose(0, 2, 1)
    for images in _image_runs(shape):
        padded = np.zeros(_padded_shape(grad_input[images], shape), dtype=grad_output.dtype)
        for rows in _row_runs(shape):
            _fold(np.matmul(filters, _output_matrices(grad_output[images, :, rows], shape)), padded, rows, shape)
        grad_input[images] = _crop(padded, shape)
    if mask is not None:
        np.copyto(grad_input, 0, where=~mask)
    return grad_input


def conv_gtw(input: Array, grad_output: Array, shape: ConvShape) -> Array:
    """Gradient to the weight ``(M, C / G, R, S)`` from input ``(N, C, H, W)`` and grad_output ``(N, M, P, Q)``."""
    require_shape("input", input, shape.input_shape)
    require_shape("grad_output", grad_output, shape.output_shape)
    window_size = shape.group_in_channels * shape.kernel_height * shape.kernel_width
    grad_weight = np.zeros((shape.groups, shape.group_out_channels, window_size), dtype=input.dtype)
    for images in _image_runs(shape):
        padded = _pad(input[images], shape)
        for rows in _row_runs(shape):
            windows = _unfold(padded, rows, shape).transpose(0, 2, 1)
            grad_weight += np.matmul(_output_matrices(grad_output[images, :, rows], shape), windows)
    return grad_weight.reshape(shape.weight_shape)


def _image_runs(shape: ConvShape) -> Iterator[slice]:
    """Cut the batch into runs of images whose unfolded windows stay below `WINDOW_ELEMENTS`, or single ones."""
    images = max(1, WINDOW_ELEMENTS // (_row_elements(shape) * shape.out_height))
    if _is_pointwise(shape) and shape.out_height * shape.out_width >= POINTWISE_POSITIONS:
        images = 1
    for start in range(0, shape.batch, images):
        yield slice(start, min(start + images, shape.batch))


def _row_runs(shape: ConvShape) -> Iterator[slice]:
    """Cut the output's rows likewise, for images that are too large as a whole."""
    rows = max(1, WINDOW_ELEMENTS // _row_elements(shape))
    if _is_pointwise(shape):
        rows = shape.out_height
    for start in range(0, shape.out_height, rows):
        yield slice(start, min(start + rows, shape.out_height))


def _row_elements(shape: ConvShape) -> int:
    """Elements in the windows of one output row of one image."""
    return shape.in_channels * shape.kernel_height * shape.kernel_width * shape.out_width


def _is_pointwise(shape: ConvShape) -> bool:
    return (shape.kernel_height, shape.kernel_width) == (1, 1) == shape.stride and not any(shape.padding)


def _by_channel(images: Array) -> Array:
    """View ``(n, C, H, W)`` as ``(C, n, H, W)``."""
    return images.transpose(1, 0, 2, 3)


def _filter_matrices(weight: Array, shape: ConvShape) -> Array:
    """Weight as ``(G, M / G, (C / G) R S)``."""
    return weight.reshape(shape.groups, shape.group_out_channels, -1)


def _output_matrices(grad_output: Array, shape: ConvShape) -> Array:
    """Some rows of the output gradients of n images as ``(G, M / G, n rows Q)``."""
    return _by_channel(grad_output).reshape(shape.groups, shape.group_out_channels, -1)


def _unfold(padded: Array, rows: slice, shape: ConvShape) -> Array:
    """The windows of some output rows of n padded images as ``(G, (C / G) R S, n rows Q)``.

    A view, where the kernel is 1x1 and the image one.
    """
    (U_h, U_w), (D_h, D_w), R, S = shape.stride, shape.dilation, shape.kernel_height, shape.kernel_width
    if _is_pointwise(shape):
        return _by_channel(padded).reshape(shape.groups, shape.group_in_channels, -1)
    reach = (D_h * (R - 1) + 1, D_w * (S - 1) + 1)
    met = padded[:, :, rows.start * U_h : (rows.stop - 1) * U_h + reach[0]]
    windows = sliding_window_view(met, reach, axis=(2, 3))[:, :, ::U_h, ::U_w, ::D_h, ::D_w]
    windows = windows[:, :, :, : shape.out_width]
    return windows.transpose(1, 4, 5, 0, 2, 3).reshape(shape.groups, shape.group_in_channels * R * S, -1)


def _fold(grad_windows: Array, padded: Array, rows: slice, shape: ConvShape) -> None:
    """Add gradients of windows ``(G, (C / G) R S, n rows Q)`` into those of the n padded images."""
    R, S, Q, U = shape.kernel_height, shape.kernel_width, shape.out_width, shape.stride_height
    run = rows.stop - rows.start
    windows = grad_windows.reshape(shape.in_channels, R, S, -1, run, Q)
    for r in range(R):
        for s in range(S):
            met_rows = slice_positions(rows.start * U + r * shape.dilation_height, run, U)
            met = padded[:, :, met_rows, shape.met_columns(s)]
            met += _by_channel(windows[:, r, s])


def _padded_shape(images: Array, shape: ConvShape) -> tuple[int, ...]:
    n, C, H, W = images.shape
    return (n, C, shape.pad_top + H + shape.pad_bottom, shape.pad_left + W + shape.pad_right)


def _pad(images: Array, shape: ConvShape) -> Array:
    if not any(shape.padding):
        return images
    padded = np.zeros(_padded_shape(images, shape), dtype=images.dtype)
    _crop(padded, shape)[...] = images
    return padded


def _crop(padded: Array, shape: ConvShape) -> Array:
    """View the images without their padding."""
    inner_height = slice(shape.pad_top, shape.pad_top + shape.in_height)
    inner_width = slice(shape.pad_left, shape.pad_left + shape.in_width)
    return padded[:, :, inner_height, inner_width]
