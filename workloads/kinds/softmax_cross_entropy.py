"""The cross entropy of the softmax with a class."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from workloads.kinds.execution import Loss
from workloads.kinds.loss import LossLayer, Targets, check_labels, spread_over_places
from workloads.kinds.row_windows import span_axis
from workloads.reference.arrays import Array
from workloads.reference.loss import cross_entropy_backward, cross_entropy_forward
from workloads.shapes import Shape


class SoftmaxCrossEntropy(LossLayer):
    """The loss: mean over images, and places in them, of the cross entropy of softmax(scores) with the label.

    Attributes:
        label_smoothing: The share of the target that all classes have in equal parts.
    """

    type: Literal["softmax_cross_entropy"]
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0

    def shape_targets(self, scores: Shape, /) -> Shape:
        """Give a class number for each image or place."""
        return (scores[0], *scores[2:])

    def count_rows_compared(self, scores: Shape, /) -> int:
        """Compare the scores of all classes at one place."""
        return span_axis(scores, 1)

    def spread_labels(self, labels: NDArray[np.integer[Any]], scores: Shape, /) -> Targets:
        """Give each place the label of its image."""
        check_labels(labels, scores[1])
        return spread_over_places(labels, scores)

    def check_targets(self, targets: NDArray[Any], scores: Shape, /) -> Targets:
        """Take a class number for each image or place."""
        shape = self.shape_targets(scores)
        if targets.shape != shape or targets.dtype.kind not in "iu":
            raise ValueError(f"must be integers of shape {shape}, got {targets.dtype} of shape {targets.shape}")
        check_labels(targets, scores[1])
        return targets

    def evaluate(self, scores: Array, targets: Targets, /) -> Loss:
        """Compare the softmax of the scores with the classes."""
        labels = targets.astype(np.int64)
        value, probabilities = cross_entropy_forward(scores, labels, self.label_smoothing)
        hits = float((probabilities.argmax(axis=1) == labels).mean())
        # A smoothed target is met by no probability of 1, so that there is a gradient.
        is_one = probabilities.max(axis=1).astype(np.float32) >= 1
        saturated = 0 if self.label_smoothing else int(is_one.reshape(len(labels), -1).all(axis=1).sum())
        return Loss(value, cross_entropy_backward(probabilities, labels, self.label_smoothing), hits, saturated)
