"""What the kinds have in common that keep the shape of what they read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import prod
from typing import ClassVar

from workloads.arrays import BoolArray, Float32Array
from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import SAME_ELEMENT, LayerBase, PassWork, Traits
from workloads.kinds.profile_rules import GradientRule, HandingPlace, OutputRule, ProfileRules, mask_gradient
from workloads.reference.activations import select_slope
from workloads.reference.arrays import Array
from workloads.shapes import Shape


class ElementwiseLayer(LayerBase):
    """A layer whose output has the shape of its one input, of any rank; without parameters, unless it lists some."""

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


class Activation(ElementwiseLayer):
    """A function of each element that is a pass of its own, because it is no ReLU.

    A layer behind one has no mask, for a gradient of zero does not follow from an output of zero.
    """

    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DENSE, gradient=GradientRule.HANDED_ON)

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read the input, write the output."""
        return PassWork(window_rows=SAME_ELEMENT)

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read the gradient and what the derivative is computed from, write the gradient to the input."""
        keeps = self.traits
        return PassWork(window_rows=SAME_ELEMENT, reads_input=keeps.keeps_input, reads_output=keeps.keeps_output)

    @abstractmethod
    def activate(self, input: Array) -> Array:
        """Compute the output."""


class InputActivation(Activation):
    """An activation whose derivative is computed from its input."""

    traits: ClassVar[Traits] = Traits(
        keeps_input=True, hands_zeros_on=False, hands_gradient_on=False, densifies_gradient=False
    )

    @abstractmethod
    def differentiate(self, input: Array) -> Array:
        """Compute the derivative from the input."""

    def run(self, inputs: Sequence[Array], _parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Compute each element; the backward keeps the input."""
        input = inputs[0]
        return self.activate(input), lambda grad: Gradients([grad * self.differentiate(input)], {})


class OutputActivation(Activation):
    """An activation whose derivative is computed from its output."""

    traits: ClassVar[Traits] = Traits(
        keeps_output=True, hands_zeros_on=False, hands_gradient_on=False, densifies_gradient=False
    )

    @abstractmethod
    def differentiate(self, output: Array) -> Array:
        """Compute the derivative from the output."""

    def run(self, inputs: Sequence[Array], _parameters: Parameters, place: Place, /) -> tuple[Array, Backward]:
        """Compute each element; the backward keeps the output."""
        output = place.keep(self.activate(inputs[0]))
        return output, lambda grad: Gradients([grad * self.differentiate(output)], {})


class FlaggedActivation(Activation):
    """An activation of straight pieces: its derivative is `slopes[0]` or `slopes[1]`, as one bit an element tells.

    The bits are all that the backward pass reads beside the gradient; the forward pass writes them.
    """

    traits: ClassVar[Traits] = Traits(hands_zeros_on=False, hands_gradient_on=False, densifies_gradient=False)

    def forward_work(self, _shapes: tuple[Shape, ...], output: Shape, /) -> PassWork | None:
        """Write a bit for each element besides."""
        return PassWork(window_rows=SAME_ELEMENT, index_bits=prod(output))

    def backward_work(self, _shapes: tuple[Shape, ...], output: Shape, /) -> PassWork | None:
        """Read the bits."""
        return PassWork(window_rows=SAME_ELEMENT, index_bits=prod(output))

    @abstractmethod
    def flag(self, input: Array) -> BoolArray:
        """Tell which elements have the second slope."""

    @abstractmethod
    def list_slopes(self) -> tuple[float, float]:
        """Give the derivative of elements without and with the flag."""

    def run(self, inputs: Sequence[Array], _parameters: Parameters, place: Place, /) -> tuple[Array, Backward]:
        """Compute each element; the backward keeps the flags."""
        input = inputs[0]
        flags, slopes = place.keep(self.flag(input)), self.list_slopes()
        return self.activate(input), lambda grad: Gradients([select_slope(grad, flags, slopes)], {})
