"""Dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from workloads.arrays import Float32Array
from workloads.kinds.elementwise import RidingLayer
from workloads.kinds.execution import Backward, Gradients, Parameters, Place
from workloads.kinds.layer import Traits
from workloads.kinds.profile_rules import Draw, GradientRule, OutputRule, ProfileRules
from workloads.reference.arrays import Array
from workloads.reference.elementwise import draw_dropout_mask, dropout_forward


class Dropout(RidingLayer):
    """Zero each element with probability `rate`, scale the others by 1 / (1 - rate)."""

    traits: ClassVar[Traits] = Traits(
        rides_along=True, hands_zeros_on=True, hands_gradient_on=True, densifies_gradient=False
    )
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DERIVED, gradient=GradientRule.FIGURE)

    type: Literal["dropout"]
    rate: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5

    def run(self, inputs: Sequence[Array], _parameters: Parameters, place: Place, /) -> tuple[Array, Backward]:
        """Draw what is kept; the gradient is scaled as the input. All is kept where the network is evaluated."""
        if place.statistics is not None:
            return inputs[0], lambda grad: Gradients([grad], {})
        shape, rate = inputs[0].shape, self.rate
        drawn = draw_dropout_mask(shape, rate, seed=place.seed, layer=self.name, iteration=place.iteration)
        kept = place.keep(drawn)
        output = dropout_forward(inputs[0], kept, rate)
        return output, lambda grad: Gradients([dropout_forward(grad, kept, rate)], {})

    def derive_density(self, densities: Sequence[float], _sizes: Sequence[int], /) -> float | None:
        """Keep the share that is not dropped."""
        return densities[0] * (1 - self.rate)

    def derive_output(self, sources: Sequence[Float32Array], draw: Draw, /) -> Float32Array:
        """Draw what is kept."""
        is_kept = draw("dropout").random(sources[0].shape) >= self.rate
        return sources[0] * is_kept / np.float32(1 - self.rate)
