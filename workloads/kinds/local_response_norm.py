"""Local response norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from workloads.arrays import Float32Array
from workloads.kinds.elementwise import ElementwiseLayer
from workloads.kinds.execution import Backward, Gradients, Parameters, Place
from workloads.kinds.layer import PassWork, Traits
from workloads.kinds.profile_rules import Draw, GradientRule, OutputRule, ProfileRules
from workloads.kinds.row_windows import span_channels
from workloads.kinds.shape_rules import expect_image
from workloads.layers import PositiveInt
from workloads.reference.arrays import Array
from workloads.reference.normalisation import ResponseWindow, response_norm_backward, response_norm_forward
from workloads.shapes import Shape


class LocalResponseNorm(ElementwiseLayer):
    """x / (k + alpha / size times the sum of squares over `size` channels around it)^beta, at each position.

    It keeps the zeros of what it reads, and no others come in. Behind a ReLU the gradient to a zero is needed neither
    for itself nor for its neighbours, in whose share it is a factor: so what reads the output has the ReLU's mask. A
    pruned gradient is dense again behind it, within the mask.
    """

    traits: ClassVar[Traits] = Traits(
        keeps_input=True, hands_zeros_on=True, hands_gradient_on=False, densifies_gradient=True
    )
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DERIVED, gradient=GradientRule.MADE_DENSE)

    type: Literal["local_response_norm"]
    size: PositiveInt
    alpha: Annotated[float, Field(gt=0.0)] = 1e-4
    beta: Annotated[float, Field(gt=0.0)] = 0.75
    k: Annotated[float, Field(gt=0.0)] = 1.0

    @property
    def window(self) -> ResponseWindow:
        """The window and the constants."""
        return ResponseWindow(self.size, self.alpha, self.beta, self.k)

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Keep the shape."""
        expect_image(self, shapes[0])
        return shapes[0]

    def forward_work(self, _shapes: tuple[Shape, ...], output: Shape, /) -> PassWork | None:
        """Read the input, write the output: only neighbouring channels meet."""
        return PassWork(window_rows=span_channels(min(self.size, output[1]), output))

    def backward_work(self, _shapes: tuple[Shape, ...], output: Shape, /) -> PassWork | None:
        """Read gradient and input once; what is divided by is computed again."""
        return PassWork(window_rows=span_channels(min(self.size, output[1]), output), reads_input=True)

    def run(self, inputs: Sequence[Array], _parameters: Parameters, place: Place, /) -> tuple[Array, Backward]:
        """Divide; the backward keeps the input and the sums."""
        input, window = inputs[0], self.window
        output, sums = response_norm_forward(input, window)
        kept = place.keep(sums)
        return output, lambda grad: Gradients([response_norm_backward(grad, input, kept, window)], {})

    def derive_density(self, densities: Sequence[float], _sizes: Sequence[int], /) -> float | None:
        """Be as dense as the input."""
        return densities[0]

    def derive_output(self, sources: Sequence[Float32Array], _draw: Draw, /) -> Float32Array:
        """Divide."""
        return np.asarray(response_norm_forward(sources[0][None], self.window)[0][0], np.float32)
