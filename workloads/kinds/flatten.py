"""The layer that makes features of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import ClassVar, Literal

from workloads.arrays import Float32Array
from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import LayerBase, PassWork, Traits
from workloads.kinds.profile_rules import Draw, GradientRule, HandingPlace, OutputRule, ProfileRules
from workloads.kinds.shape_rules import expect_image
from workloads.reference.arrays import Array
from workloads.shapes import Shape


class Flatten(LayerBase):
    """(N, C, H, W) to (N, C H W)."""

    traits: ClassVar[Traits] = Traits(
        rides_along=True, hands_zeros_on=True, hands_ceiling_on=True, hands_gradient_on=True, densifies_gradient=False
    )
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DERIVED, gradient=GradientRule.HANDED_ON)

    type: Literal["flatten"]

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Join all axes but the batch."""
        expect_image(self, shapes[0])
        return (shapes[0][0], prod(shapes[0][1:]))

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none: it happens where its input is written."""
        return None

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none: it happens where the gradient is written."""
        return None

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}

    def run(self, inputs: Sequence[Array], _parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Change the shape, and the gradient's back."""
        shape = inputs[0].shape
        return inputs[0].reshape(shape[0], -1), lambda grad: Gradients([grad.reshape(shape)], {})

    def derive_density(self, densities: Sequence[float], _sizes: Sequence[int], /) -> float | None:
        """Be as dense as the input."""
        return densities[0]

    def derive_output(self, sources: Sequence[Float32Array], _draw: Draw, /) -> Float32Array:
        """Change the shape."""
        return sources[0].reshape(-1)

    def find_obstacle(self) -> str | None:
        """Find none."""
        return None

    def hand_gradient_back(self, gradient: Float32Array, place: HandingPlace, /) -> Float32Array:
        """Change the shape back."""
        return gradient.reshape(place.input_shape)
