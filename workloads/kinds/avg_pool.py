"""The average pooling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np

from workloads.arrays import Float32Array
from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import LayerBase, PassWork, Traits
from workloads.kinds.profile_rules import Draw, GradientRule, HandingPlace, OutputRule, ProfileRules
from workloads.kinds.shape_rules import expect_image
from workloads.kinds.window_fields import PaddingField, SizeField
from workloads.kinds.windows import WindowFields, infer_pooled
from workloads.reference.arrays import Array
from workloads.reference.pooling import avg_pool_backward, avg_pool_forward
from workloads.shapes import Shape


class AvgPool(WindowFields, LayerBase):
    """Mean over windows; zeros of the padding are counted unless `count_include_pad` is off, as in torch."""

    traits: ClassVar[Traits] = Traits(hands_zeros_on=True, hands_gradient_on=False, densifies_gradient=False)
    profile: ClassVar[ProfileRules] = ProfileRules(
        output=OutputRule.DERIVED, gradient=GradientRule.HANDED_ON, spreads_gradient=True
    )

    type: Literal["avg_pool"]
    kernel: SizeField
    stride: SizeField | None = None
    padding: PaddingField = 0
    ceil_mode: bool = False
    count_include_pad: bool = True

    @property
    def counts_padding(self) -> bool:
        """Whether a mean's divisor counts padding."""
        return self.count_include_pad

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Give the number of windows in place of height and width."""
        expect_image(self, shapes[0])
        return infer_pooled(self.window_on(shapes[0]), shapes[0])

    def forward_work(self, shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read the input, write the output."""
        return PassWork(window_rows=self.count_rows_read(shapes[0]))

    def backward_work(self, shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Spread the gradient, with the mask of a ReLU that the input comes out of."""
        return PassWork(window_rows=self.count_rows_back(shapes[0]), reads_mask=True)

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}

    def run(self, inputs: Sequence[Array], _parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Take the means; each gradient goes in equal shares to its window."""
        window, shape = self.window_on(inputs[0].shape), inputs[0].shape
        output = avg_pool_forward(inputs[0], window)
        return output, lambda grad: Gradients([avg_pool_backward(grad, window, shape)], {})

    def derive_density(self, densities: Sequence[float], _sizes: Sequence[int], /) -> float | None:
        """Be dense where the input is; else only the tensor tells."""
        return 1.0 if densities[0] == 1 else None

    def derive_output(self, sources: Sequence[Float32Array], _draw: Draw, /) -> Float32Array:
        """Take the means."""
        return np.asarray(avg_pool_forward(sources[0][None], self.window_on(sources[0].shape))[0], np.float32)

    def find_obstacle(self) -> str | None:
        """Find none."""
        return None

    def hand_gradient_back(self, gradient: Float32Array, place: HandingPlace, /) -> Float32Array:
        """Spread the gradient over its window."""
        window = self.window_on(place.input_shape)
        return np.asarray(avg_pool_backward(gradient[None], window, (1, *place.input_shape))[0])
