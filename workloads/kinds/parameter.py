"""A trained tensor that no layer makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from workloads.kinds import execution
from workloads.kinds.execution import Backward, Gradients, Parameters, Place
from workloads.kinds.layer import SAME_ELEMENT, LayerBase, PassWork, Traits
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.layers import LayerName, PositiveInt
from workloads.reference.arrays import Array
from workloads.shapes import Shape


class Parameter(LayerBase):
    """The same trained tensor for each image, such as positions or class tokens: it reads nothing.

    Attributes:
        shape: Without the batch.
        init: The value of every element at first; by default they are drawn by Kaiming's rule.
    """

    traits: ClassVar[Traits] = Traits(
        is_source=True, has_parameters=True, hands_zeros_on=False, hands_gradient_on=False, densifies_gradient=False
    )
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DENSE, gradient=GradientRule.FIGURE)

    inputs: Annotated[list[LayerName], Field(max_length=0)] | None = None
    type: Literal["parameter"]
    shape: Annotated[list[PositiveInt], Field(min_length=1)]
    init: float | None = None

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Give each image of the batch the tensor."""
        return (shapes[0][0], *self.shape)

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none: readers read it where it is stored."""
        return None

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Sum the gradients of the images."""
        return PassWork(window_rows=SAME_ELEMENT)

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, execution.Parameter]:
        """Have the tensor."""
        return {"value": execution.Parameter(tuple(self.shape), self.init)}

    def run(self, inputs: Sequence[Array], parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Spread the tensor over the images; its gradient is the sum of theirs."""
        value = parameters["value"]
        output = np.broadcast_to(value, (inputs[0].shape[0], *value.shape)).copy()

        def backward(grad: Array) -> Gradients:
            total = grad.sum(axis=0, dtype=np.float64).astype(grad.dtype)
            return Gradients([None], {"value": total})

        return output, backward
