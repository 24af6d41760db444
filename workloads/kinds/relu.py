"""The rectifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from workloads.arrays import Float32Array
from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import LayerBase, PassWork, Traits
from workloads.kinds.profile_rules import GradientRule, HandingPlace, OutputRule, ProfileRules, mask_gradient
from workloads.reference.arrays import Array
from workloads.reference.elementwise import relu_backward, relu_forward
from workloads.shapes import Shape


class Relu(LayerBase):
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

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Keep the shape."""
        return shapes[0]

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none: it happens where its input is written."""
        return None

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none: it happens where the gradient is written."""
        return None

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}

    def run(self, inputs: Sequence[Array], _parameters: Parameters, place: Place, /) -> tuple[Array, Backward]:
        """Zero what is negative; the gradient passes where the output, or its flags, are positive."""
        output = relu_forward(inputs[0])
        if place.output_is_kept:
            output = place.keep(output)
        positive = output if place.output_is_kept else place.keep(output > 0)
        return output, lambda grad: Gradients([relu_backward(grad, positive)], {})

    def find_obstacle(self) -> str | None:
        """Find none."""
        return None

    def hand_gradient_back(self, gradient: Float32Array, place: HandingPlace, /) -> Float32Array:
        """Zero the gradient where the output is zero."""
        return mask_gradient(gradient, place)
