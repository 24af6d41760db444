"""Faults planted into a copy of a kernel's source, and a layer on which none of them can hide."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
from random_layers import ALL_STEPS

from dataflows.rows import values as row_values
from workloads.operands import Operands
from workloads.shapes import ConvShape, LayerShape, LinearShape

CONV = ConvShape(
    batch=2, in_channels=4, in_height=6, in_width=6, out_channels=6, kernel_height=3, kernel_width=3,
    padding=(1, 1, 1, 1), groups=2,
)  # fmt: skip
LINEAR = LinearShape(batch=2, in_features=7, out_features=5)


def positive_operands(shape: LayerShape) -> Operands:
    """Give operands of 1, 2 and 3 alone, so that no missing product can cancel out; no mask, no bias."""
    rng = np.random.default_rng([31, len(shape.input_shape)])
    input, weight, grad_output = (
        rng.integers(1, 4, size).astype(np.float32)
        for size in (shape.input_shape, shape.weight_shape, shape.output_shape)
    )
    return Operands("layer", shape, input, weight, None, grad_output, None, ALL_STEPS)


def mutate_kernel(name: str, line: str, replacement: str) -> Callable[..., Any]:
    """Compile a kernel, in plain Python, with the one line that reads `line` replaced."""
    kernel: FunctionType = getattr(row_values, name).function
    source = inspect.getsource(kernel)
    source = source[source.index("def ") :]
    lines = source.split("\n")
    places = [place for place, text in enumerate(lines) if text.strip() == line]
    assert len(places) == 1, f"{name} holds {len(places)} lines {line!r}, not one"
    indent = lines[places[0]][: -len(line)]
    lines[places[0]] = "\n".join(indent + text for text in replacement.split("\n"))
    namespace = dict(vars(row_values))
    exec("\n".join(lines), namespace)
    mutated: Callable[..., Any] = namespace[name]
    return mutated
