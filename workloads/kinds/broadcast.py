"""What the kinds have in common that combine tensors element by element, some of them spread over positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from workloads.kinds.execution import Parameter
from workloads.kinds.layer import LayerBase, PassWork
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.reference.elementwise import align_shape
from workloads.shapes import Shape


class BroadcastLayer(LayerBase):
    """A function of elements of several tensors; an axis of length 1 is spread over the others'.

    A tensor of fewer axes is spread over those in front of its own, behind the batch, as numpy would: ``(N, C)`` goes
    with ``(N, T, C)``.
    """

    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DENSE, gradient=GradientRule.FIGURE)

    def infer_output(self, names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Give the longest of each axis; the others must have that length, or 1 behind the batch."""
        axes = max(len(shape) for shape in shapes)
        aligned = [align_shape(shape, axes) for shape in shapes]
        widest = tuple(max(lengths) for lengths in zip(*aligned, strict=True))
        for name, shape, spread in zip(names, shapes, aligned, strict=True):
            if any(length not in (1, whole) for length, whole in zip(spread, widest, strict=True)):
                article = "an" if self.type[0] in "aeiou" else "a"
                raise ValueError(
                    f"{article} {self.type}'s inputs must agree in each axis or have the length 1 there, "
                    f"but '{name}' has {shape} where the others make {widest}"
                )
        return widest

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read all inputs, write the result."""
        return PassWork()

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}
