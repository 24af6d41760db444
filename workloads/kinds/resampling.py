"""What the kinds have in common that resample images by weights of rows and of columns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from workloads.arrays import Float32Array, IntArray
from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import LayerBase, PassWork, Traits
from workloads.kinds.profile_rules import Draw, HandingPlace
from workloads.kinds.row_windows import count_meeting
from workloads.kinds.shape_rules import expect_image
from workloads.reference.arrays import Array
from workloads.reference.resampling import Weights, resample, spread_back
from workloads.shapes import Shape


class ResamplingLayer(LayerBase):
    """Weighted sums of neighbours, no weight of which is negative.

    What comes out of a ReLU is zero behind it only where all that it is made of is zero, so that a mask of the output
    leaves out no gradient that the ReLU would let pass.
    """

    traits: ClassVar[Traits] = Traits(hands_zeros_on=True, hands_gradient_on=False, densifies_gradient=False)

    @abstractmethod
    def measure(self, height: int, width: int) -> tuple[int, int]:
        """Give the rows and columns that are made of an image of this size."""

    @abstractmethod
    def weigh(self, height: int, width: int) -> tuple[Weights, Weights]:
        """Give the weights of rows and of columns of such images, as `resample` takes them."""

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Keep batch and channels; no weights are made, for of too large an image they would not fit in memory."""
        expect_image(self, shapes[0])
        return (*shapes[0][:2], *self.measure(*shapes[0][2:]))

    @abstractmethod
    def locate_rows(self, height: int) -> tuple[IntArray, IntArray]:
        """Give the first and the last row of an image of this height that each row of the result is made of."""

    def forward_work(self, shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read the input, write the output."""
        first, last = self.locate_rows(shapes[0][2])
        return PassWork(window_rows=int((last - first).max()) + 1)

    def backward_work(self, shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Spread the gradient, with the mask of a ReLU that the input comes out of."""
        return PassWork(window_rows=count_meeting(*self.locate_rows(shapes[0][2])), reads_mask=True)

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}

    def run(self, inputs: Sequence[Array], _parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Sum the neighbours; each gradient goes to them by the same weights."""
        weights = self.weigh(*inputs[0].shape[2:])
        return resample(inputs[0], *weights), lambda grad: Gradients([spread_back(grad, *weights)], {})

    def derive_density(self, densities: Sequence[float], _sizes: Sequence[int], /) -> float | None:
        """Be dense where the input is; else only the tensor tells."""
        return 1.0 if densities[0] == 1 else None

    def derive_output(self, sources: Sequence[Float32Array], _draw: Draw, /) -> Float32Array:
        """Sum the neighbours."""
        return np.asarray(resample(sources[0][None], *self.weigh(*sources[0].shape[1:]))[0], np.float32)

    def find_obstacle(self) -> str | None:
        """Find none."""
        return None

    def hand_gradient_back(self, gradient: Float32Array, place: HandingPlace, /) -> Float32Array:
        """Spread the gradient by the same weights."""
        return np.asarray(spread_back(gradient[None], *self.weigh(*place.input_shape[1:]))[0], np.float32)
