"""Normalisations, in the form that training has them in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from workloads.importers.onnx_model.builder import NetworkBuilder, UnsupportedError, Value, name_by_weight
from workloads.importers.onnx_model.operations import Array, Operation

# A pattern: what torch writes of a group norm up to version 20.
GROUPED = "GroupNorm"


def write_epsilon(operation: Operation, default: float = 1e-5) -> dict[str, float]:
    """Write the field; ONNX holds it in single precision."""
    epsilon = float(f"{operation.attributes.get('epsilon', default):.6g}")
    return {} if epsilon == 1e-5 else {"epsilon": epsilon}


def convert_batch_norm(operation: Operation, build: NetworkBuilder) -> None:
    """Convert batch norm: in training it takes its statistics of the batch; those of the model are kept beside."""
    if operation.attributes.get("spatial", 1) != 1:
        raise UnsupportedError("statistics for each position")
    scale, shift, mean, variance = (build.constant(operation.input(place), "a parameter") for place in range(1, 5))
    source = build.values[operation.input(0)]
    for array in (scale, shift, mean, variance):
        fill(array, source.held[:1], 0)
    value = build.add("batch_norm", name_by_weight(operation), [source], source.held, **write_epsilon(operation))
    build.keep(value, scale=scale, shift=shift)
    for name, array in (("mean", mean), ("variance", variance)):
        build.arrays[f"{value.layer}/{name}"] = np.asarray(array, np.float32)
    build.set(operation, value)


def convert_layer_norm(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a normalisation over the last axes."""
    source = build.plain(operation.input(0))
    rank = len(source.held) + 1
    axes = rank - operation.attributes.get("axis", -1) % rank
    if axes > len(source.held):
        raise UnsupportedError("a normalisation over the batch")
    fields: dict[str, Any] = {} if axes == 1 else {"axes": axes}
    normalise(operation, build, source, "layer_norm", {**fields, **write_epsilon(operation)})


def convert_group_norm(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a normalisation over groups of channels."""
    source = build.image(operation.input(0))
    groups = operation.attributes["num_groups"]
    scale = build.constant(operation.input(1), "a scale")
    # Up to version 20 scale and shift are those of a group.
    if operation.kind != GROUPED and scale.size == groups != source.held[0]:
        raise UnsupportedError("a scale for each group; write one for each channel")
    normalise(operation, build, source, "group_norm", {"groups": groups, **write_epsilon(operation)})


def convert_instance_norm(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a normalisation of each channel of each image."""
    source = build.image(operation.input(0))
    normalise(operation, build, source, "instance_norm", {"affine": True, **write_epsilon(operation)})


def normalise(operation: Operation, build: NetworkBuilder, source: Value, kind: str, fields: Mapping[str, Any]) -> None:
    """Add a normalisation with its scale and shift, if it has any."""
    scale = build.constant(operation.input(1), "a scale") if operation.input(1) else None
    shift = build.constant(operation.input(2), "a shift") if operation.input(2) else None
    affine = {} if scale is not None or shift is not None else {"affine": False}
    size = source.held[len(source.held) - fields.get("axes", 1) :] if kind == "layer_norm" else source.held[:1]
    parameters = {"scale": fill(scale, size, 1), "shift": fill(shift, size, 0)}
    value = build.add(kind, name_by_weight(operation), [source], source.held, **{**fields, **affine})
    if not affine:
        build.keep(value, **parameters)
    build.set(operation, value)


def fill(array: Array | None, shape: tuple[int, ...], otherwise: float) -> Array:
    """Give a parameter's values; one number where the model leaves it out.

    Raises:
        UnsupportedError: it has another size.
    """
    if array is None:
        return np.full(shape, otherwise, np.float32)
    if array.size != prod(shape):
        raise UnsupportedError(f"a parameter of shape {list(array.shape)} where {list(shape)} is needed")
    return array.reshape(shape)


def convert_lrn(operation: Operation, build: NetworkBuilder) -> None:
    """Convert the normalisation over neighbouring channels."""
    source = build.image(operation.input(0))
    given = operation.attributes
    fields = {name: float(f"{given.get(old, default):.6g}") for name, old, default in
              (("alpha", "alpha", 1e-4), ("beta", "beta", 0.75), ("k", "bias", 1.0))}  # fmt: skip
    build.set(
        operation,
        build.add("local_response_norm", operation.name, [source], source.held, size=given["size"], **fields),
    )


OPERATORS: Mapping[str, Callable[[Operation, NetworkBuilder], None]] = {
    "BatchNormalization": convert_batch_norm,
    "LayerNormalization": convert_layer_norm,
    "GroupNormalization": convert_group_norm,
    GROUPED: convert_group_norm,
    "InstanceNormalization": convert_instance_norm,
    "LRN": convert_lrn,
}
