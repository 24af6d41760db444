"""The average pooling of whole channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import LayerBase, PassWork, Traits
from workloads.kinds.shape_rules import expect_image
from workloads.reference.arrays import Array
from workloads.reference.pooling import global_avg_pool_backward, global_avg_pool_forward
from workloads.shapes import Shape


class GlobalAvgPool(LayerBase):
    """Mean over all positions of each channel: (N, C, H, W) to (N, C, 1, 1)."""

    traits: ClassVar[Traits] = Traits(hands_zeros_on=True, hands_gradient_on=False, densifies_gradient=False)

    type: Literal["global_avg_pool"]

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Leave one position of each channel."""
        expect_image(self, shapes[0])
        return (*shapes[0][:2], 1, 1)

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read the input, write the output."""
        return PassWork()

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Spread the gradient, with the mask of a ReLU that the input comes out of."""
        return PassWork(reads_mask=True)

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}

    def run(self, inputs: Sequence[Array], _parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Take the means; each gradient goes in equal shares to its channel."""
        shape = inputs[0].shape
        output = global_avg_pool_forward(inputs[0])
        return output, lambda grad: Gradients([global_avg_pool_backward(grad, shape)], {})
