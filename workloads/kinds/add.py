"""The sum of branches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import LayerBase, PassWork, Traits
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.reference.arrays import Array
from workloads.reference.elementwise import add_forward
from workloads.shapes import Shape


class Add(LayerBase):
    """Sum of two or more equally shaped inputs (a residual connection)."""

    traits: ClassVar[Traits] = Traits(
        reads_several=True,
        sums_inputs=True,
        hands_zeros_on=False,
        hands_gradient_on=True,
        densifies_gradient=False,
    )
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DENSE, gradient=GradientRule.HANDED_ON)

    type: Literal["add"]

    def infer_output(self, names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Keep the shape, which all inputs must have."""
        for name, shape in zip(names, shapes, strict=True):
            if shape != shapes[0]:
                raise ValueError(
                    f"an add's inputs must have one shape, but '{names[0]}' has {shapes[0]} and '{name}' {shape}"
                )
        return shapes[0]

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read all inputs, write their sum."""
        return PassWork()

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none: its inputs' gradients are its output's."""
        return None

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}

    def run(self, inputs: Sequence[Array], _parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Sum the inputs; the gradient is that to each of them."""
        count = len(inputs)
        return add_forward(inputs), lambda grad: Gradients([grad] * count, {})
