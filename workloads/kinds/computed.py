"""What the kinds have in common that the accelerator executes in steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from workloads.kinds.layer import LayerBase, PassWork, Traits
from workloads.shapes import ConvShape, LinearShape, Shape


class ComputedLayer(LayerBase):
    """A layer with weights and perhaps a bias, executed in the steps forward, GTA and GTW."""

    traits: ClassVar[Traits] = Traits(
        is_computed=True, has_parameters=True, keeps_input=True,
        hands_zeros_on=False, hands_gradient_on=False, densifies_gradient=False,
    )  # fmt: skip
    geometry: ClassVar[type[ConvShape] | type[LinearShape]]

    if TYPE_CHECKING:  # Each form declares its own, where it stands among its fields.
        bias: bool

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Give the geometry's output shape."""
        return self.infer_geometry(shapes[0]).output_shape

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have no pass beside the steps."""
        return None

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have no pass beside the steps."""
        return None
