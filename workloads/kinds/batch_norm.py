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
from workloads.reference.normalisation import (
    batch_norm_backward,
    batch_norm_forward,
    make_statistics,
    normalise_channels,
)
from workloads.shapes import Shape

MEAN, VARIANCE = "mean", "variance"


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

    def list_statistics(self, shape: Shape, /) -> Mapping[str, Parameter]:
        """Have the mean, at first 0, and the unbiased variance, at first 1, of each channel."""
        return {MEAN: Parameter(shape[1:2], 0), VARIANCE: Parameter(shape[1:2], 1)}

    def run(self, inputs: Sequence[Array], parameters: Parameters, place: Place, /) -> tuple[Array, Backward]:
        """Normalise with the statistics of the batch, or with the running ones where the network is evaluated."""
        input, scale, shift = inputs[0], parameters["scale"], parameters["shift"]
        if place.statistics is not None:
            running = make_statistics(place.statistics[MEAN], place.statistics[VARIANCE], self.epsilon, input)
            return normalise_channels(input, running, scale, shift), refuse_gradient
        output, statistics = batch_norm_forward(input, scale, shift, self.epsilon)
        count = input.size // input.shape[1]
        place.note(MEAN, statistics.mean.reshape(-1))
        # Of a single value there is no unbiased variance: it counts as 0.
        place.note(VARIANCE, statistics.variance.reshape(-1) * input.dtype.type(count / max(1, count - 1)))

        def backward(grad: Array) -> Gradients:
            grad_input, grad_scale, grad_shift = batch_norm_backward(grad, input, scale, statistics)
            return Gradients([grad_input], {"scale": grad_scale, "shift": grad_shift})

        return output, backward


def refuse_gradient(_: Array) -> Gradients:
    """Refuse to hand a gradient back: a network that is evaluated is not trained."""
    raise TypeError("a batch norm with running statistics hands no gradient back")
