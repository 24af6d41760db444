"""Weight masks by magnitude: the smallest weights of each layer are zero."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from workloads.arrays import Float32Array
from workloads.masks.producer import MaskedWeights, MaskKey, MaskProducer, count_kept


class MagnitudeMask(MaskProducer):
    """Keep a share of each layer's weights, those of the largest magnitude; of equal ones the first.

    Attributes:
        keep: The share, rounded to whole weights, at least one.
    """

    method: Literal["magnitude"]
    keep: Annotated[float, Field(gt=0.0, le=1.0)]

    def produce(self, weights: Float32Array, activations: Float32Array | None, key: MaskKey) -> MaskedWeights:  # noqa: ARG002
        """Rank the weights of a layer by magnitude."""
        count = count_kept(self.keep, weights.size)
        mask = np.zeros(weights.size, np.bool_)
        mask[np.argsort(-np.abs(weights.reshape(-1)), kind="stable")[:count]] = True
        return self.apply(weights, mask.reshape(weights.shape))
