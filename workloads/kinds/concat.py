"""The branches beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np

from workloads.arrays import Float32Array
from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import LayerBase, PassWork, Traits
from workloads.kinds.profile_rules import Draw, GradientRule, OutputRule, ProfileRules
from workloads.layers import PositiveInt
from workloads.reference.arrays import Array
from workloads.reference.elementwise import concat_backward, concat_forward
from workloads.shapes import Shape


class Concat(LayerBase):
    """Inputs joined along an axis behind the batch, from 1, the channels.

    Each is stored as a part of the whole along any axis: what writes it writes where its rows stand, as a split's
    readers read there.
    """

    traits: ClassVar[Traits] = Traits(
        reads_several=True,
        is_joined=True,
        hands_zeros_on=True,
        hands_ceiling_on=True,
        hands_gradient_on=True,
        densifies_gradient=False,
    )
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DERIVED, gradient=GradientRule.FIGURE)

    type: Literal["concat"]
    axis: PositiveInt = 1

    def infer_output(self, names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Add the axis's lengths up; the rest of the shapes must agree."""
        first = shapes[0]
        if self.axis >= len(first):
            raise ValueError(f"axis must be from 1 to {len(first) - 1} for an input of shape {first}, got {self.axis}")
        for name, shape in zip(names, shapes, strict=True):
            if len(shape) != len(first) or self._list_others(shape) != self._list_others(first):
                where = "channels" if self.axis == 1 else f"axis {self.axis}"
                raise ValueError(
                    f"a concat's inputs may differ in {where} only, but '{names[0]}' has {first} and '{name}' {shape}"
                )
        return (*first[: self.axis], sum(shape[self.axis] for shape in shapes), *first[self.axis + 1 :])

    def _list_others(self, shape: Shape) -> tuple[Shape, Shape]:
        return shape[: self.axis], shape[self.axis + 1 :]

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none: each branch writes its part in its place."""
        return None

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none: its inputs' gradients are its output's."""
        return None

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}

    def run(self, inputs: Sequence[Array], _parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Join the inputs; the gradient is cut where they meet."""
        axis, lengths = self.axis, [input.shape[self.axis] for input in inputs]
        return concat_forward(inputs, axis), lambda grad: Gradients(concat_backward(grad, lengths, axis), {})

    def derive_density(self, densities: Sequence[float], sizes: Sequence[int], /) -> float | None:
        """Weigh the densities of the inputs by their sizes."""
        return sum(density * size for density, size in zip(densities, sizes, strict=True)) / sum(sizes)

    def derive_output(self, sources: Sequence[Float32Array], _draw: Draw, /) -> Float32Array:
        """Join the inputs."""
        return np.concatenate(sources, axis=self.axis - 1)
