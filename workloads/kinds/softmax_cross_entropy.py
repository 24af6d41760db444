"""The loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from workloads.kinds.execution import Loss, Parameter
from workloads.kinds.layer import LayerBase, PassWork, Traits
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.kinds.shape_rules import expect_flat
from workloads.reference.arrays import Array
from workloads.reference.loss import cross_entropy_backward, cross_entropy_forward
from workloads.shapes import Shape


class SoftmaxCrossEntropy(LayerBase):
    """The loss: mean over the batch of the cross entropy of softmax(scores) with the label."""

    traits: ClassVar[Traits] = Traits(
        is_loss=True, hands_zeros_on=False, hands_gradient_on=False, densifies_gradient=False
    )
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.FIGURE, gradient=GradientRule.BEHIND_LOSS)

    type: Literal["softmax_cross_entropy"]

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Leave one number."""
        expect_flat(self, shapes[0])
        return ()

    def forward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read the scores, write their gradient."""
        return PassWork()

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none beside that."""
        return None

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}

    def evaluate(self, scores: Array, labels: NDArray[np.integer[Any]], /) -> Loss:
        """Compare the softmax of the scores with the labels."""
        value, probabilities = cross_entropy_forward(scores, labels)
        return Loss(value, probabilities, cross_entropy_backward(probabilities, labels))
