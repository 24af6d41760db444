"""Activations, sums and products element by element, dropout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf, isclose
from typing import Any

import numpy as np

from workloads.importers.onnx_model.builder import NetworkBuilder, UnsupportedError, Value
from workloads.importers.onnx_model.operations import AnyShape, Array, Operation

SIMPLE = {
    "Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "HardSwish": "hard_swish", "Silu": "silu", "Swish": "silu",
    "Relu6": "relu6",
}  # fmt: skip
COMBINED = {"Add": "add", "Sum": "add", "Sub": "subtract", "Mul": "multiply"}
Converter = Callable[[Operation, NetworkBuilder], None]


def add_unary(operation: Operation, build: NetworkBuilder, kind: str, **fields: Any) -> None:
    """Add a layer of one input that keeps its shape."""
    source = build.values[operation.input(0)]
    build.set(operation, build.add(kind, operation.name, [source], source.held, **fields))


def convert_simple(operation: Operation, build: NetworkBuilder) -> None:
    """Convert an activation without a parameter."""
    if operation.attributes.get("alpha", 1.0) != 1.0:
        raise UnsupportedError(f"alpha {operation.attributes['alpha']:g}")
    add_unary(operation, build, SIMPLE[operation.kind])


def convert_clip(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a clip at 0 and 6, or at 0 alone."""
    bounds = []
    for place, (name, default) in enumerate((("min", -inf), ("max", inf)), 1):
        bound = operation.attributes.get(name, default)
        if operation.input(place):
            bound = float(build.constant(operation.input(place), "a bound").reshape(-1)[0])
        bounds.append(bound if abs(bound) < 1e30 else default)
    if bounds == [0, 6]:
        add_unary(operation, build, "relu6")
    elif bounds == [0, inf]:
        add_unary(operation, build, "relu")
    else:
        raise UnsupportedError(f"bounds {bounds[0]:g} and {bounds[1]:g}; 0 and 6, or 0 alone, are known")


def convert_leaky(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a leaky ReLU."""
    slope = round(operation.attributes.get("alpha", 0.01), 7)
    add_unary(operation, build, "leaky_relu", negative_slope=slope)


def convert_prelu(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a ReLU whose slope is learned, one or one for each channel."""
    slope = build.constant(operation.input(1), "a slope")
    source = build.values[operation.input(0)]
    if slope.size not in (1, source.held[0]) or (slope.size > 1 and slope.shape[-len(source.held)] != slope.size):
        raise UnsupportedError(f"slopes of shape {list(slope.shape)}")
    is_for_each = slope.size > 1 or source.held[0] == 1
    value = build.add("prelu", operation.name, [source], source.held, per_channel=is_for_each)
    build.keep(value, slope=slope.reshape(-1))
    build.set(operation, value)


def convert_hard_sigmoid(operation: Operation, build: NetworkBuilder) -> None:
    """Convert clip(x / 6 + 1 / 2, 0, 1)."""
    alpha, beta = operation.attributes.get("alpha", 0.2), operation.attributes.get("beta", 0.5)
    if not isclose(alpha, 1 / 6, rel_tol=1e-5) or beta != 0.5:
        raise UnsupportedError(f"alpha {alpha:g} and beta {beta:g}; 1/6 and 1/2 are known")
    add_unary(operation, build, "hard_sigmoid")


def convert_gelu(operation: Operation, build: NetworkBuilder) -> None:
    """Convert the exact form, or the one with tanh."""
    is_tanh = operation.word("approximate", "none") == "tanh"
    add_unary(operation, build, "gelu", **({"approximate": "tanh"} if is_tanh else {}))


def convert_softmax(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a softmax over one axis."""
    source = build.plain(operation.input(0))
    rank = len(source.held) + 1
    axis = operation.attributes.get("axis", -1 if build.graph.opset >= 13 else 1) % rank
    # Up to version 12 all axes from this one on are one.
    if build.graph.opset < 13 and any(size != 1 for size in source.held[axis:]):
        raise UnsupportedError(f"several axes, {axis} to {rank - 1}")
    where = -1 if axis == rank - 1 else axis
    build.set(operation, build.add("softmax", operation.name, [source], source.held, axis=where))


def convert_dropout(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a dropout, which in training drops."""
    if any(build.graph.readers(name) for name in operation.outputs[1:]):
        raise UnsupportedError("its mask is read")
    rate = operation.attributes.get("ratio", 0.5)
    if operation.input(1):
        rate = float(build.constant(operation.input(1), "a ratio").reshape(-1)[0])
    add_unary(operation, build, "dropout", rate=round(rate, 7))


def convert_combined(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a sum, difference or product; constants become parameters."""
    if len(operation.inputs) == 1:
        build.set(operation, build.values[operation.input(0)])
        return
    combine(operation, build, COMBINED[operation.kind], list(operation.inputs))


def convert_div(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a quotient with a constant: a product with its inverse."""
    divisor = build.constant(operation.input(1), "a divisor")
    if divisor.dtype.kind != "f" or not np.all(divisor):
        raise UnsupportedError("a divisor that is 0 or no fraction")
    inverse = f"{operation.output}/inverse"
    build.graph.constants[inverse] = 1 / divisor
    combine(operation, build, "multiply", [operation.input(0), inverse])


def combine(operation: Operation, build: NetworkBuilder, kind: str, names: list[str]) -> None:
    """Add a layer of several inputs, which may be constants."""
    shape = build.shape(operation.output)
    values: list[Value] = []
    for name in names:
        array = build.graph.constants.get(name)
        if array is not None:
            values.append(build.parameter(f"{operation.name}_constant", fit_constant(array, shape)))
            continue
        value = build.values[name]
        own = build.shape(name)
        if len(own) != len(shape):
            raise UnsupportedError(f"tensors of {len(own) + 1} and {len(shape) + 1} axes")
        values.append(value if own == shape and same_layout(build, names) else build.plain(name))
    held = values[0].held if all(value.held == values[0].held for value in values) else shape
    build.set(operation, build.add(kind, operation.name, values, held))


def same_layout(build: NetworkBuilder, names: list[str]) -> bool:
    """Tell whether all inputs are activations that are held in one shape."""
    held = {build.values[name].held for name in names if name in build.values}
    return len(held) == 1 and not any(name in build.graph.constants for name in names)


def fit_constant(array: Array, shape: AnyShape) -> Array:
    """Give a constant the axes of what it is combined with, but the batch.

    Raises:
        UnsupportedError: it is another one for each image.
    """
    rank = len(shape)
    if array.ndim == rank + 1:
        if array.shape[0] != 1 and not np.all(array == array[:1]):
            raise UnsupportedError("a constant of its own for each image")
        array = array[0]
    if array.ndim > rank:
        raise UnsupportedError(f"a constant of {array.ndim} axes")
    return array.reshape((1,) * (rank - array.ndim) + array.shape)


OPERATORS: Mapping[str, Converter] = {
    **dict.fromkeys(SIMPLE, convert_simple),
    **dict.fromkeys(COMBINED, convert_combined),
    "Clip": convert_clip,
    "LeakyRelu": convert_leaky,
    "PRelu": convert_prelu,
    "HardSigmoid": convert_hard_sigmoid,
    "Gelu": convert_gelu,
    "Softmax": convert_softmax,
    "Dropout": convert_dropout,
    "Div": convert_div,
}
