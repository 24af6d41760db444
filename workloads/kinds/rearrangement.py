"""What the kinds have in common that move elements and change none of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from workloads.arrays import Float32Array
from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import LayerBase, PassWork, Traits
from workloads.kinds.profile_rules import Draw, GradientRule, HandingPlace, OutputRule, ProfileRules
from workloads.reference.arrays import Array
from workloads.shapes import Shape


class Rearrangement(LayerBase):
    """Every element of the input stands once in the output, elsewhere; zeros stay zeros, and so do a ReLU's."""

    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DERIVED, gradient=GradientRule.HANDED_ON)

    @abstractmethod
    def rearrange(self, input: Array) -> Array:
        """Move the elements of a batch to their places."""

    @abstractmethod
    def restore(self, output: Array, shape: Shape) -> Array:
        """Move them back to where they stood in an input of this shape."""

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}

    def run(self, inputs: Sequence[Array], _parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Move the elements; the gradient is moved back."""
        shape = inputs[0].shape
        return self.rearrange(inputs[0]), lambda grad: Gradients([self.restore(grad, shape)], {})

    def derive_density(self, densities: Sequence[float], _sizes: Sequence[int], /) -> float | None:
        """Be as dense as the input."""
        return densities[0]

    def derive_output(self, sources: Sequence[Float32Array], _draw: Draw, /) -> Float32Array:
        """Move the elements."""
        return np.asarray(self.rearrange(sources[0][None])[0], np.float32)

    def find_obstacle(self) -> str | None:
        """Find none."""
        return None

    def hand_gradient_back(self, gradient: Float32Array, place: HandingPlace, /) -> Float32Array:
        """Move the gradient back."""
        return np.asarray(self.restore(gradient[None], (1, *place.input_shape))[0], np.float32)


class View(Rearrangement):
    """Another shape of the same elements in the same order: it happens where the tensor is written."""

    traits: ClassVar[Traits] = Traits(
        rides_along=True, is_view=True, hands_zeros_on=True, hands_ceiling_on=True, hands_gradient_on=True,
        densifies_gradient=False,
    )  # fmt: skip

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none: it happens where its input is written."""
        return None

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none: it happens where the gradient is written."""
        return None

    def restore(self, output: Array, shape: Shape) -> Array:
        """Change the shape back."""
        return output.reshape(shape)


class Move(Rearrangement):
    """Another order of the elements: a pass reads them and writes them, forward and backward."""

    traits: ClassVar[Traits] = Traits(
        hands_zeros_on=True, hands_ceiling_on=True, hands_gradient_on=False, densifies_gradient=False
    )

    @abstractmethod
    def span_rows(self, shape: Shape) -> int:
        """Count the rows of an input of this shape that a row of the output takes elements of, as rows are stored."""

    @abstractmethod
    def span_rows_back(self, output: Shape) -> int:
        """Count the rows of an output of this shape that a row of the input takes elements of."""

    def forward_work(self, shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read the input, write the output; zeros stay zeros."""
        return PassWork(window_rows=self.span_rows(shapes[0]), carries_mask=True)

    def backward_work(self, _shapes: tuple[Shape, ...], output: Shape, /) -> PassWork | None:
        """Read the gradient, write it in the input's order."""
        return PassWork(window_rows=self.span_rows_back(output))
