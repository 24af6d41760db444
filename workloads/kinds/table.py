"""The table of layer kinds: the file of a kind bears its name, and its class is given here."""

from __future__ import annotations

from functools import reduce
from importlib import import_module
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from workloads.kinds.computed import ComputedLayer
from workloads.kinds.layer import LayerBase
from workloads.shapes import LayerShape

CLASSES = {
    "conv2d": "Conv2d",
    "conv1d": "Conv1d",
    "conv_transpose2d": "ConvTranspose2d",
    "linear": "Linear",
    "matmul": "Matmul",
    "relu": "Relu",
    "relu6": "Relu6",
    "leaky_relu": "LeakyRelu",
    "prelu": "Prelu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "hard_sigmoid": "HardSigmoid",
    "hard_swish": "HardSwish",
    "silu": "Silu",
    "gelu": "Gelu",
    "softmax": "Softmax",
    "max_pool": "MaxPool",
    "avg_pool": "AvgPool",
    "global_avg_pool": "GlobalAvgPool",
    "adaptive_avg_pool": "AdaptiveAvgPool",
    "upsample": "Upsample",
    "flatten": "Flatten",
    "reshape": "Reshape",
    "transpose": "Transpose",
    "channel_shuffle": "ChannelShuffle",
    "pixel_shuffle": "PixelShuffle",
    "split": "Split",
    "dropout": "Dropout",
    "batch_norm": "BatchNorm",
    "layer_norm": "LayerNorm",
    "group_norm": "GroupNorm",
    "instance_norm": "InstanceNorm",
    "local_response_norm": "LocalResponseNorm",
    "add": "Add",
    "subtract": "Subtract",
    "multiply": "Multiply",
    "concat": "Concat",
    "parameter": "Parameter",
    "softmax_cross_entropy": "SoftmaxCrossEntropy",
    "mean_squared_error": "MeanSquaredError",
    "binary_cross_entropy": "BinaryCrossEntropy",
}


def load_kind(kind: str, name: str) -> type[LayerBase]:
    """Import the class of a kind from the file of its name.

    Raises:
        TypeError: it is no layer, or its field `type` does not name the kind.
    """
    made: type[LayerBase] = getattr(import_module(f"workloads.kinds.{kind}"), name)
    if not issubclass(made, LayerBase) or getattr(made.model_fields["type"].annotation, "__args__", ()) != (kind,):
        raise TypeError(f"workloads.kinds.{kind}.{name} must be a LayerBase with the field type: Literal['{kind}']")
    return made


KINDS = {kind: load_kind(kind, name) for kind, name in CLASSES.items()}

if TYPE_CHECKING:
    Layer = LayerBase
else:
    Layer = Annotated[reduce(or_, KINDS.values()), Field(discriminator="type")]


def list_computed() -> dict[str, type[ComputedLayer]]:
    """List the kinds that the accelerator executes in steps."""
    return {kind: made for kind, made in KINDS.items() if issubclass(made, ComputedLayer)}


def name_kind(shape: LayerShape) -> str:
    """Name the kind of a layer that the accelerator executes."""
    for kind, made in list_computed().items():
        if isinstance(shape, made.geometry):
            return kind
    raise TypeError(f"no kind of layer has the geometry {type(shape).__name__}")
