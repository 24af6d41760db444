"""What the kinds have in common that normalise rows of each image by their own mean and deviation."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, cast

import numpy as np
from pydantic import Field

from workloads.kinds.elementwise import ElementwiseLayer
from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import WHOLE_TENSOR, LayerBase, PassWork, Traits
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.reference.arrays import Array
from workloads.reference.normalisation import normalise_again, row_norm_backward, row_norm_forward
from workloads.shapes import Shape

TRAINED = Traits(
    has_parameters=True, keeps_input=True, hands_zeros_on=False, hands_gradient_on=False, densifies_gradient=True
)
UNTRAINED = dataclasses.replace(TRAINED, has_parameters=False)


class _TraitsByForm:
    """Stands where a kind gives its traits: a layer with `affine: false` is not trained."""

    def __get__(self, layer: RowNorm | None, owner: type[LayerBase]) -> Traits:
        return TRAINED if layer is None or layer.affine else UNTRAINED


class RowNorm(ElementwiseLayer):
    """Normalisation of rows, with learned scale and shift unless `affine` is false."""

    traits: ClassVar[Traits] = cast(Traits, _TraitsByForm())
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DENSE, gradient=GradientRule.MADE_DENSE)

    if TYPE_CHECKING:  # Each form declares its own, with its own default.
        affine: bool

    epsilon: Annotated[float, Field(gt=0.0)] = 1e-5

    @abstractmethod
    def measure_row(self, shape: Shape) -> int:
        """Count the elements of a row of an input of this shape.

        Raises:
            ValueError: the layer cannot read such an input; a sentence without the place.
        """

    @abstractmethod
    def list_scaled_axes(self, rank: int) -> range:
        """List the axes, next to each other, along which scale and shift differ, of an input of so many axes."""

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Keep the shape, whose rows must have several values."""
        if self.measure_row(shapes[0]) == 1:
            raise ValueError(
                f"{self.type} would normalise rows of one value, of which nothing is left; its input has the shape "
                f"{shapes[0]}"
            )
        return shapes[0]

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Sweep the input twice: for the statistics, and to normalise."""
        return PassWork(window_rows=WHOLE_TENSOR, sweeps=2)

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Sweep gradient and input twice."""
        return PassWork(window_rows=WHOLE_TENSOR, sweeps=2, reads_input=True)

    def list_parameters(self, shape: Shape, /) -> Mapping[str, Parameter]:
        """Have a scale, at first 1, and a shift, at first 0, unless `affine` is false."""
        if not self.affine:
            return {}
        axes = self.list_scaled_axes(len(shape))
        scaled = shape[axes.start : axes.stop]
        return {"scale": Parameter(scaled, 1), "shift": Parameter(scaled, 0)}

    def run(self, inputs: Sequence[Array], parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Normalise each row, then scale and shift; the backward keeps the input and the statistics."""
        input, length = inputs[0], self.measure_row(inputs[0].shape)
        axes = self.list_scaled_axes(input.ndim)
        spread = tuple(size if axis in axes else 1 for axis, size in enumerate(input.shape))
        output, statistics = row_norm_forward(input, length, self.epsilon)
        if self.affine:
            output *= parameters["scale"].reshape(spread)
            output += parameters["shift"].reshape(spread)

        def backward(grad: Array) -> Gradients:
            normalised = normalise_again(input, statistics, length)
            if not self.affine:
                return Gradients([row_norm_backward(grad, normalised, statistics, length)], {})
            scale = parameters["scale"]
            grads = {
                name: sum_to(values, spread).reshape(scale.shape)
                for name, values in (("scale", grad * normalised), ("shift", grad))
            }
            grad_input = row_norm_backward(grad * scale.reshape(spread), normalised, statistics, length)
            return Gradients([grad_input], grads)

        return output, backward


def sum_to(values: Array, shape: Shape) -> Array:
    """Sum an array over the axes where a shape of as many axes has one, in float64."""
    axes = tuple(axis for axis, length in enumerate(shape) if length == 1)
    total: Array = values.sum(axis=axes, keepdims=True, dtype=np.float64).astype(values.dtype)
    return total
