"""Calls of torch functions that pool: windows of images and signals, and means over all positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workloads.capture.calls import Calls, LayerCall, SameTensor, Tensor, UnmappedCallError, expect_axes, pair, short
from workloads.capture.reshaping import read_pooled_mean


def read_max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Calls:
    """Read a maximum pooling."""
    expect_axes(input, 4, "a pooling")
    if return_indices:
        raise UnmappedCallError("the indices of a maximum pooling are read, which no layer gives out")
    fields = make_window_fields(kernel_size, stride, padding) | {"ceil_mode": ceil_mode}
    if pair(dilation) != (1, 1):
        fields["dilation"] = short(pair(dilation))
    return LayerCall("max_pool", (input,), fields)


def make_window_fields(kernel_size: Any, stride: Any, padding: Any) -> dict[str, Any]:
    """Give what the poolings have in common; without a stride a window moves by its own size."""
    moved = pair(kernel_size) if stride is None or stride in ([], ()) else pair(stride)
    return {"kernel": short(pair(kernel_size)), "stride": short(moved), "padding": short(pair(padding))}


def read_avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Calls:
    """Read an average pooling."""
    expect_axes(input, 4, "a pooling")
    if divisor_override is not None:
        raise UnmappedCallError(f"an average pooling that divides by {divisor_override} is no mean")
    fields = make_window_fields(kernel_size, stride, padding)
    if ceil_mode:
        fields["ceil_mode"] = True
    if not count_include_pad and pair(padding) != (0, 0):
        fields["count_include_pad"] = False
    return LayerCall("avg_pool", (input,), fields)


def read_adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Calls:
    """Read an average pooling that is given its output's size."""
    expect_axes(input, 4, "a pooling")
    sizes = find_adaptive(input, output_size)
    height, width = input.shape[2:]
    if sizes == (height, width):
        return SameTensor(input)
    if sizes == (1, 1):
        return LayerCall("global_avg_pool", (input,))
    if height % sizes[0] == 0 and width % sizes[1] == 0:
        kernel = short((height // sizes[0], width // sizes[1]))
        return LayerCall("avg_pool", (input,), {"kernel": kernel, "stride": kernel})
    return LayerCall("adaptive_avg_pool", (input,), {"output": list(sizes)})


def read_adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Calls:
    """Read a maximum pooling that is given its output's size, which must divide the input's."""
    expect_axes(input, 4, "a pooling")
    sizes = find_adaptive(input, output_size)
    height, width = input.shape[2:]
    if return_indices or height % sizes[0] or width % sizes[1]:
        raise UnmappedCallError(f"an adaptive maximum pooling of {height} x {width} to {sizes[0]} x {sizes[1]}")
    kernel = short((height // sizes[0], width // sizes[1]))
    return LayerCall("max_pool", (input,), {"kernel": kernel, "stride": kernel})


def find_adaptive(input: Tensor, output_size: Any) -> tuple[int, int]:
    """Give the size of an adaptive pooling's output; None keeps the input's."""
    wanted = (output_size, output_size) if output_size is None or isinstance(output_size, int) else tuple(output_size)
    height, width = (size if want is None else want for size, want in zip(input.shape[2:], wanted, strict=True))
    return int(height), int(width)


def read_mean(input: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> Calls:
    """Read a mean over the positions of each channel."""
    return read_pooled_mean(input, dim, keepdim)


def read_max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Calls:
    """Read a maximum pooling of signals."""
    expect_axes(input, 3, "a pooling of signals")
    if return_indices or pair(dilation) != (1, 1):
        raise UnmappedCallError("a maximum pooling of signals with dilation, or whose indices are read, is no layer")
    fields = make_row_fields(kernel_size, stride, padding) | {"ceil_mode": ceil_mode}
    return LayerCall("max_pool", (input,), fields)


def read_avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Calls:
    """Read an average pooling of signals."""
    expect_axes(input, 3, "a pooling of signals")
    fields = make_row_fields(kernel_size, stride, padding)
    return LayerCall("avg_pool", (input,), fields | {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad})


def make_row_fields(kernel_size: Any, stride: Any, padding: Any) -> dict[str, Any]:
    """Give what poolings of signals have in common: windows of one row."""
    moved = kernel_size if stride is None or stride in ([], ()) else stride
    return {"kernel": [1, pair(kernel_size)[1]], "stride": [1, pair(moved)[1]], "padding": [0, pair(padding)[1]]}


def read_adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Calls:
    """Read an average of whole signals."""
    expect_axes(input, 3, "a pooling of signals")
    if pair(output_size) != (1, 1):
        raise UnmappedCallError("an adaptive pooling of signals is a layer only where one number is left of each")
    return LayerCall("global_avg_pool", (input,))


POOLING: dict[str, Callable[..., Calls]] = {
    "max_pool1d": read_max_pool1d,
    "avg_pool1d": read_avg_pool1d,
    "adaptive_avg_pool1d": read_adaptive_avg_pool1d,
    "max_pool2d": read_max_pool2d,
    "avg_pool2d": read_avg_pool2d,
    "adaptive_avg_pool2d": read_adaptive_avg_pool2d,
    "adaptive_max_pool2d": read_adaptive_max_pool2d,
    "mean": read_mean,
}
