"""Operators that move a window: convolution, transposed convolution, pooling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from workloads.importers.onnx_model.builder import (
    NetworkBuilder,
    UnsupportedError,
    compact,
    name_by_weight,
    write_padding,
)
from workloads.importers.onnx_model.operations import AnyShape, Operation

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """A window as ONNX says it, of rows with a height of 1.

    Attributes:
        padding: (top, left, bottom, right).
    """

    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: tuple[int, int, int, int]
    auto: str

    @property
    def extent(self) -> Pair:
        """The positions that the window covers."""
        return (self.dilation[0] * (self.kernel[0] - 1) + 1, self.dilation[1] * (self.kernel[1] - 1) + 1)


def read_window(operation: Operation, kernel: AnyShape, image: AnyShape) -> Window:
    """Read the attributes of a window on an image (height, width).

    Raises:
        UnsupportedError: it has more than two axes.
    """
    if len(kernel) not in (1, 2):
        raise UnsupportedError(f"a window over {len(kernel)} axes")
    given = operation.attributes

    def read(name: str) -> Pair:
        sizes = given.get(name) or [1] * len(kernel)
        return (1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])

    pads = list(given.get("pads") or [0] * 2 * len(kernel))
    padding = (0, pads[0], 0, pads[1]) if len(pads) == 2 else tuple(pads)
    size = (1, kernel[0]) if len(kernel) == 1 else (kernel[0], kernel[1])
    auto = operation.word("auto_pad", "NOTSET")
    window = Window(size, read("strides"), read("dilations"), padding, auto)
    if auto == "VALID":
        return Window(size, window.stride, window.dilation, (0, 0, 0, 0), auto)
    return pad_same(window, image) if auto.startswith("SAME") else window


def pad_same(window: Window, image: AnyShape) -> Window:
    """Give a window the zeros with which it makes ceil(size / stride) outputs."""
    total = [
        max(0, (ceil(size / stride) - 1) * stride + extent - size)
        for size, stride, extent in zip(image, window.stride, window.extent, strict=True)
    ]
    before = [(one + 1) // 2 if window.auto == "SAME_LOWER" else one // 2 for one in total]
    padding = (before[0], before[1], total[0] - before[0], total[1] - before[1])
    return Window(window.kernel, window.stride, window.dilation, padding, window.auto)


def write_window(window: Window, *, always_stride: bool = False) -> dict[str, Any]:
    """Write a window as fields; what is 1 or 0 by default is left out."""
    fields: dict[str, Any] = {"kernel": compact(window.kernel)}
    if always_stride or window.stride != (1, 1):
        fields["stride"] = compact(window.stride)
    fields |= {"padding": "same"} if window.auto == "SAME_UPPER" and any(window.padding) else (
        write_padding(window.padding)
    )  # fmt: skip
    if window.dilation != (1, 1):
        fields["dilation"] = compact(window.dilation)
    return fields


def image_shape(shape: AnyShape) -> AnyShape:
    """Give the shape of an image (C, H, W) that holds (C, L) or (C, H, W)."""
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


def convert_conv(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a convolution of one or two axes."""
    weight = build.constant(operation.input(1), "a weight")
    bias = build.constant(operation.input(2), "a bias") if operation.input(2) else None
    source = build.image(operation.input(0))
    window = read_window(operation, weight.shape[2:], source.held[1:])
    group = operation.attributes.get("group", 1)
    if weight.shape[1] * group != source.held[0]:
        raise UnsupportedError(f"a weight of {weight.shape[1] * group} channels on an input of {source.held[0]}")
    held = image_shape(build.shape(operation.output))
    fields: dict[str, Any] = {"out_channels": weight.shape[0], **write_window(window)}
    if group != 1:
        fields["groups"] = group
    value = build.add(
        "conv2d", name_by_weight(operation), [source], held, **fields, **({} if bias is not None else {"bias": False})
    )
    build.keep(value, weight=weight.reshape(*weight.shape[:2], *window.kernel))
    if bias is not None:
        build.keep(value, bias=bias)
    build.set(operation, value)


