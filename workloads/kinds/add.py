"""The sum of branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from workloads.kinds.broadcast import BroadcastLayer
from workloads.kinds.execution import Backward, Gradients, Parameters, Place
from workloads.kinds.layer import SAME_ELEMENT, PassWork, Traits
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.reference.arrays import Array
from workloads.reference.elementwise import add_forward, align_arrays, reduce_to
from workloads.shapes import Shape


class Add(BroadcastLayer):
    """Sum of two or more inputs (a residual connection), of which some may be spread over the others' positions.

    The gradient to an input of the output's shape is the output's. That to one which is spread is summed over the
    positions, in a pass of its own.
    """

    traits: ClassVar[Traits] = Traits(
        reads_several=True,
        sums_inputs=True,
        hands_zeros_on=False,
        hands_gradient_on=True,
        densifies_gradient=False,
    )
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DENSE, gradient=GradientRule.HANDED_ON)

    type: Literal["add"]

    def hands_gradient_to(self, shape: Shape, output: Shape, /) -> bool:
        """Hand it on where the input is not spread."""
        return shape == output

    def backward_work(self, shapes: tuple[Shape, ...], output: Shape, /) -> PassWork | None:
        """Read the gradient and sum it over where an input was spread; have none where no input was."""
        if all(self.hands_gradient_to(shape, output) for shape in shapes):
            return None
        return PassWork(window_rows=SAME_ELEMENT)

    def run(self, inputs: Sequence[Array], _parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Sum the inputs; each gradient is summed over where its input was spread."""
        shapes = [input.shape for input in inputs]
        return add_forward(align_arrays(inputs)), lambda grad: Gradients(
            [reduce_to(grad, shape) for shape in shapes], {}
        )
