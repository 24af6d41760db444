"""Nodes of ONNX and the layers that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import pi, sqrt
from typing import Any

import numpy as np
from onnx_models import node


@dataclass(frozen=True)
class Case:
    """A model of a few nodes that reads `x` and gives `y`.

    layers: what it becomes, without names and inputs, the loss behind it left out.
    """

    nodes: Sequence[Any]
    shape: Sequence[int]
    layers: Sequence[Mapping[str, Any]]
    constants: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 17


IMAGE = (2, 4, 6, 5)
TOKENS = (2, 6, 8)
FEATURES = (2, 8)


def number(value: float) -> Any:
    """Make a constant of one number."""
    return np.array(value, np.float32)


def numbers(*values: int) -> Any:
    """Make a constant of whole numbers."""
    return np.array(values, np.int64)


FLAT = {"type": "flatten"}
CONV = {"type": "conv2d", "out_channels": 3, "kernel": 3, "bias": False}
WEIGHT = {"w": (3, 4, 3, 3)}
POOL = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}

WINDOWS = {
    "conv": Case([node("Conv", "x w", "y")], IMAGE, [CONV], WEIGHT),
    "conv with all": Case(
        [node("Conv", "x w b", "y", strides=[2, 1], pads=[1, 2, 0, 1], dilations=[1, 2], group=2)], (2, 4, 9, 9),
        [{"type": "conv2d", "out_channels": 6, "kernel": [3, 2], "stride": [2, 1], "padding": [1, 2, 0, 1],
          "dilation": [1, 2], "groups": 2}],
        {"w": (6, 2, 3, 2), "b": (6,)},
    ),
    "conv same upper": Case([node("Conv", "x w", "y", auto_pad="SAME_UPPER", strides=[2, 2])], IMAGE,
                            [{**CONV, "stride": 2, "padding": "same"}], WEIGHT),
    "conv same lower": Case([node("Conv", "x w", "y", auto_pad="SAME_LOWER", strides=[2, 2])], IMAGE,
                            [{**CONV, "stride": 2, "padding": [1, 1, 0, 1]}], WEIGHT),
    "conv valid": Case([node("Conv", "x w", "y", auto_pad="VALID")], IMAGE, [CONV], WEIGHT),
    "conv behind a pad": Case([node("Pad", "x p", "a"), node("Conv", "a w", "y", pads=[1, 1, 1, 1])], IMAGE,
                              [{**CONV, "padding": [1, 2, 2, 1]}], {**WEIGHT, "p": numbers(0, 0, 0, 1, 0, 0, 1, 0)}),
    "conv behind an old pad": Case(
        [node("Pad", "x", "a", pads=[0, 0, 1, 1, 0, 0, 1, 1]), node("Conv", "a w", "y")], IMAGE,
        [{**CONV, "padding": 1}], WEIGHT, opset=9,
    ),
    "conv of one axis": Case([node("Conv", "x w", "y", pads=[1, 0])], (2, 4, 9),
                             [{**CONV, "kernel": [1, 3], "padding": [0, 1, 0, 0]}], {"w": (3, 4, 3)}),
    "conv and a sum behind it": Case([node("Conv", "x w", "a"), node("Add", "a b", "y")], IMAGE,
                                     [{"type": "conv2d", "out_channels": 3, "kernel": 3}], {**WEIGHT, "b": (3, 1, 1)}),
    "max pool": Case([node("MaxPool", "x", "y", **POOL)], IMAGE,
                     [{"type": "max_pool", "kernel": [3, 2], "stride": [2, 1], "padding": [1, 0, 1, 1]}]),
    "max pool of ceiled size": Case([node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)],
                                    IMAGE,
                                    [{"type": "max_pool", "kernel": 3, "stride": 2, "ceil_mode": True}]),
    "average pool": Case([node("AveragePool", "x", "y", **POOL)], IMAGE,
                         [{"type": "avg_pool", "kernel": [3, 2], "stride": [2, 1], "padding": [1, 0, 1, 1],
                           "count_include_pad": False}]),
    "average pool that counts": Case([node("AveragePool", "x", "y", **POOL, count_include_pad=1)], IMAGE, [
        {"type": "avg_pool", "kernel": [3, 2], "stride": [2, 1], "padding": [1, 0, 1, 1]}
    ]),
    "average pool behind a pad": Case(
        [node("Pad", "x p", "a"), node("AveragePool", "a", "y", kernel_shape=[2, 2])], IMAGE,
        [{"type": "avg_pool", "kernel": 2, "stride": 1, "padding": 1}], {"p": numbers(0, 0, 1, 1, 0, 0, 1, 1)},
    ),
    "global average pool": Case([node("GlobalAveragePool", "x", "y")], IMAGE, [{"type": "global_avg_pool"}, FLAT]),
    "mean over positions": Case([node("ReduceMean", "x", "y", axes=[2, 3], keepdims=0)], IMAGE,
                                [{"type": "global_avg_pool"}, FLAT]),
    "mean over positions, axes as input": Case([node("ReduceMean", "x a", "y", keepdims=1)], IMAGE,
                                               [{"type": "global_avg_pool"}, FLAT], {"a": numbers(-1, -2)}, opset=18),
}  # fmt: skip

TRANSPOSED = {
    "transposed conv": Case(
        [node("ConvTranspose", "x w b", "y", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1], group=2)], IMAGE,
        [{"type": "conv_transpose2d", "out_channels": 6, "kernel": 3, "stride": 2, "padding": 1, "output_padding": 1,
          "groups": 2}],
        {"w": (4, 3, 3, 3), "b": (6,)},
    ),
    "transposed conv of a given size": Case(
        [node("ConvTranspose", "x w", "y", strides=[2, 2], output_shape=[12, 10])], IMAGE,
        [{"type": "conv_transpose2d", "out_channels": 3, "kernel": 3, "stride": 2, "padding": [1, 1, 0, 0],
          "bias": False}],
        {"w": (4, 3, 3, 3)},
    ),
}  # fmt: skip

LINEAR = {"type": "linear", "out_features": 5}
PRODUCTS = {
    "gemm": Case([node("Gemm", "x w b", "y", transB=1)], FEATURES, [FLAT, LINEAR], {"w": (5, 8), "b": (5,)}),
    "gemm with factors": Case([node("Gemm", "x w b", "y", alpha=0.5, beta=2.0)], FEATURES, [FLAT, LINEAR],
                              {"w": (8, 5), "b": (1, 5)}),
    "gemm with one bias": Case([node("Gemm", "x w b", "y")], FEATURES, [FLAT, LINEAR], {"w": (8, 5), "b": (1,)}),
    "gemm without bias": Case([node("Gemm", "x w", "y")], FEATURES, [FLAT, {**LINEAR, "bias": False}], {"w": (8, 5)}),
    "matmul of features": Case([node("MatMul", "x w", "a"), node("Add", "a b", "y")], FEATURES, [FLAT, LINEAR],
                               {"w": (8, 5), "b": (5,)}),
    "matmul without bias": Case([node("MatMul", "x w", "y")], FEATURES, [FLAT, {**LINEAR, "bias": False}],
                                {"w": (8, 5)}),
    "flatten before": Case([node("Flatten", "x", "a"), node("Gemm", "a w", "y")], IMAGE,
                           [FLAT, {**LINEAR, "bias": False}], {"w": (120, 5)}),
    "reshape by its shape before": Case(
        [node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Unsqueeze", "n axis", "n1"),
         node("Concat", "n1 rest", "t", axis=0), node("Reshape", "x t", "a"), node("Gemm", "a w", "y")], IMAGE,
        [FLAT, {**LINEAR, "bias": False}],
        {"w": (120, 5), "zero": np.array(0), "axis": numbers(0), "rest": numbers(-1)},
    ),
}  # fmt: skip

TOKEN_PRODUCTS = {
    "linear on tokens": Case([node("MatMul", "x w", "a"), node("Add", "b a", "y")], TOKENS,
                             [{"type": "reshape", "shape": [6, 8]}, LINEAR], {"w": (8, 5), "b": (5,)}),
    "attention's scores": Case(
        [node("Relu", "x", "k"), node("Transpose", "k", "t", perm=[0, 2, 1]), node("MatMul", "x t", "a"),
         node("Div", "a d", "y")], TOKENS,
        [{"type": "relu"}, {"type": "reshape", "shape": [6, 8]}, {"type": "reshape", "shape": [6, 8]},
         {"type": "matmul", "transpose_b": True, "scale": 0.5}], {"d": number(2)},
    ),
    "tokens that attend to themselves": Case(
        [node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "x t", "a"), node("Softmax", "a", "s", axis=-1),
         node("MatMul", "s x", "y")], TOKENS,
        [{"type": "reshape", "shape": [6, 8]}, {"type": "matmul", "transpose_b": True},
         {"type": "softmax", "axis": -1}, {"type": "matmul"}],
    ),
    "a scaled query": Case(
        [node("Relu", "x", "k"), node("Mul", "x d", "q"), node("Transpose", "k", "t", perm=[0, 2, 1]),
         node("MatMul", "q t", "y")], TOKENS,
        [{"type": "relu"}, {"type": "reshape", "shape": [6, 8]}, {"type": "reshape", "shape": [6, 8]},
         {"type": "matmul", "transpose_b": True, "scale": 2.0}], {"d": number(2)},
    ),
    "a product of two": Case(
        [node("Relu", "x", "k"), node("Transpose", "k", "t", perm=[0, 2, 1]), node("Relu", "t", "r"),
         node("MatMul", "x r", "y")], TOKENS,
        [{"type": "relu"}, {"type": "reshape", "shape": [6, 8]}, {"type": "transpose", "axes": [2, 1]},
         {"type": "relu"}, {"type": "reshape", "shape": [6, 8]}, {"type": "matmul"}],
    ),
}  # fmt: skip

SIXTH = number(1 / 6)
ELEMENTWISE = {
    **{kind: Case([node(kind, "x", "y")], IMAGE, [{"type": name}])
       for kind, name in {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "HardSwish": "hard_swish"}.items()},
    "relu6 by constants": Case([node("Clip", "x a b", "y")], IMAGE, [{"type": "relu6"}],
                               {"a": number(0), "b": number(6)}),
    "relu6 by attributes": Case([node("Clip", "x", "y", min=0.0, max=6.0)], IMAGE, [{"type": "relu6"}], opset=9),
    "relu by a clip": Case([node("Clip", "x a", "y")], IMAGE, [{"type": "relu"}], {"a": number(0)}),
    "leaky relu": Case([node("LeakyRelu", "x", "y", alpha=0.2)], IMAGE,
                       [{"type": "leaky_relu", "negative_slope": 0.2}]),
    "prelu for each channel": Case([node("PRelu", "x s", "y")], IMAGE, [{"type": "prelu", "per_channel": True}],
                                   {"s": (4, 1, 1)}),
    "prelu of one slope": Case([node("PRelu", "x s", "y")], IMAGE, [{"type": "prelu", "per_channel": False}],
                               {"s": (1,)}),
    "hard sigmoid": Case([node("HardSigmoid", "x", "y", alpha=1 / 6)], IMAGE, [{"type": "hard_sigmoid"}]),
    "hard sigmoid of parts": Case(
        [node("Add", "x three", "a"), node("Clip", "a zero six", "b"), node("Div", "b six", "y")], IMAGE,
        [{"type": "hard_sigmoid"}], {"three": number(3), "zero": number(0), "six": number(6)},
    ),
    "hard swish of parts": Case(
        [node("Add", "x three", "a"), node("Clip", "a zero six", "b"), node("Mul", "x b", "c"),
         node("Div", "c six", "y")], IMAGE,
        [{"type": "hard_swish"}], {"three": number(3), "zero": number(0), "six": number(6)},
    ),
    "hard swish of a hard sigmoid": Case(
        [node("HardSigmoid", "x", "s", alpha=1 / 6), node("Mul", "x s", "y")], IMAGE, [{"type": "hard_swish"}]
    ),
    "silu": Case([node("Sigmoid", "x", "s"), node("Mul", "s x", "y")], IMAGE, [{"type": "silu"}]),
    "gelu of erf": Case(
        [node("Div", "x r", "a"), node("Erf", "a", "e"), node("Add", "e one", "p"), node("Mul", "x p", "m"),
         node("Mul", "m half", "y")], IMAGE,
        [{"type": "gelu"}], {"r": number(sqrt(2)), "one": number(1), "half": number(0.5)},
    ),
    "gelu of erf, halved first": Case(
        [node("Mul", "x half", "h"), node("Mul", "x r", "a"), node("Erf", "a", "e"), node("Add", "one e", "p"),
         node("Mul", "h p", "y")], IMAGE,
        [{"type": "gelu"}], {"r": number(sqrt(0.5)), "one": number(1), "half": number(0.5)},
    ),
    "gelu of tanh": Case(
        [node("Pow", "x three", "c"), node("Mul", "c k", "d"), node("Add", "x d", "s"), node("Mul", "s r", "a"),
         node("Tanh", "a", "e"), node("Add", "e one", "p"), node("Mul", "x half", "h"), node("Mul", "h p", "y")], IMAGE,
        [{"type": "gelu", "approximate": "tanh"}],
        {"three": number(3), "k": number(0.044715), "r": number(sqrt(2 / pi)), "one": number(1), "half": number(0.5)},
    ),
    "gelu": Case([node("Gelu", "x", "y")], IMAGE, [{"type": "gelu"}], opset=20),
    "gelu by tanh": Case([node("Gelu", "x", "y", approximate="tanh")], IMAGE,
                         [{"type": "gelu", "approximate": "tanh"}], opset=20),
    "softmax of channels": Case([node("Softmax", "x", "s", axis=1), node("Relu", "s", "y")], IMAGE,
                                [{"type": "softmax", "axis": 1}, {"type": "relu"}]),
    "dropout": Case([node("Dropout", "x r", "y")], IMAGE, [{"type": "dropout", "rate": 0.25}], {"r": number(0.25)}),
    "old dropout": Case([node("Dropout", "x", "y", ratio=0.3)], IMAGE, [{"type": "dropout", "rate": 0.3}], opset=9),
    "identity and casts": Case(
        [node("Identity", "x", "a"), node("Cast", "a", "b", to=1), node("Relu", "b", "y")], IMAGE, [{"type": "relu"}]
    ),
    "sum": Case([node("Relu", "x", "a"), node("Tanh", "x", "b"), node("Add", "a b", "y")], IMAGE,
                [{"type": "relu"}, {"type": "tanh"}, {"type": "add"}]),
    "sum of three": Case([node("Relu", "x", "a"), node("Tanh", "x", "b"), node("Sum", "a b x", "y")], IMAGE,
                         [{"type": "relu"}, {"type": "tanh"}, {"type": "add"}]),
    "concat": Case([node("Relu", "x", "a"), node("Tanh", "x", "b"), node("Concat", "a b", "y", axis=1)], IMAGE,
                   [{"type": "relu"}, {"type": "tanh"}, {"type": "concat"}]),
    "a tensor moved to and fro": Case(
        [node("Transpose", "x", "a", perm=[0, 1, 2, 3]), node("Squeeze", "a one", "a2"),
         node("Unsqueeze", "a2 one", "a3"), node("Relu", "a3", "y")], (2, 1, 6, 5),
        [{"type": "relu"}], {"one": numbers(1)},
    ),
}  # fmt: skip

BATCH_NORM = {"s": (4,), "b": (4,), "m": (4,), "v": np.array([0.5, 1.5, 2.5, 1], np.float32)}
NORMALISATIONS = {
    "batch norm": Case([node("BatchNormalization", "x s b m v", "y")], IMAGE, [{"type": "batch_norm"}], BATCH_NORM),
    "batch norm of another epsilon": Case(
        [node("BatchNormalization", "x s b m v", "y", epsilon=1e-3)], IMAGE, [{"type": "batch_norm", "epsilon": 0.001}],
        BATCH_NORM,
    ),
    "batch norm with its scale behind it": Case(
        [node("BatchNormalization", "x s b m v", "a"), node("Mul", "a f", "c"), node("Add", "c g", "y")], IMAGE,
        [{"type": "batch_norm"}], {**BATCH_NORM, "f": (4, 1, 1), "g": (1, 4, 1, 1)},
    ),
    "layer norm": Case(
        [node("LayerNormalization", "x s b", "y")], TOKENS,
        [{"type": "reshape", "shape": [6, 8]}, {"type": "layer_norm"}],
        {"s": (8,), "b": (8,)},
    ),
    "layer norm over two axes without a shift": Case(
        [node("LayerNormalization", "x s", "y", axis=2, epsilon=1e-6)], IMAGE,
        [{"type": "layer_norm", "axes": 2, "epsilon": 1e-6}], {"s": (6, 5)},
    ),
    "layer norm of parts": Case(
        [node("ReduceMean", "x", "m", axes=[-1]), node("Sub", "x m", "d"), node("Pow", "d two", "q"),
         node("ReduceMean", "q", "v", axes=[-1]), node("Add", "v e", "w"), node("Sqrt", "w", "r"),
         node("Div", "d r", "n"), node("Mul", "n s", "t"), node("Add", "t b", "y")], IMAGE,
        [{"type": "layer_norm"}], {"two": number(2), "e": number(1e-5), "s": (5,), "b": (5,)},
    ),
    "layer norm of parts without scale": Case(
        [node("ReduceMean", "x", "m", axes=[-1]), node("Sub", "x m", "d"), node("Mul", "d d", "q"),
         node("ReduceMean", "q", "v", axes=[-1]), node("Add", "v e", "w"), node("Sqrt", "w", "r"),
         node("Div", "d r", "y")], IMAGE,
        [{"type": "layer_norm", "affine": False}], {"e": number(1e-5)},
    ),
    "group norm of parts": Case(
        [node("Reshape", "x to", "a"), node("InstanceNormalization", "a one zero", "n"), node("Shape", "x", "shape"),
         node("Reshape", "n shape", "c"), node("Mul", "c s", "d"), node("Add", "d b", "y")], IMAGE,
        [{"type": "group_norm", "groups": 2}],
        {"to": numbers(0, 2, -1), "one": np.ones(2, np.float32), "zero": np.zeros(2, np.float32), "s": (4, 1, 1),
         "b": (4, 1, 1)},
    ),
    "group norm": Case([node("GroupNormalization", "x s b", "y", num_groups=2)], IMAGE,
                       [{"type": "group_norm", "groups": 2}], {"s": (4,), "b": (4,)}, opset=21),
    "instance norm": Case([node("InstanceNormalization", "x s b", "y")], IMAGE,
                          [{"type": "instance_norm", "affine": True}], {"s": (4,), "b": (4,)}),
    "local response norm": Case([node("LRN", "x", "y", size=3, alpha=0.01, beta=0.5, bias=2.0)], IMAGE,
                                [{"type": "local_response_norm", "size": 3, "alpha": 0.01, "beta": 0.5, "k": 2.0}]),
}  # fmt: skip

PARTS = {"sizes": [1, 3]}
TURNED = [node("Reshape", "x to", "a"), node("Transpose", "a", "t", perm=[2, 0, 3, 1, 4])]
JOINED = [node("Mul", "q k", "s"), node("Add", "s v", "y")]


def part(number: int) -> list[dict[str, Any]]:
    """Give the layers that cut a query, key or value from (5, 3, 2, 2), and move its heads to the front."""
    sizes = [size for size in (number, 1, 2 - number) if size]
    cut = {"type": "split", "sizes": sizes, "part": min(number, 1), "axis": 2}
    return [cut, {"type": "reshape", "shape": [5, 2, 2]}, {"type": "transpose", "axes": [2, 1, 3]}]


ATTENDING = [{"type": "reshape", "shape": [5, 3, 2, 2]}, *part(0), *part(1), *part(2), {"type": "multiply"},
             {"type": "add"}]  # fmt: skip
LAYOUT = {
    "difference": Case([node("Relu", "x", "a"), node("Sub", "x a", "y")], IMAGE,
                       [{"type": "relu"}, {"type": "subtract"}]),
    "product element by element": Case([node("Relu", "x", "a"), node("Mul", "a x", "y")], IMAGE,
                                       [{"type": "relu"}, {"type": "multiply"}]),
    "squeeze and excite": Case(
        [node("GlobalAveragePool", "x", "g"), node("Sigmoid", "g", "s"), node("Mul", "x s", "y")], IMAGE,
        [{"type": "global_avg_pool"}, {"type": "sigmoid"}, {"type": "multiply"}],
    ),
    "a sum with an average": Case([node("GlobalAveragePool", "x", "g"), node("Add", "g x", "y")], IMAGE,
                                  [{"type": "global_avg_pool"}, {"type": "add"}]),
    "a sum of three, two of them spread": Case(
        [node("ReduceMean", "x", "g", axes=[2, 3]), node("Sum", "x g c", "y")], IMAGE,
        [{"type": "global_avg_pool"}, {"type": "parameter", "shape": [4, 1, 5]}, {"type": "add"}], {"c": (4, 1, 5)},
    ),
    "a number that is added": Case([node("Add", "x c", "y")], IMAGE,
                                   [{"type": "parameter", "shape": [1, 1, 1]}, {"type": "add"}], {"c": number(4)}),
    "a constant that is added": Case([node("Add", "x c", "y")], IMAGE,
                                     [{"type": "parameter", "shape": [4, 6, 5]}, {"type": "add"}], {"c": (4, 6, 5)}),
    "a constant that is multiplied": Case([node("Mul", "x c", "y")], IMAGE,
                                          [{"type": "parameter", "shape": [4, 1, 1]}, {"type": "multiply"}],
                                          {"c": (4, 1, 1)}),
    "a quotient with a constant": Case([node("Div", "x c", "y")], IMAGE,
                                       [{"type": "parameter", "shape": [1, 1, 1]}, {"type": "multiply"}],
                                       {"c": number(4)}),
    "split": Case(
        [node("Split", "x sizes", "a b", axis=1), node("Relu", "a", "c"), node("Concat", "b c", "y", axis=1)], IMAGE,
        [{"type": "split", **PARTS, "part": 0}, {"type": "split", **PARTS, "part": 1}, {"type": "relu"},
         {"type": "concat"}], {"sizes": numbers(1, 3)},
    ),
    "a part that is read alone": Case([node("Split", "x", "a b", axis=1, split=[1, 3]), node("Relu", "b", "y")], IMAGE,
                                      [{"type": "split", **PARTS, "part": 1}, {"type": "relu"}], opset=11),
    "slice": Case([node("Slice", "x s e a", "y")], IMAGE, [{"type": "split", "sizes": [1, 2, 3], "part": 1, "axis": 2}],
                  {"s": numbers(1), "e": numbers(-3), "a": numbers(2)}),
    "gather": Case([node("Gather", "x i", "a", axis=1), node("Unsqueeze", "a one", "y")], IMAGE,
                   [{"type": "split", "sizes": [3, 1], "part": 1}], {"i": np.array(-1), "one": numbers(1)}),
    "query, key and value that are gathered": Case(
        [*TURNED, node("Gather", "t i", "q", axis=0), node("Gather", "t j", "k", axis=0),
         node("Gather", "t l", "v", axis=0), *JOINED], (2, 5, 12), ATTENDING,
        {"to": numbers(0, 5, 3, 2, 2), "i": np.array(0), "j": np.array(1), "l": np.array(2)},
    ),
    "query, key and value that are split": Case(
        [*TURNED, node("Split", "t", "a0 a1 a2", axis=0),
         *(node("Squeeze", f"a{place} zero", name) for place, name in enumerate("qkv")), *JOINED],
        (2, 5, 12), ATTENDING,
        {"to": numbers(0, 5, 3, 2, 2), "zero": numbers(0)},
    ),
    "channel shuffle": Case(
        [node("Reshape", "x to", "a"), node("Transpose", "a", "b", perm=[0, 2, 1, 3, 4]),
         node("Reshape", "b back", "y")], IMAGE, [{"type": "channel_shuffle", "groups": 2}],
        {"to": numbers(2, 2, 2, 6, 5), "back": numbers(2, -1, 6, 5)},
    ),
    "depth to space": Case([node("DepthToSpace", "x", "y", blocksize=2, mode="CRD")], (2, 8, 3, 3),
                           [{"type": "pixel_shuffle", "upscale": 2}]),
    "depth to space of the other order": Case(
        [node("DepthToSpace", "x", "y", blocksize=2)], (2, 8, 3, 3),
        [{"type": "channel_shuffle", "groups": 4}, {"type": "pixel_shuffle", "upscale": 2}],
    ),
    "resize to the nearest": Case(
        [node("Resize", "x - f", "y", mode="nearest", coordinate_transformation_mode="asymmetric",
              nearest_mode="floor")], IMAGE, [{"type": "upsample", "scale": [2, 3], "mode": "nearest"}],
        {"f": np.array([1, 1, 2, 3], np.float32)},
    ),
    "resize between centres": Case(
        [node("Resize", "x - - to", "y", mode="linear", coordinate_transformation_mode="pytorch_half_pixel")], IMAGE,
        [{"type": "upsample", "scale": 2, "mode": "bilinear"}], {"to": numbers(2, 4, 12, 10)},
    ),
    "resize between corners": Case(
        [node("Resize", "x - f", "y", mode="linear", coordinate_transformation_mode="align_corners")], IMAGE,
        [{"type": "upsample", "scale": 2, "mode": "bilinear", "align_corners": True}],
        {"f": np.array([1, 1, 2, 2], np.float32)},
    ),
    "upsample": Case([node("Upsample", "x f", "y")], IMAGE, [{"type": "upsample", "scale": 2, "mode": "nearest"}],
                     {"f": np.array([1, 1, 2, 2], np.float32)}, opset=9),
    "mean over tokens": Case(
        [node("ReduceMean", "x", "a", axes=[1], keepdims=0), node("Gemm", "a w", "y")], TOKENS,
        [{"type": "reshape", "shape": [6, 8]}, {"type": "transpose", "axes": [2, 1]},
         {"type": "reshape", "shape": [8, 1, 6]}, {"type": "global_avg_pool"}, FLAT, {**LINEAR, "bias": False}],
        {"w": (8, 5)},
    ),
}  # fmt: skip

CASES = {**WINDOWS, **PRODUCTS, **ELEMENTWISE, **NORMALISATIONS, **TRANSPOSED, **TOKEN_PRODUCTS, **LAYOUT}
