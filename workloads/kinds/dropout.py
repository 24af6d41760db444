"""Dropout."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from workloads.kinds.layer import LayerBase, PassWork, Traits
from workloads.shapes import Shape


class Dropout(LayerBase):
    """Zero each element with probability `rate`, scale the others by 1 / (1 - rate)."""

    traits: ClassVar[Traits] = Traits(
        rides_along=True, hands_zeros_on=True, hands_gradient_on=True, densifies_gradient=False
    )

    type: Literal["dropout"]
    rate: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Keep the shape."""
        return shapes[0]

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none: it happens where its input is written."""
        return None

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none: it happens where the gradient is written."""
        return None
