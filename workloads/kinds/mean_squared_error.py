"""The mean squared error."""

from __future__ import annotations

from typing import Literal

from workloads.kinds.execution import Loss
from workloads.kinds.loss import Targets, ValueLoss
from workloads.reference.arrays import Array
from workloads.reference.loss import squared_error


class MeanSquaredError(ValueLoss):
    """The loss: mean over all scores of the square of their distance from the target."""

    type: Literal["mean_squared_error"]

    def evaluate(self, scores: Array, targets: Targets, /) -> Loss:
        """Square the distances; which class an image has is not asked."""
        return Loss(*squared_error(scores, targets.astype(scores.dtype, copy=False)))
