"""Batch norm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import WHOLE_TENSOR, LayerBase, PassWork, Traits
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.kinds.shape_rules import expect_channels
from workloads.reference.arrays import Array
from workloads.reference.normalisation import batch_norm_backward, batch_norm_forward
from workloads.shapes import Shape


class BatchNorm(LayerBase):
    """Normalisation over the batch and the positions of each channel or feature, with learned scale and shift."""

    traits: ClassVar[Traits] = Traits(
        has_parameters=True,
        normalises=True,
        keeps_input=True,
        hands_zeros_on=False,
        hands_gradient_on=False,
        densifies_gradient=True,
    )
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DENSE, gradient=GradientRule.BEHIND_BATCH_NORM)

    type: Literal["batch_norm"]
    epsilon: Annotated[float, Field(gt=0.0)] = 1e-5

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Keep the shape."""
        expect_channels(self, shapes[0])
        return shapes[0]

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read the input, write the output; what wrote the input gathered the statistics of all of it."""
        return PassWork(window_rows=WHOLE_TENSOR)

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Sweep gradient and input twice."""
        return PassWork(window_rows=WHOLE_TENSOR, sweeps=2, reads_input=True)

    def list_parameters(self, shape: Shape, /) -> Mapping[str, Parameter]:
        """Have a scale, at first 1, and a shift, at first 0, for each channel."""
        return {"scale": Parameter(shape[1:2], 1), "shift": Parameter(shape[1:2], 0)}

    def run(self, inputs: Sequence[Array], parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Normalise with the statistics of the batch."""
        input, scale = inputs[0], parameters["scale"]
        output, statistics = batch_norm_forward(input, scale, parameters["shift"], self.epsilon)

        def backward(grad: Array) -> Gradients:
            grad_input, grad_scale, grad_shift = batch_norm_backward(grad, input, scale, statistics)
            return Gradients([grad_input], {"scale": grad_scale, "shift": grad_shift})

        return output, backward
