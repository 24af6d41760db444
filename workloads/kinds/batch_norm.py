"""Batch norm."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from workloads.kinds.layer import LayerBase, PassWork, Traits
from workloads.kinds.shape_rules import expect_image
from workloads.shapes import Shape


class BatchNorm(LayerBase):
    """Normalisation over the batch and the positions of each channel, with learned scale and shift."""

    traits: ClassVar[Traits] = Traits(
        has_parameters=True,
        keeps_input=True,
        hands_zeros_on=False,
        hands_gradient_on=False,
        densifies_gradient=True,
    )  # fmt: skip

    type: Literal["batch_norm"]
    epsilon: Annotated[float, Field(gt=0.0)] = 1e-5

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Keep the shape."""
        expect_image(self, shapes[0])
        return shapes[0]

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read the input, write the output."""
        return PassWork()

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Sweep gradient and input twice."""
        return PassWork(sweeps=2, reads_input=True)
