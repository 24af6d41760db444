"""The losses: their values, in float64, and their gradients to the scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.reference.arrays import Array


def cross_entropy_forward(
    scores: Array, labels: NDArray[np.integer[Any]], smoothing: float = 0.0
) -> tuple[float, Array]:
    """Mean cross entropy of the softmax over axis 1 with the labels, and the probabilities.

    Args:
        scores: ``(N, classes)`` or ``(N, classes, H, W)``, or of other places.
        labels: Class numbers ``(N,)`` or ``(N, H, W)``.
        smoothing: The share of the target that all classes have in equal parts.
    """
    shifted = scores - scores.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = exponentials.sum(axis=1, keepdims=True)
    chosen = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    if smoothing:
        chosen = (1 - smoothing) * chosen + smoothing * shifted.mean(axis=1)
    losses = np.log(totals[:, 0]) - chosen
    return float(losses.mean(dtype=np.float64)), exponentials / totals


def cross_entropy_backward(probabilities: Array, labels: NDArray[np.integer[Any]], smoothing: float = 0.0) -> Array:
    """Gradient to the scores: (probabilities - target) / number of labels; the rest as `cross_entropy_forward`."""
    grad_scores = probabilities.copy()
    places = labels[:, None]
    chosen = np.take_along_axis(grad_scores, places, axis=1)
    np.put_along_axis(grad_scores, places, chosen - (1 - smoothing), axis=1)
    if smoothing:
        grad_scores -= smoothing / grad_scores.shape[1]
    grad_scores /= labels.size
    return grad_scores


def squared_error(scores: Array, targets: Array) -> tuple[float, Array]:
    """Mean squared distance over all elements, and its gradient: 2 (scores - targets) / elements."""
    distance = scores - targets
    value = float(np.square(distance).mean(dtype=np.float64))
    distance *= 2 / distance.size
    return value, distance


def binary_cross_entropy(scores: Array, targets: Array) -> tuple[float, Array]:
    """Mean over all elements of the cross entropy of sigmoid(scores) with the targets, and its gradient.

    max(x, 0) - x t + log(1 + exp(-|x|)) does not overflow where the sigmoid rounds to 0 or 1.
    """
    small = np.exp(-np.abs(scores))
    losses = np.maximum(scores, 0) - scores * targets + np.log1p(small)
    probabilities = np.where(scores >= 0, 1, small) / (1 + small)
    return float(losses.mean(dtype=np.float64)), (probabilities - targets) / scores.size
