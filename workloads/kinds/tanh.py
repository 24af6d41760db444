"""The hyperbolic tangent."""

from __future__ import annotations

from typing import Literal

import numpy as np

from workloads.kinds.elementwise import OutputActivation
from workloads.reference.activations import tanh_slope
from workloads.reference.arrays import Array


class Tanh(OutputActivation):
    """tanh(x): zero at zero alone, where its derivative is 1."""

    type: Literal["tanh"]

    def activate(self, input: Array) -> Array:
        """Compute the output."""
        return np.tanh(input)

    def differentiate(self, output: Array) -> Array:
        """Compute the derivative from the output."""
        return tanh_slope(output)
