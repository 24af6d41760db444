"""What the kinds have in common that combine tensors element by element, some of them spread over positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from workloads.kinds.execution import Parameter
from workloads.kinds.layer import LayerBase, PassWork
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.shapes import Shape


class BroadcastLayer(LayerBase):
    """A function of elements of several tensors of as many axes; an axis of length 1 is spread over the others'."""

    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DENSE, gradient=GradientRule.FIGURE)

    def infer_output(self, names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Give the longest of each axis; the others must have that length, or 1 behind the batch."""
        for name, shape in zip(names, shapes, strict=True):
            if len(shape) != len(shapes[0]):
                raise ValueError(
                    f"a {self.type}'s inputs must have as many axes, but '{names[0]}' has {shapes[0]} "
                    f"and '{name}' {shape}"
                )
        widest = tuple(max(lengths) for lengths in zip(*shapes, strict=True))
        for name, shape in zip(names, shapes, strict=True):
            if any(length not in (1, whole) for length, whole in zip(shape, widest, strict=True)):
                raise ValueError(
                    f"a {self.type}'s inputs must agree in each axis or have the length 1 there, "
                    f"but '{name}' has {shape} where the others make {widest}"
                )
        return widest

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read all inputs, write the result."""
        return PassWork()

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}
