"""The loss: cross entropy of the softmax of the scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.reference.arrays import Array


def cross_entropy_forward(scores: Array, labels: NDArray[np.integer[Any]]) -> tuple[float, Array]:
    """Mean loss over the batch, and the probabilities ``(N, classes)``; labels ``(N,)`` are class numbers."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = exponentials.sum(axis=1, keepdims=True)
    losses = np.log(totals[:, 0]) - shifted[np.arange(len(labels)), labels]
    return float(losses.mean(dtype=np.float64)), exponentials / totals


def cross_entropy_backward(probabilities: Array, labels: NDArray[np.integer[Any]]) -> Array:
    """Gradient to the scores: (probabilities - one_hot(labels)) / N."""
    grad_scores = probabilities.copy()
    grad_scores[np.arange(len(labels)), labels] -= 1
    grad_scores /= len(labels)
    return grad_scores
