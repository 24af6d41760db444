"""What a `profile` workload, whose tensors are drawn with given densities, asks of a layer kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from workloads.arrays import Float32Array
from workloads.shapes import Shape

# Gives the generator of what is drawn for a purpose, at one image of one layer.
Draw = Callable[[str], np.random.Generator]


class OutputRule(Enum):
    """How a layer's output is made where the table has no row: dense, from what the layer reads, or not at all."""

    DENSE = "no ReLU"
    DERIVED = "derived"
    FIGURE = "a row is needed"


class GradientRule(Enum):
    """What the gradient to a tensor is where a layer reads it, with no ReLU between; HANDED_ON: as behind the layer."""

    BEHIND_RELU = "behind a ReLU"
    BEHIND_LOSS = "behind the loss"
    BEHIND_BATCH_NORM = "behind batch norm"
    MADE_DENSE = "made dense again"
    WITHOUT_MASK = "without a mask"
    HANDED_ON = "handed on"
    FIGURE = "a row is needed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRules:
    """The rules of a kind.

    Attributes:
        spreads_gradient: Its backward gives to more elements than it reads.
    """

    output: OutputRule
    gradient: GradientRule
    spreads_gradient: bool = False


@dataclass(frozen=True, slots=True)
class HandingPlace:
    """What is known where a layer hands one image's gradient back.

    Attributes:
        make_output: Makes what the layer gives out, None where tensors before it were drawn without it.
        make_input: Makes what it reads, None where the output was drawn by its own figure. Shapes are of one image.
    """

    input_shape: Shape
    make_output: Callable[[], Float32Array] | None
    make_input: Callable[[], Float32Array] | None
    draw: Draw


def mask_gradient(gradient: Float32Array, place: HandingPlace) -> Float32Array:
    """Zero a gradient where the output is zero, as far as that is known."""
    return gradient if place.make_output is None else np.where(place.make_output() != 0, gradient, np.float32(0))
