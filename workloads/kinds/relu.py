"""The rectifier."""

from __future__ import annotations

from typing import ClassVar, Literal

from workloads.kinds.layer import LayerBase, PassWork, Traits
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
    )  # fmt: skip

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
