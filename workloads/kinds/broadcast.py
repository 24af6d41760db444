"""What the kinds have in common that combine tensors element by element, some of them spread over positions."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import ClassVar

from workloads.kinds.execution import Parameter
from workloads.kinds.layer import SAME_ELEMENT, LayerBase, PassWork
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

    def forward_work(self, shapes: tuple[Shape, ...], output: Shape, /) -> PassWork | None:
        """Read all inputs, write the result; what is spread over rows is held until the last of them."""
        return PassWork(window_rows=max(count_spread_rows(shape, output) for shape in shapes))

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}


def count_spread_rows(shape: Shape, output: Shape) -> int:
    """Count the rows of a tensor that are needed again and again where it is spread to an output; none where it is not.

    They are those behind the first axis that is spread, for each place of which all of them are gone through.
    """
    aligned = align_shape(shape, len(output))
    spread = [axis for axis, (length, whole) in enumerate(zip(aligned, output, strict=True)) if length != whole]
    return prod(aligned[spread[0] + 1 : -1]) if spread else SAME_ELEMENT
