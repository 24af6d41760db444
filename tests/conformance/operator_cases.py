"""Layers beside plain convolutions in the definition's words and in the simulator's: tokens, transposition, products.

A record of the simulator that is not there yet is None; its cases are skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from math import prod
from typing import Any

import numpy as np
from conformance.stepped_cases import draw_machine, draw_one
from oracle.definition_layers import Conv, Layer, Linear, Product, Transposed
from oracle.general_layers import draw_operands, draw_transposed, make_loops
from oracle.layer_loops import TransposedLoops
from oracle.stepped_records import Machine

from workloads import shapes
from workloads.kinds.conv_transpose2d import ConvTranspose2d
from workloads.operands import GradientFinish, Operands
from workloads.shapes import LinearShape, Step


def make_transposed(image: tuple[int, ...], **form: Any) -> Any:
    """Make the record of a transposed convolution from its form."""
    return ConvTranspose2d.model_validate({"name": "layer", "type": "conv_transpose2d", **form}).infer_geometry(image)


PRODUCT_RECORD: Callable[..., Any] | None = getattr(shapes, "MatmulShape", None)
TOKENS_RECORD = LinearShape if any(field.name == "tokens" for field in fields(LinearShape)) else None
RECORDS = {"tokens": TOKENS_RECORD, "transposed": make_transposed, "product": PRODUCT_RECORD}


@dataclass(frozen=True, eq=False)
class OperatorCase:
    """One layer in both models' words; tensors are the definition's, operands the simulator's."""

    layer: Layer
    tensors: dict[str, Any]
    operands: Operands
    machine: Machine
    second_mask: Any = None
    second_summed: Any = None


def draw_operator(kind: str, *place: int) -> OperatorCase:
    """Draw a layer of a kind small enough for all its tilings to be tried, and a machine that often cuts its rows."""
    rng = np.random.default_rng(place)
    layer, shape = DRAWS[kind](rng)
    tensors = draw_operands(rng, layer)
    given = {name: give_tensor(shape, name, tensors[name]) for name in ("input", "weight", "grad_output")}
    mask = tensors["mask"]
    operands = Operands(
        "layer", shape, given["input"], given["weight"], None, given["grad_output"],
        None if mask is None else give_tensor(shape, "input", mask) != 0, tuple(Step),
        relu_follows=bool(rng.random() < 0.5),
    )  # fmt: skip
    machine = replace(
        draw_machine(rng), accumulators=draw_one(rng, (3, 4, 7, 256)), pes_per_group=int(rng.integers(1, 7)),
        pack_groups=bool(rng.random() < 0.7),
    )  # fmt: skip
    return OperatorCase(layer, tensors, operands, machine)


def give_tensor(shape: Any, name: str, values: Any) -> Any:
    """Give a tensor in the simulator's layout: a product's factors may be stored transposed.

    The definition has (Z, T, C) and (Z, M, C), so the second factor is turned unless the simulator has it transposed.
    """
    size = {"input": shape.input_shape, "weight": shape.weight_shape, "grad_output": shape.output_shape}[name]
    if getattr(shape, "weighs_activations", False):
        is_turned = {"input": shape.transpose_a, "weight": not shape.transpose_b, "grad_output": False}[name]
        values = values.swapaxes(1, 2) if is_turned else values
    return np.ascontiguousarray(values.reshape(size), dtype=np.float32)


def draw_tokens(rng: np.random.Generator) -> tuple[Layer, Any]:
    """Draw a fully connected layer on one or two axes of tokens."""
    N, C, M, *tokens = (int(size) for size in rng.integers(1, (3, 8, 8, 4, 3)))
    tokens = tokens[: int(rng.integers(1, 3))]
    return Linear(N * prod(tokens), C, M), LinearShape(N, C, M, tuple(tokens))


def draw_transposed_shape(rng: np.random.Generator) -> tuple[Layer, Any]:
    """Draw a transposed convolution of few rows and channels."""
    while True:
        layer = draw_transposed(rng)
        if prod(layer.K.shapes["input"]) <= 150 and prod(layer.K.shapes["output"]) <= 150:
            break
    K, loops = layer.K, make_loops(layer)
    assert isinstance(loops, TransposedLoops)
    return layer, make_transposed(
        (K.N, K.M, K.P, K.Q), out_channels=K.C, kernel=[K.R, K.S], stride=list(K.U), padding=list(loops.padding),
        output_padding=list(loops.output_padding), dilation=list(K.D), groups=K.G,
    )  # fmt: skip


def draw_product(rng: np.random.Generator) -> tuple[Layer, Any]:
    """Draw a product of two activations."""
    N, heads, T, C, M = (int(size) for size in rng.integers(1, (3, 3, 5, 7, 7)))
    assert PRODUCT_RECORD is not None
    shape = PRODUCT_RECORD(
        batch=N, rows=T, in_features=C, out_features=M, places=(heads,) if rng.random() < 0.5 else (),
        transpose_a=bool(rng.random() < 0.3), transpose_b=bool(rng.random() < 0.5),
    )  # fmt: skip
    return Product(shape.products, T, C, M), shape


def draw_second_finish(case: OperatorCase, *place: int) -> OperatorCase:
    """Draw, of a product, a mask of the second factor and a stored gradient to it, each in half of the cases."""
    rng = np.random.default_rng(place)
    size = case.layer.shapes["weight"]
    mask = rng.random(size) < 0.5 if rng.random() < 0.5 else None
    summed = rng.integers(-2, 3, size) if rng.random() < 0.5 else None
    shape = case.operands.shape
    operands = replace(
        case.operands,
        weight_finish=GradientFinish(mask=None if mask is None else give_tensor(shape, "weight", mask) != 0),
        weight_summed=() if summed is None else (give_tensor(shape, "weight", summed),),
    )  # fmt: skip
    return replace(case, operands=operands, second_mask=mask, second_summed=summed)


DRAWS: dict[str, Callable[[np.random.Generator], tuple[Layer, Any]]] = {
    "tokens": draw_tokens, "transposed": draw_transposed_shape, "product": draw_product,
}  # fmt: skip


def is_refused(case: OperatorCase, step: Step) -> bool:
    """Say whether not even a kernel row fits the accumulators."""
    if not isinstance(case.layer, Conv | Transposed) or step is not Step.GTW:
        return False
    conv = case.layer if isinstance(case.layer, Conv) else case.layer.K
    return case.machine.accumulators < conv.S
