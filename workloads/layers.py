"""The layer kinds of a network, as its YAML file declares them: strict, frozen, complete when constructed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

LayerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.\-]*$", max_length=128)]
PositiveInt = Annotated[int, Field(ge=1, le=2**24)]
Natural = Annotated[int, Field(ge=0, le=2**16)]
Pair = Annotated[list[PositiveInt], Field(min_length=2, max_length=2)]
NaturalPair = Annotated[list[Natural], Field(min_length=2, max_length=2)]


class StrictModel(BaseModel):
    """A configuration record: unknown fields and silent casts are errors, values never change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class LayerBase(StrictModel):
    """What every layer has: a unique name, and the layers it reads (default: the one declared before it)."""

    name: LayerName
    inputs: Annotated[list[LayerName], Field(min_length=1)] | None = None


class Conv2d(LayerBase):
    """2-D convolution; kernel and padding are one number or [height, width]."""

    type: Literal["conv2d"]
    out_channels: PositiveInt
    kernel: PositiveInt | Pair
    stride: PositiveInt = 1
    padding: Natural | NaturalPair = 0
    groups: PositiveInt = 1
    bias: bool = True


class Linear(LayerBase):
    """Fully connected layer on flattened features."""

    type: Literal["linear"]
    out_features: PositiveInt
    bias: bool = True


class Relu(LayerBase):
    """max(x, 0)."""

    type: Literal["relu"]


class MaxPool(LayerBase):
    """Maximum over windows; the first maximum of a window, in row order, gets the gradient."""

    type: Literal["max_pool"]
    kernel: PositiveInt | Pair
    stride: PositiveInt | None = None
    padding: Natural | NaturalPair = 0
    ceil_mode: bool = False


class AvgPool(LayerBase):
    """Mean over windows, zeros of the padding counted (as torch's default)."""

    type: Literal["avg_pool"]
    kernel: PositiveInt | Pair
    stride: PositiveInt | None = None
    padding: Natural | NaturalPair = 0


class GlobalAvgPool(LayerBase):
    """Mean over all positions of each channel: (N, C, H, W) to (N, C, 1, 1)."""

    type: Literal["global_avg_pool"]


class Flatten(LayerBase):
    """(N, C, H, W) to (N, C H W)."""

    type: Literal["flatten"]


class Dropout(LayerBase):
    """Zero each element with probability `rate`, scale the others by 1 / (1 - rate)."""

    type: Literal["dropout"]
    rate: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5


class BatchNorm(LayerBase):
    """Normalisation over the batch and the positions of each channel, with learned scale and shift."""

    type: Literal["batch_norm"]
    epsilon: Annotated[float, Field(gt=0.0)] = 1e-5


class Add(LayerBase):
    """Sum of two or more equally shaped inputs (a residual connection)."""

    type: Literal["add"]


class Concat(LayerBase):
    """Inputs joined along the channels."""

    type: Literal["concat"]


class SoftmaxCrossEntropy(LayerBase):
    """The loss: mean over the batch of the cross entropy of softmax(scores) with the label."""

    type: Literal["softmax_cross_entropy"]


Layer = Annotated[
    Conv2d | Linear | Relu | MaxPool | AvgPool | GlobalAvgPool | Flatten | Dropout
    | BatchNorm | Add | Concat | SoftmaxCrossEntropy,
    Field(discriminator="type"),
]  # fmt: skip
