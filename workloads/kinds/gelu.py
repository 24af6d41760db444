"""The Gaussian error linear unit."""

from __future__ import annotations

from typing import Literal

from workloads.kinds.elementwise import InputActivation
from workloads.reference.activations import gelu, gelu_slope, gelu_tanh, gelu_tanh_slope
from workloads.reference.arrays import Array


class Gelu(InputActivation):
    """x Phi(x), or its approximation by a hyperbolic tangent: zero at zero alone, where its derivative is 1/2."""

    type: Literal["gelu"]
    approximate: Literal["none", "tanh"] = "none"

    def activate(self, input: Array) -> Array:
        """Compute the output."""
        return gelu_tanh(input) if self.approximate == "tanh" else gelu(input)

    def differentiate(self, input: Array) -> Array:
        """Compute the derivative from the input: two of them have the same output."""
        return gelu_tanh_slope(input) if self.approximate == "tanh" else gelu_slope(input)
