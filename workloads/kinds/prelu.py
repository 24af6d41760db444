"""The leaky rectifier whose slope is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np

from workloads.kinds.elementwise import ElementwiseLayer
from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import SAME_ELEMENT, PassWork, Traits
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.reference.activations import prelu_backward, spread_slope
from workloads.reference.arrays import Array
from workloads.shapes import Shape


class Prelu(ElementwiseLayer):
    """x where it is positive, else slope x, with one slope that is trained, or one for each channel (second axis).

    It is zero at zero alone, but for a slope of zero, so a layer behind one has no mask.

    Attributes:
        init: The slopes at first.
    """

    traits: ClassVar[Traits] = Traits(
        has_parameters=True, keeps_input=True, hands_zeros_on=False, hands_gradient_on=False, densifies_gradient=False
    )
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DENSE, gradient=GradientRule.HANDED_ON)

    type: Literal["prelu"]
    per_channel: bool = False
    init: float = 0.25

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read the input, write the output."""
        return PassWork(window_rows=SAME_ELEMENT)

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read gradient and input, once: the slope's gradient is summed on the way."""
        return PassWork(window_rows=SAME_ELEMENT, reads_input=True)

    def list_parameters(self, shape: Shape, /) -> Mapping[str, Parameter]:
        """Have one slope, or one for each channel."""
        return {"slope": Parameter(shape[1:2] if self.per_channel else (1,), self.init)}

    def run(self, inputs: Sequence[Array], parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Scale what is negative; the backward keeps the input."""
        input, slope = inputs[0], parameters["slope"]

        def backward(grad: Array) -> Gradients:
            grad_input, grad_slope = prelu_backward(grad, input, slope)
            return Gradients([grad_input], {"slope": grad_slope})

        return np.where(input > 0, input, input * spread_slope(slope, input)), backward
