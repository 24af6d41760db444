"""The softmax that is no loss, as in attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from workloads.kinds.elementwise import ElementwiseLayer
from workloads.kinds.execution import Backward, Gradients, Parameters, Place
from workloads.kinds.layer import WHOLE_TENSOR, PassWork, Traits
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.reference.activations import softmax, softmax_backward
from workloads.reference.arrays import Array
from workloads.shapes import Shape


class Softmax(ElementwiseLayer):
    """exp(x) over its sum along an axis, counted with the batch as axis 0, or from the end below zero.

    No output is zero but by underflow. The derivative follows from the output.
    """

    traits: ClassVar[Traits] = Traits(
        keeps_output=True, hands_zeros_on=False, hands_gradient_on=False, densifies_gradient=True
    )
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DENSE, gradient=GradientRule.MADE_DENSE)

    type: Literal["softmax"]
    axis: int = -1

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Keep the shape, which must have the axis."""
        rank = len(shapes[0])
        if self.axis not in range(-rank, rank) or self.axis % rank == 0:
            raise ValueError(
                f"axis must be one of an input of shape {shapes[0]} behind its batch, 1..{rank - 1} or {1 - rank}..-1, "
                f"got {self.axis}"
            )
        return shapes[0]

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Sweep the input twice: for the largest of each row and the sum of exponentials, and to divide by it."""
        return PassWork(window_rows=WHOLE_TENSOR, sweeps=2)

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Sweep gradient and output twice: for the sum of their products, and to take it off."""
        return PassWork(window_rows=WHOLE_TENSOR, sweeps=2, reads_output=True)

    def run(self, inputs: Sequence[Array], _parameters: Parameters, place: Place, /) -> tuple[Array, Backward]:
        """Compute each row; the backward keeps the output."""
        output = place.keep(softmax(inputs[0], self.axis))
        return output, lambda grad: Gradients([softmax_backward(grad, output, self.axis)], {})
