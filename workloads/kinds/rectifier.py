"""What ReLU and its variant with an upper end have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from workloads.kinds.elementwise import RidingLayer
from workloads.kinds.execution import Backward, Gradients, Parameters, Place
from workloads.kinds.layer import Traits
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.reference.arrays import Array
from workloads.reference.elementwise import relu_backward, relu_forward

RELU = Traits(
    rides_along=True,
    makes_zeros=True,
    keeps_output=True,
    hands_zeros_on=False,
    hands_gradient_on=True,
    densifies_gradient=False,
)


class Rectifier(RidingLayer):
    """min(max(x, 0), ceiling), with the ceiling of its traits; a gradient passes between the two ends alone."""

    traits: ClassVar[Traits] = RELU
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.FIGURE, gradient=GradientRule.BEHIND_RELU)

    def run(self, inputs: Sequence[Array], _parameters: Parameters, place: Place, /) -> tuple[Array, Backward]:
        """Cut off; the gradient passes where the output, or its flags, say that nothing was."""
        ceiling = self.traits.ceiling
        output = relu_forward(inputs[0], ceiling)
        if place.output_is_kept:
            output = place.keep(output)
        passing = output if place.output_is_kept else place.keep((output > 0) & (output < ceiling))
        return output, lambda grad: Gradients([relu_backward(grad, passing, ceiling)], {})
