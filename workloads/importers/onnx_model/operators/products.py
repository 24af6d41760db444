"""Products of matrices: fully connected layers, and products of two activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from workloads.importers.onnx_model.builder import NetworkBuilder, UnsupportedError, name_by_weight
from workloads.importers.onnx_model.operations import Array, Operation

# A pattern: MatMul with a constant, and the Add of another behind it.
LINEAR = "Linear"


def add_linear(operation: Operation, build: NetworkBuilder, weight: Array, bias: Array | None) -> None:
    """Add a fully connected layer over the last axis.

    Args:
        weight: (M, C).
    """
    source = build.plain(operation.input(0))
    held = (*source.held[:-1], weight.shape[0])
    fields: dict[str, Any] = {"out_features": weight.shape[0]} | ({} if bias is not None else {"bias": False})
    value = build.add("linear", name_by_weight(operation), [source], held, **fields)
    build.keep(value, weight=weight)
    if bias is not None:
        build.keep(value, bias=bias)
    build.set(operation, value)


def convert_gemm(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a general product of matrices with a constant."""
    given = operation.attributes
    if given.get("transA"):
        raise UnsupportedError("a first matrix that is transposed")
    weight = build.constant(operation.input(1), "a weight")
    weight = weight if given.get("transB") else weight.T
    alpha, beta = given.get("alpha", 1.0), given.get("beta", 1.0)
    bias = build.constant(operation.input(2), "a bias") if operation.input(2) else None
    if bias is not None:
        if bias.size not in (1, weight.shape[0]) or (bias.ndim == 2 and bias.shape[0] != 1):
            raise UnsupportedError(f"a bias of shape {list(bias.shape)}")
        bias = np.broadcast_to(bias.reshape(-1), weight.shape[:1])
        bias = bias if beta == 1 else bias * np.float32(beta)
    add_linear(operation, build, weight if alpha == 1 else weight * np.float32(alpha), bias)


def convert_linear(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a product with a constant and the sum with another."""
    bias = build.graph.constants[operation.input(2)].reshape(-1)
    add_linear(operation, build, build.graph.constants[operation.input(1)].T, bias)


def convert_matmul(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a product with a constant matrix, or of two activations."""
    if operation.input(0) in build.graph.constants:
        raise UnsupportedError("a constant in the first place")
    weight = build.graph.constants.get(operation.input(1))
    if weight is not None:
        if weight.ndim != 2:
            raise UnsupportedError(f"a constant of {weight.ndim} axes")
        add_linear(operation, build, weight.T, None)
        return
    first, second = (build.plain(operation.input(place)) for place in (0, 1))
    if len(first.held) != len(second.held) or len(first.held) < 2 or first.held[:-2] != second.held[:-2]:
        raise UnsupportedError(f"tensors of shapes {list(first.held)} and {list(second.held)} without the batch")
    given = operation.attributes
    fields: dict[str, Any] = {"transpose_b": True} if given.get("transpose_b") else {}
    if given.get("scale", 1.0) != 1.0:
        fields["scale"] = given["scale"]
    held = build.shape(operation.output)
    build.set(operation, build.add("matmul", operation.name, [first, second], held, **fields))


OPERATORS: Mapping[str, Callable[[Operation, NetworkBuilder], None]] = {
    "Gemm": convert_gemm,
    LINEAR: convert_linear,
    "MatMul": convert_matmul,
}
