"""The shape of a layer's output, from the shapes it reads."""

from __future__ import annotations

from math import prod

from workloads.kinds import unknown_kind
from workloads.layers import (
    Add,
    AvgPool,
    BatchNorm,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool,
    Relu,
    SoftmaxCrossEntropy,
)
from workloads.reference.pooling import PoolWindow
from workloads.shapes import ConvShape, LayerShape, LinearShape

Shape = tuple[int, ...]

ELEMENT_LIMIT = 2**31
_IMAGE_WORDS = "(batch, channels, height, width)"
_FLAT_WORDS = "(batch, features)"


def pair(value: int | list[int]) -> tuple[int, int]:
    """Return [height, width] as a tuple; one number stands for both."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def layer_shape_of(layer: Conv2d | Linear, input_shape: Shape) -> LayerShape:
    """Return the geometry of a convolution or a fully connected layer on an input of this shape.

    Raises:
        ValueError: the layer cannot read such an input; a sentence without the place.
    """
    if isinstance(layer, Linear):
        _expect_flat(layer, input_shape)
        return LinearShape(batch=input_shape[0], in_features=input_shape[1], out_features=layer.out_features)
    if not isinstance(layer, Conv2d):
        raise unknown_kind(layer, "its geometry")
    _expect_image(layer, input_shape)
    (kernel_height, kernel_width), (pad_height, pad_width) = pair(layer.kernel), pair(layer.padding)
    batch, in_channels, in_height, in_width = input_shape
    try:
        return ConvShape(
            batch=batch, in_channels=in_channels, in_height=in_height, in_width=in_width,
            out_channels=layer.out_channels, kernel_height=kernel_height, kernel_width=kernel_width,
            stride=layer.stride, pad_height=pad_height, pad_width=pad_width, groups=layer.groups,
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(f"{error}; the input's shape is {input_shape}") from None


def infer_output(layer: Layer, inputs: tuple[str, ...], input_shapes: tuple[Shape, ...]) -> Shape:
    """Return the shape of a layer's output.

    Raises:
        ValueError: the layer cannot read such inputs; a sentence without the place.
    """
    _check_input_count(layer, inputs)
    shape = input_shapes[0]
    _check_size("input", shape)
    output = _infer(layer, inputs, input_shapes)
    _check_size("output", output)
    return output


def _infer(layer: Layer, inputs: tuple[str, ...], input_shapes: tuple[Shape, ...]) -> Shape:
    shape = input_shapes[0]
    match layer:
        case Conv2d() | Linear():
            geometry = layer_shape_of(layer, shape)
            _check_size("weights", geometry.weight_shape)
            return geometry.output_shape
        case MaxPool() | AvgPool():
            return _pooled(layer, shape)
        case GlobalAvgPool():
            _expect_image(layer, shape)
            return (shape[0], shape[1], 1, 1)
        case Add():
            return _added(inputs, input_shapes)
        case Concat():
            return _joined(inputs, input_shapes)
        case Flatten():
            _expect_image(layer, shape)
            return (shape[0], prod(shape[1:]))
        case BatchNorm():
            _expect_image(layer, shape)
            return shape
        case SoftmaxCrossEntropy():
            _expect_flat(layer, shape)
            return ()
        case Relu() | Dropout():
            return shape
        case _:
            raise unknown_kind(layer, "the shape of its output")


def _pooled(layer: MaxPool | AvgPool, shape: Shape) -> Shape:
    _expect_image(layer, shape)
    window = PoolWindow.of(layer)
    padded = (shape[2] + 2 * window.pad_height, shape[3] + 2 * window.pad_width)
    if window.kernel_height > padded[0] or window.kernel_width > padded[1]:
        raise ValueError(
            f"the kernel of {window.kernel_height} x {window.kernel_width} is larger than the padded input of "
            f"{padded[0]} x {padded[1]}; the input's shape is {shape}"
        )
    return (shape[0], shape[1], *window.output_size(shape[2], shape[3]))


def _added(inputs: tuple[str, ...], input_shapes: tuple[Shape, ...]) -> Shape:
    for name, shape in zip(inputs, input_shapes, strict=True):
        if shape != input_shapes[0]:
            raise ValueError(
                f"an add's inputs must have one shape, but '{inputs[0]}' has {input_shapes[0]} and '{name}' {shape}"
            )
    return input_shapes[0]


def _joined(inputs: tuple[str, ...], input_shapes: tuple[Shape, ...]) -> Shape:
    first = input_shapes[0]
    for name, shape in zip(inputs, input_shapes, strict=True):
        if len(shape) != len(first) or shape[2:] != first[2:]:
            raise ValueError(
                f"a concat's inputs may differ in channels only, but '{inputs[0]}' has {first} and '{name}' {shape}"
            )
    return (first[0], sum(shape[1] for shape in input_shapes), *first[2:])


def _check_input_count(layer: Layer, inputs: tuple[str, ...]) -> None:
    if isinstance(layer, Add | Concat):
        if len(inputs) < 2:
            raise ValueError(f"{layer.type} reads two or more layers, got 1 ('{inputs[0]}'); name them in inputs")
    elif len(inputs) > 1:
        names = ", ".join(f"'{name}'" for name in inputs)
        raise ValueError(f"{layer.type} reads one layer, got {len(inputs)} ({names}); join them by add or concat")


def _expect_image(layer: Layer, shape: Shape) -> None:
    if len(shape) != 4:
        raise ValueError(f"{layer.type} reads {_IMAGE_WORDS}, but its input has the shape {shape}")


def _expect_flat(layer: Layer, shape: Shape) -> None:
    if len(shape) != 2:
        raise ValueError(
            f"{layer.type} reads {_FLAT_WORDS}, but its input has the shape {shape}; put a flatten layer before it"
        )


def _check_size(what: str, shape: Shape) -> None:
    if prod(shape) > ELEMENT_LIMIT:
        raise ValueError(f"its {what} of shape {shape} would have more than {ELEMENT_LIMIT} elements")
