"""A part of a tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from workloads.arrays import Float32Array
from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import LayerBase, PassWork, Traits
from workloads.kinds.profile_rules import Draw, GradientRule, OutputRule, ProfileRules
from workloads.layers import Natural, PositiveInt
from workloads.reference.arrays import Array
from workloads.shapes import Shape


class Split(LayerBase):
    """One of the parts into which an axis is cut: it is read where the whole is stored.

    Attributes:
        sizes: The lengths of all parts.
        part: Which one this is, from 0. Its gradient is stored as a part of the whole's, so that parts which are read
            by different layers cost no sum.
    """

    traits: ClassVar[Traits] = Traits(
        is_part=True, hands_zeros_on=True, hands_ceiling_on=True, hands_gradient_on=True, densifies_gradient=False
    )
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DERIVED, gradient=GradientRule.FIGURE)

    type: Literal["split"]
    sizes: Annotated[list[PositiveInt], Field(min_length=2)]
    part: Natural
    axis: PositiveInt = 1

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Give the axis the length of the part; all parts must make up the axis."""
        shape = shapes[0]
        if self.axis >= len(shape):
            raise ValueError(f"axis must be from 1 to {len(shape) - 1} for an input of shape {shape}, got {self.axis}")
        if sum(self.sizes) != shape[self.axis]:
            raise ValueError(
                f"sizes must add up to {shape[self.axis]}, the length of axis {self.axis} of an input of shape "
                f"{shape}, got {self.sizes}"
            )
        if self.part >= len(self.sizes):
            raise ValueError(f"part must be from 0 to {len(self.sizes) - 1}, got {self.part}")
        return (*shape[: self.axis], self.sizes[self.part], *shape[self.axis + 1 :])

    def locate_part(self) -> tuple[int, range]:
        """Tell the axis and the places of the part on it."""
        first = sum(self.sizes[: self.part])
        return self.axis, range(first, first + self.sizes[self.part])

    def _select(self, array: Array) -> Array:
        axis, places = self.locate_part()
        return array[(slice(None),) * axis + (slice(places.start, places.stop),)]

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none: readers read the part where it is stored."""
        return None

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none: the gradient is a part of that to the whole."""
        return None

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}

    def run(self, inputs: Sequence[Array], _parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Select the part; the gradient is zero elsewhere."""
        shape = inputs[0].shape

        def backward(grad: Array) -> Gradients:
            whole = np.zeros(shape, grad.dtype)
            self._select(whole)[...] = grad
            return Gradients([whole], {})

        return np.ascontiguousarray(self._select(inputs[0])), backward

    def derive_density(self, densities: Sequence[float], _sizes: Sequence[int], /) -> float | None:
        """Be dense where the whole is; else only the tensor tells."""
        return 1.0 if densities[0] == 1 else None

    def derive_output(self, sources: Sequence[Float32Array], _draw: Draw, /) -> Float32Array:
        """Select the part."""
        return np.asarray(self._select(sources[0][None])[0], np.float32)
