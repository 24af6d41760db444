"""What the kinds have in common that the accelerator executes in steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import LayerBase, PassWork, Traits, unknown_kind
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.reference.arrays import Array
from workloads.reference.steps import add_bias
from workloads.shapes import LayerShape, Shape


@dataclass(frozen=True, slots=True)
class StepFunctions:
    """The three steps of a layer, without bias: output, gradient to the input, gradient to the weight."""

    forward: Callable[[Array, Array], Array]
    gta: Callable[[Array, Array], Array]
    gtw: Callable[[Array, Array], Array]


class ComputedLayer(LayerBase):
    """A layer with weights and perhaps a bias, executed in the steps forward, GTA and GTW."""

    traits: ClassVar[Traits] = Traits(
        is_computed=True, has_parameters=True, keeps_input=True,
        hands_zeros_on=False, hands_gradient_on=False, densifies_gradient=False,
    )  # fmt: skip
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DENSE, gradient=GradientRule.WITHOUT_MASK)
    geometry: ClassVar[type[LayerShape]]

    if TYPE_CHECKING:  # Each form declares its own, where it stands among its fields.
        bias: bool

    def infer_joint_geometry(self, shapes: tuple[Shape, ...], /) -> LayerShape:
        """Give the geometry of a layer that the accelerator executes, from the shapes of all that it reads.

        Raises:
            ValueError: the layer cannot read such inputs; a sentence without the place.
        """
        return self.infer_geometry(shapes[0])

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Give the geometry's output shape."""
        return self.infer_joint_geometry(shapes).output_shape

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have no pass beside the steps."""
        return None

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have no pass beside the steps."""
        return None

    def bind_steps(self, shape: Shape, /) -> StepFunctions:
        """Give the three steps on an input of this shape."""
        raise unknown_kind(self, "how its steps are computed")

    def list_parameters(self, shape: Shape, /) -> Mapping[str, Parameter]:
        """Have a weight, and with a bias one for each output channel, at first 0."""
        weight = self.infer_geometry(shape).weight_shape
        return {"weight": Parameter(weight)} | ({"bias": Parameter(weight[:1], 0)} if self.bias else {})

    def run(self, inputs: Sequence[Array], parameters: Parameters, place: Place, /) -> tuple[Array, Backward]:
        """Multiply and add; the backward keeps the input.

        A mask makes no difference here: the ReLU that it stands for is passed on the way back.
        """
        input, weight, bias = inputs[0], parameters["weight"], parameters.get("bias")
        axis = self.geometry.channel_axis
        steps = self.bind_steps(input.shape)
        output = steps.forward(input, weight)
        if bias is not None:
            add_bias(output, bias, axis)

        def backward(grad: Array, for_gta: Array | None = None, /) -> Gradients:
            grads = {"weight": steps.gtw(input, grad)}
            grad_input = steps.gta(grad if for_gta is None else for_gta, weight) if place.needs_grad_input else None
            if bias is not None:
                channels = axis % grad.ndim
                axes = tuple(other for other in range(grad.ndim) if other != channels)
                grads["bias"] = grad.sum(axis=axes, dtype=np.float64).astype(grad.dtype)
            return Gradients([grad_input], grads)

        return output, backward