def convert_transposed(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a transposed convolution; where its output's size is given, the padding follows from it."""
    weight = build.constant(operation.input(1), "a weight")
    bias = build.constant(operation.input(2), "a bias") if operation.input(2) else None
    source = build.image(operation.input(0))
    window = read_window(operation, weight.shape[2:], source.held[1:])
    held = image_shape(build.shape(operation.output))
    further = operation.attributes.get("output_padding") or [0, 0]
    output_padding = [0, *further] if len(further) == 1 else list(further)
    padding = list(window.padding)
    if operation.attributes.get("output_shape") or window.auto.startswith("SAME"):
        for axis in range(2):
            full = (source.held[1 + axis] - 1) * window.stride[axis] + window.extent[axis] + output_padding[axis]
            total = full - held[1 + axis]
            if total < 0:
                raise UnsupportedError(f"an output of {list(held[1:])}, larger than its windows reach")
            before = total // 2 if window.auto != "SAME_UPPER" else total - total // 2
            padding[axis], padding[axis + 2] = total - before, before
    group = operation.attributes.get("group", 1)
    fields: dict[str, Any] = {"out_channels": weight.shape[1] * group, "kernel": compact(window.kernel)}
    fields |= {"stride": compact(window.stride)} if window.stride != (1, 1) else {}
    fields |= write_padding(padding)
    fields |= {"output_padding": compact(output_padding)} if any(output_padding) else {}
    fields |= {"dilation": compact(window.dilation)} if window.dilation != (1, 1) else {}
    fields |= {"groups": group} if group != 1 else {}
    fields |= {} if bias is not None else {"bias": False}
    value = build.add("conv_transpose2d", name_by_weight(operation), [source], held, **fields)
    build.keep(value, weight=weight.reshape(*weight.shape[:2], *window.kernel))
    if bias is not None:
        build.keep(value, bias=bias)
    build.set(operation, value)


def convert_pool(operation: Operation, build: NetworkBuilder) -> None:
    """Convert maximum or average pooling."""
    if any(build.graph.readers(name) for name in operation.outputs[1:]):
        raise UnsupportedError("the indices of the maxima are read")
    source = build.image(operation.input(0))
    window = read_window(operation, tuple(operation.attributes["kernel_shape"]), source.held[1:])
    fields = write_window(window, always_stride=True)
    if operation.attributes.get("ceil_mode"):
        fields["ceil_mode"] = True
    is_mean = operation.kind == "AveragePool"
    if is_mean and any(window.padding) and not operation.attributes.get("count_include_pad"):
        fields["count_include_pad"] = False
    held = image_shape(build.shape(operation.output))
    kind = "avg_pool" if is_mean else "max_pool"
    build.set(operation, build.add(kind, operation.name, [source], held, **fields))


def convert_global_mean(operation: Operation, build: NetworkBuilder) -> None:
    """Convert the mean over all positions."""
    source = build.image(operation.input(0))
    build.set(operation, build.add("global_avg_pool", operation.name, [source], (source.held[0], 1, 1)))


def convert_mean(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a mean over all positions, of an image or of tokens (T, C)."""
    shape = build.shape(operation.input(0))
    given = operation.attributes.get("axes")
    if given is None and operation.input(1):
        given = build.constant(operation.input(1), "axes").tolist()
    axes = sorted(axis % (len(shape) + 1) for axis in given or [])
    if axes == list(range(2, len(shape) + 1)):
        convert_global_mean(operation, build)
    elif axes == [1] and len(shape) == 2:
        source = build.plain(operation.input(0))
        turned = build.add("transpose", f"{operation.name}_turned", [source], shape[::-1], axes=[2, 1])
        image = build.reshape(turned, (shape[1], 1, shape[0]))
        build.set(operation, build.add("global_avg_pool", operation.name, [image], (shape[1], 1, 1)))
    else:
        raise UnsupportedError(f"a mean over the axes {axes} of {len(shape) + 1}")


OPERATORS: Mapping[str, Callable[[Operation, NetworkBuilder], None]] = {
    "Conv": convert_conv,
    "ConvTranspose": convert_transposed,
    "MaxPool": convert_pool,
    "AveragePool": convert_pool,
    "GlobalAveragePool": convert_global_mean,
    "ReduceMean": convert_mean,
}
