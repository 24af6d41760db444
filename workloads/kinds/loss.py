"""What the losses have in common: what they compare scores with, and how they count in a network's total."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from workloads.kinds.execution import Parameter
from workloads.kinds.layer import SAME_ELEMENT, LayerBase, PassWork, Traits, unknown_kind
from workloads.kinds.profile_rules import GradientRule, OutputRule, ProfileRules
from workloads.shapes import Shape

Targets = NDArray[np.integer[Any]] | NDArray[np.floating[Any]]
LossWeight = Annotated[float, Field(gt=0.0)]


class LossLayer(LayerBase):
    """A loss of scores ``(N, classes)``, or at each place of ``(N, classes, H, W)``; a network may have several.

    Attributes:
        weight: With which it counts in the total, whose gradients are handed back.
    """

    traits: ClassVar[Traits] = Traits(
        is_loss=True, hands_zeros_on=False, hands_gradient_on=False, densifies_gradient=False
    )
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.FIGURE, gradient=GradientRule.BEHIND_LOSS)

    weight: LossWeight = 1.0

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Leave one number."""
        expect_scores(self, shapes[0])
        return ()

    def shape_targets(self, scores: Shape, /) -> Shape:
        """Give the shape of what scores of this shape are compared with."""
        raise unknown_kind(self, "the shape of its targets")

    def spread_labels(self, labels: NDArray[np.integer[Any]], scores: Shape, /) -> Targets:
        """Make targets of the class numbers ``(N,)`` of the images; each place has its image's.

        Raises:
            ValueError: a label stands for no score; a sentence without the place.
        """
        raise unknown_kind(self, "its targets")

    def count_classes(self, scores: Shape, /) -> int:
        """Count the labels that scores of this shape can be compared with, from 0 on."""
        return scores[1]

    def check_targets(self, targets: NDArray[Any], scores: Shape, /) -> Targets:
        """Give targets that are no labels of whole images, if they can be compared with scores of this shape.

        Raises:
            ValueError: they cannot; a sentence without the place.
        """
        raise unknown_kind(self, "which targets it takes")

    def count_rows_compared(self, scores: Shape, /) -> int:
        """Count the rows of scores that a row of their gradient follows from, as `PassWork.window_rows` has it."""
        raise unknown_kind(self, "which scores it compares with each other")

    def forward_work(self, shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read the scores and the targets, write the gradient; a label for each image is not counted."""
        targets = self.shape_targets(shapes[0])
        return PassWork(
            window_rows=self.count_rows_compared(shapes[0]),
            target_elements=0 if len(targets) == 1 else int(np.prod(targets)),
        )

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Have none beside that."""
        return None

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}


class ValueLoss(LossLayer):
    """A loss that compares each score with a number.

    Attributes:
        limits: The least and the largest, where not all are taken.
    """

    limits: ClassVar[tuple[float, float] | None] = None

    def shape_targets(self, scores: Shape, /) -> Shape:
        """Give a number for each score."""
        return scores

    def count_rows_compared(self, _scores: Shape, /) -> int:
        """Compare each score with its own target alone."""
        return SAME_ELEMENT

    def count_classes(self, scores: Shape, /) -> int:
        """Count the scores; a single one is compared with 0 or 1."""
        return max(2, scores[1])

    def spread_labels(self, labels: NDArray[np.integer[Any]], scores: Shape, /) -> Targets:
        """Give 1 at the label's score and 0 at the others; a single score is compared with the label itself."""
        if scores[1] == 1:
            self._check_limits(labels)
            return spread_over_places(labels.astype(np.float32)[:, None], scores)
        check_labels(labels, scores[1])
        return spread_over_places((np.arange(scores[1]) == labels[:, None]).astype(np.float32), scores)

    def check_targets(self, targets: NDArray[Any], scores: Shape, /) -> Targets:
        """Take finite numbers of the scores' shape, within the limits."""
        if targets.shape != scores or targets.dtype.kind not in "iuf":
            raise ValueError(f"must be numbers of shape {scores}, got {targets.dtype} of shape {targets.shape}")
        if not np.isfinite(targets).all():
            raise ValueError("must be finite")
        self._check_limits(targets)
        return targets

    def _check_limits(self, targets: NDArray[Any]) -> None:
        least, most = targets.min(), targets.max()
        if self.limits is not None and not (self.limits[0] <= least and most <= self.limits[1]):
            raise ValueError(f"must be in {self.limits[0]:g}..{self.limits[1]:g}, got {least:g}..{most:g}")


def expect_scores(layer: LayerBase, shape: Shape) -> None:
    """Refuse an input that has no axis of classes.

    Raises:
        ValueError: it has not two axes, or more.
    """
    if len(shape) < 2:
        raise ValueError(f"{layer.type} reads (batch, classes, ...), but its input has the shape {shape}")


def check_labels(labels: NDArray[np.integer[Any]], classes: int) -> None:
    """Refuse labels that stand for no score.

    Raises:
        ValueError: one of them does; a sentence without the place.
    """
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"must be in 0..{classes - 1}, got {labels.min()}..{labels.max()}")


def spread_over_places(targets: NDArray[Any], scores: Shape) -> NDArray[Any]:
    """Repeat targets ``(N,)`` or ``(N, classes)`` at each place of the scores."""
    places = scores[2:]
    return np.broadcast_to(targets.reshape(targets.shape + (1,) * len(places)), targets.shape + places)
