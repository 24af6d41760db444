"""What a layer of each kind does for its neighbours: each question is answered for every kind, or refused.

A kind that is missing in a question does not type-check, and at run time is refused by name: nothing costs nothing
only because nobody thought of it.
"""

from __future__ import annotations

from typing import Any, Never

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
from workloads.shapes import ConvShape, LayerShape, LinearShape


def unknown_kind(layer: Never, question: str) -> TypeError:
    """Make the error that ends a ladder over the kinds of layers; it names the layer, its kind and the question."""
    told: Any = layer
    return TypeError(f"layer '{told.name}': {question} is not defined for the kind '{told.type}'")


def has_parameters(layer: Layer) -> bool:
    """Tell whether a layer is trained."""
    match layer:
        case Conv2d() | Linear() | BatchNorm():
            return True
        case (
            Relu() | MaxPool() | AvgPool() | GlobalAvgPool() | Flatten() | Dropout() | Add() | Concat()
            | SoftmaxCrossEntropy()
        ):  # fmt: skip
            return False
        case _:
            raise unknown_kind(layer, "whether it has parameters")


def is_computed(layer: Layer) -> bool:
    """Tell whether the accelerator executes a layer in steps, not in passes."""
    match layer:
        case Conv2d() | Linear():
            return True
        case (
            BatchNorm() | Relu() | MaxPool() | AvgPool() | GlobalAvgPool() | Flatten() | Dropout() | Add() | Concat()
            | SoftmaxCrossEntropy()
        ):  # fmt: skip
            return False
        case _:
            raise unknown_kind(layer, "whether it is executed in steps")


def rides_along(layer: Layer) -> bool:
    """Tell whether a layer happens in the unit that writes the tensor it acts on, and so has no tensor of its own."""
    match layer:
        case Relu() | Dropout() | Flatten():
            return True
        case (
            Conv2d() | Linear() | BatchNorm() | MaxPool() | AvgPool() | GlobalAvgPool() | Add() | Concat()
            | SoftmaxCrossEntropy()
        ):  # fmt: skip
            return False
        case _:
            raise unknown_kind(layer, "whether it rides along with what writes its input")


def hands_gradient_on(layer: Layer) -> bool:
    """Tell whether the gradient to a layer's input is its output's, or a part of it, and is not written anew."""
    match layer:
        case Add() | Concat() | Relu() | Dropout() | Flatten():
            return True
        case (
            Conv2d() | Linear() | BatchNorm() | MaxPool() | AvgPool() | GlobalAvgPool() | SoftmaxCrossEntropy()
        ):  # fmt: skip
            return False
        case _:
            raise unknown_kind(layer, "whether it hands its gradient on")


def hands_zeros_on(layer: Layer) -> bool:
    """Tell whether what comes out of a ReLU before a layer still counts as coming out of one behind it."""
    match layer:
        case MaxPool() | AvgPool() | GlobalAvgPool() | Flatten() | Dropout() | Concat():
            return True
        case Conv2d() | Linear() | BatchNorm() | Relu() | Add() | SoftmaxCrossEntropy():
            return False
        case _:
            raise unknown_kind(layer, "whether it hands a ReLU's zeros on")


def densifies_gradient(layer: Layer) -> bool:
    """Tell whether a pruned gradient is dense again behind a layer's backward pass."""
    match layer:
        case BatchNorm():
            return True
        case (
            Conv2d() | Linear() | Relu() | MaxPool() | AvgPool() | GlobalAvgPool() | Flatten() | Dropout() | Add()
            | Concat() | SoftmaxCrossEntropy()
        ):  # fmt: skip
            return False
        case _:
            raise unknown_kind(layer, "whether it makes a gradient dense")


def name_kind(shape: LayerShape) -> str:
    """Name the kind of a layer that the accelerator executes."""
    match shape:
        case ConvShape():
            return "conv2d"
        case LinearShape():
            return "linear"
        case _:
            told: Any = shape
            raise TypeError(f"no kind of layer has the geometry {type(told).__name__}")
