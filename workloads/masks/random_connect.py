"""Random connections of filters with channels, made before training.

S. Changpinyo, M. Sandler, A. Zhmoginov, "The Power of Sparsity in Convolutional Neural Networks", arXiv:1702.06257,
section 3.2: every filter reads a random share alpha of the channels, at all places of its kernels; fully connected
layers stay dense.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from workloads.arrays import BoolArray, Float32Array
from workloads.masks.producer import MaskedWeights, MaskKey, MaskProducer, count_kept
from workloads.shapes import Shape


class RandomConnectMask(MaskProducer):
    """Connect each filter of a convolution with equally many channels, drawn, whatever the weights are.

    Each filter draws among the channels that the fewest have drawn before it, so that channels differ by at most one
    in their filters, and none is dead where there are as many connections as channels. The source (section 5.1) draws
    from a uniform distribution and lets no filter die, but does not say how; its share sqrt(alpha) beside layers that
    are one filter wide is left out.

    Attributes:
        alpha: The share of the channels, rounded to whole channels, at least one.
    """

    method: Literal["random_connect"]
    alpha: Annotated[float, Field(gt=0.0, le=1.0)]

    @property
    def words(self) -> str:
        """What a run says of its weights: those given are of another network."""
        return super().words + ", planted (unrepresentative)"

    def suits(self, shape: Shape) -> bool:
        """Tell whether they are a convolution's."""
        return len(shape) == 4

    def produce(self, weights: Float32Array, activations: Float32Array | None, key: MaskKey) -> MaskedWeights:  # noqa: ARG002
        """Draw the connections of a layer."""
        filters, channels = weights.shape[:2]
        lives = draw_connections(key.generator(), filters, channels, count_kept(self.alpha, channels))
        kernels = lives.reshape(filters, channels, *(1,) * (weights.ndim - 2))
        return self.apply(weights, np.broadcast_to(kernels, weights.shape).copy())


def draw_connections(generator: np.random.Generator, filters: int, channels: int, count: int) -> BoolArray:
    """Draw `count` channels for each filter, ``(M, C)``, among those that are read least."""
    lives = np.zeros((filters, channels), np.bool_)
    reads = np.zeros(channels, np.int64)
    for own in lives:
        # Whole numbers order by reads, what is added to them by draw.
        own[np.argsort(reads + generator.random(channels), kind="stable")[:count]] = True
        reads += own
    return lives
