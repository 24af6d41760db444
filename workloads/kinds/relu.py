"""The rectifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from workloads.kinds.elementwise import RidingLayer
from workloads.kinds.execution import Backward, Gradients, Parameters, Place
from workloads.kinds.layer import Traits
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.reference.arrays import Array
from workloads.reference.elementwise import relu_backward, relu_forward


class Relu(RidingLayer):
    """max(x, 0)."""

    traits: ClassVar[Traits] = Traits(
        rides_along=True,
        makes_zeros=True,
        keeps_output=True,
        hands_zeros_on=False,
        hands_gradient_on=True,
        densifies_gradient=False,
    )
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.FIGURE, gradient=GradientRule.BEHIND_RELU)

    type: Literal["relu"]

    def run(self, inputs: Sequence[Array], _parameters: Parameters, place: Place, /) -> tuple[Array, Backward]:
        """Zero what is negative; the gradient passes where the output, or its flags, are positive."""
        output = relu_forward(inputs[0])
        if place.output_is_kept:
            output = place.keep(output)
        positive = output if place.output_is_kept else place.keep(output > 0)
        return output, lambda grad: Gradients([relu_backward(grad, positive)], {})
