"""What the kinds have in common that keep the shape of what they read and are not trained."""

from __future__ import annotations

from collections.abc import Mapping

from workloads.arrays import Float32Array
from workloads.kinds.execution import Parameter
from workloads.kinds.layer import LayerBase, PassWork
from workloads.kinds.profile_rules import HandingPlace, mask_gradient
from workloads.shapes import Shape


class ElementwiseLayer(LayerBase):
    """A layer whose output has the shape of its one input, of any rank, without parameters."""

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Keep the shape."""
        return shapes[0]

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}


class RidingLayer(ElementwiseLayer):
    """A layer that happens in the unit that writes the tensor it acts on, and whose zeros mask the gradient."""

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none: it happens where its input is written."""
        return None

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none: it happens where the gradient is written."""
        return None

    def find_obstacle(self) -> str | None:
        """Find none."""
        return None

    def hand_gradient_back(self, gradient: Float32Array, place: HandingPlace, /) -> Float32Array:
        """Zero the gradient where the output is zero."""
        return mask_gradient(gradient, place)
