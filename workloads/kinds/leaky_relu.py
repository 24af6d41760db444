"""The leaky rectifier."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from workloads.arrays import BoolArray
from workloads.kinds.elementwise import FlaggedActivation
from workloads.reference.activations import leaky_relu
from workloads.reference.arrays import Array


class LeakyRelu(FlaggedActivation):
    """x where it is positive, else negative_slope x: zero at zero alone, where its derivative is the slope."""

    type: Literal["leaky_relu"]
    negative_slope: Annotated[float, Field(gt=0.0)] = 0.01

    def activate(self, input: Array) -> Array:
        """Compute the output."""
        return leaky_relu(input, self.negative_slope)

    def flag(self, input: Array) -> BoolArray:
        """Tell what is positive."""
        return input > 0

    def list_slopes(self) -> tuple[float, float]:
        """Give the slope where it is not, else 1."""
        return self.negative_slope, 1.0
