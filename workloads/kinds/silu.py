"""The sigmoid linear unit."""

from __future__ import annotations

from typing import Literal

from workloads.kinds.elementwise import InputActivation
from workloads.reference.activations import silu, silu_slope
from workloads.reference.arrays import Array


class Silu(InputActivation):
    """x sigmoid(x), also named swish: zero at zero alone, where its derivative is 1/2."""

    type: Literal["silu"]

    def activate(self, input: Array) -> Array:
        """Compute the output."""
        return silu(input)

    def differentiate(self, input: Array) -> Array:
        """Compute the derivative from the input: two of them have the same output."""
        return silu_slope(input)
