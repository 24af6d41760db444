"""The binary cross entropy."""

from __future__ import annotations

from typing import ClassVar, Literal

from workloads.kinds.execution import Loss
from workloads.kinds.loss import Targets, ValueLoss
from workloads.reference.arrays import Array
from workloads.reference.loss import binary_cross_entropy


class BinaryCrossEntropy(ValueLoss):
    """The loss: mean over all scores of the cross entropy of their sigmoid with the target, a probability."""

    limits: ClassVar = (0.0, 1.0)

    type: Literal["binary_cross_entropy"]

    def evaluate(self, scores: Array, targets: Targets, /) -> Loss:
        """Compare the sigmoid of the scores with the targets; a hit is a score on its target's side of 0."""
        targets = targets.astype(scores.dtype, copy=False)
        value, grad_scores = binary_cross_entropy(scores, targets)
        return Loss(value, grad_scores, float(((scores > 0) == (targets > 0.5)).mean()))
