"""The average pooling of whole channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import ClassVar, Literal

import numpy as np

from workloads.arrays import Float32Array
from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import LayerBase, PassWork, Traits
from workloads.kinds.profile_rules import Draw, GradientRule, HandingPlace, OutputRule, ProfileRules
from workloads.kinds.shape_rules import expect_image
from workloads.reference.arrays import Array
from workloads.reference.pooling import global_avg_pool_backward, global_avg_pool_forward
from workloads.shapes import Shape


class GlobalAvgPool(LayerBase):
    """Mean over all positions of each channel: (N, C, H, W) to (N, C, 1, 1)."""

    traits: ClassVar[Traits] = Traits(hands_zeros_on=True, hands_gradient_on=False, densifies_gradient=False)
    profile: ClassVar[ProfileRules] = ProfileRules(
        output=OutputRule.DERIVED, gradient=GradientRule.HANDED_ON, spreads_gradient=True
    )

    type: Literal["global_avg_pool"]

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Leave one position of each channel."""
        expect_image(self, shapes[0])
        return (*shapes[0][:2], 1, 1)

    def forward_work(self, shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read the input, write the output: a mean of all rows of a channel."""
        return PassWork(window_rows=prod(shapes[0][2:-1]))

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Spread the gradient, with the mask of a ReLU that the input comes out of."""
        return PassWork(window_rows=1, reads_mask=True)

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}

    def run(self, inputs: Sequence[Array], _parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Take the means; each gradient goes in equal shares to its channel."""
        shape = inputs[0].shape
        output = global_avg_pool_forward(inputs[0])
        return output, lambda grad: Gradients([global_avg_pool_backward(grad, shape)], {})

    def derive_density(self, densities: Sequence[float], _sizes: Sequence[int], /) -> float | None:
        """Be dense where the input is; else only the tensor tells."""
        return 1.0 if densities[0] == 1 else None

    def derive_output(self, sources: Sequence[Float32Array], _draw: Draw, /) -> Float32Array:
        """Take the means."""
        return np.asarray(global_avg_pool_forward(sources[0][None])[0], np.float32)

    def find_obstacle(self) -> str | None:
        """Find none."""
        return None

    def hand_gradient_back(self, gradient: Float32Array, place: HandingPlace, /) -> Float32Array:
        """Spread the gradient over its channel."""
        return np.asarray(global_avg_pool_backward(gradient[None], (1, *place.input_shape))[0])
