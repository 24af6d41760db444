"""The logistic function."""

from __future__ import annotations

from typing import Literal

from workloads.kinds.elementwise import OutputActivation
from workloads.reference.activations import sigmoid, sigmoid_slope
from workloads.reference.arrays import Array


class Sigmoid(OutputActivation):
    """1 / (1 + exp(-x)): no output is zero but by underflow, and none has a derivative of zero."""

    type: Literal["sigmoid"]

    def activate(self, input: Array) -> Array:
        """Compute the output."""
        return sigmoid(input)

    def differentiate(self, output: Array) -> Array:
        """Compute the derivative from the output."""
        return sigmoid_slope(output)
