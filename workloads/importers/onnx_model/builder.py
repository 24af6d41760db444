"""The workload that a model's operations make, layer by layer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from workloads.arrays import Float32Array
from workloads.importers.names import LayerNames
from workloads.importers.onnx_model.operations import AnyShape, Array, Operation, OperationGraph
from workloads.network import INPUT

_WEIGHT = re.compile(r"(.+?)[./_](?:weight|kernel|w|W)(?:_\d+)?")


class UnsupportedError(Exception):
    """An operation that no layer is; the message says what of it, as ``kernel over 3 axes``."""


@dataclass(frozen=True)
class Value:
    """What a layer gives out: its name, or ``input``, and the shape without the batch.

    The shape may be another than that of ONNX's value, of as many elements in the same order: a reshape becomes a layer
    only where somebody reads it who needs it.
    """

    layer: str
    held: AnyShape


@dataclass(eq=False)
class NetworkBuilder:
    """Layers, parameters and further arrays, as they are added."""

    graph: OperationGraph
    layers: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, Float32Array] = field(default_factory=dict)
    arrays: dict[str, Float32Array] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    names: LayerNames = field(default_factory=LayerNames)
    _reshaped: dict[tuple[str, AnyShape], Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.graph.shapes[self.graph.input][1:]
        held = {1: (*shape, 1, 1), 2: (*shape[:1], 1, *shape[1:])}.get(len(shape), shape)
        self.values[self.graph.input] = Value(INPUT, held)

    def add(self, kind: str, name: str, sources: Sequence[Value], held: AnyShape, **fields: Any) -> Value:
        """Add a layer that reads some values.

        Args:
            name: What it is called if nobody is called so.
        """
        taken = self.names.take(name, kind)
        layer: dict[str, Any] = {"name": taken, "type": kind}
        before = self.layers[-1]["name"] if self.layers else INPUT
        inputs = [source.layer for source in sources]
        if inputs != [before]:
            layer["inputs"] = inputs
        self.layers.append({**layer, **fields})
        return Value(taken, held)

    def shape(self, name: str) -> AnyShape:
        """Give the shape of ONNX's value, without the batch.

        Raises:
            UnsupportedError: its first axis is not the batch, or it depends on data.
        """
        if name not in self.graph.shapes:
            raise UnsupportedError("a shape that depends on data")
        shape = self.graph.shapes[name]
        if not shape or shape[0] != self.graph.batch:
            raise UnsupportedError(f"a tensor of shape {list(shape)}, whose first axis is not the batch")
        return shape[1:]

    def plain(self, name: str) -> Value:
        """Give a value in the shape that ONNX has it in."""
        return self.reshape(self.values[name], self.shape(name))

    def image(self, name: str) -> Value:
        """Give a value as an image (C, H, W), of rows (C, L) as one of height 1.

        Raises:
            UnsupportedError: it has more axes.
        """
        shape = self.shape(name)
        if len(shape) == 2:
            return self.reshape(self.values[name], (shape[0], 1, shape[1]))
        if len(shape) != 3:
            raise UnsupportedError(f"a tensor of shape {list(self.graph.shapes[name])} in the place of an image")
        return self.plain(name)

    def reshape(self, value: Value, shape: AnyShape) -> Value:
        """Give a value another shape, by a layer if it has not got it."""
        if value.held == shape:
            return value
        if prod(value.held) != prod(shape):
            raise UnsupportedError(f"a reshape of {list(value.held)} to {list(shape)}")
        if (value.layer, shape) not in self._reshaped:
            kind, ending, fields = ("flatten", "flat", {}) if len(shape) == 1 else (
                "reshape", "reshaped", {"shape": list(shape)}
            )  # fmt: skip
            made = self.add(kind, f"{value.layer}_{ending}", [value], shape, **fields)
            self._reshaped[value.layer, shape] = made
        return self._reshaped[value.layer, shape]

    def set(self, operation: Operation, value: Value) -> None:
        """Say which layer gives an operation's first output."""
        self.values[operation.output] = value

    def constant(self, name: str, what: str) -> Array:
        """Give a constant.

        Raises:
            UnsupportedError: it is none; `what` names it.
        """
        if name not in self.graph.constants:
            raise UnsupportedError(f"{what} that is computed")
        return self.graph.constants[name]

    def keep(self, value: Value, /, **arrays: Array) -> None:
        """Keep parameters of a layer."""
        for name, array in arrays.items():
            self.weights[f"{value.layer}/{name}"] = np.asarray(array, np.float32)

    def parameter(self, name: str, array: Array) -> Value:
        """Add a constant as a trained tensor without an input."""
        value = self.add("parameter", name, [], array.shape, shape=list(array.shape))
        self.keep(value, value=array)
        return value


def name_by_weight(operation: Operation, place: int = 1) -> str:
    """Name a layer as the model calls the owner of its weight, else as its node."""
    found = _WEIGHT.fullmatch(operation.input(place))
    return found[1] if found else operation.name


def compact(pair: Sequence[int]) -> int | list[int]:
    """Write (height, width) as one number where they are equal."""
    return pair[0] if len(set(pair)) == 1 else list(pair)


def write_padding(sides: Sequence[int]) -> dict[str, Any]:
    """Write (top, left, bottom, right) as the field of a layer; nothing where all are 0."""
    if not any(sides):
        return {}
    top, left, bottom, right = sides
    return {"padding": compact((top, left)) if (top, left) == (bottom, right) else list(sides)}
