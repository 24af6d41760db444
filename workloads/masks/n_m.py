"""N:M masks of weights: of every M neighbours N live."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from workloads.arrays import Float32Array
from workloads.layers import PositiveInt
from workloads.masks.groups import PatternMask
from workloads.masks.producer import MaskedWeights, MaskKey


class NOfMMask(PatternMask):
    """Keep exactly N of every M neighbours, the largest magnitudes; of equal ones the first.

    The last group may be short: of its L values min(N, L) live.

    Attributes:
        along: What neighbours are: the values of a place in the kernel in neighbouring `channel`s, of a `kernel` row
            by row, or of a kernel's `row`; in a fully connected layer neighbouring inputs in any case.
    """

    method: Literal["n_m"]
    n: PositiveInt
    m: PositiveInt
    along: Literal["channel", "kernel", "row"] = "channel"

    @model_validator(mode="after")
    def _keep_some(self) -> Self:
        if self.n > self.m:
            raise ValueError(f"n must be at most m, got {self.n} of {self.m}")
        return self

    def produce(self, weights: Float32Array, activations: Float32Array | None, key: MaskKey) -> MaskedWeights:  # noqa: ARG002
        """Rank the neighbours of each group by magnitude, or by draw."""
        scores = key.generator().random(weights.shape) if self.mode == "plant" else np.abs(weights).astype(np.float64)
        if weights.ndim == 2 or self.along == "row":
            lives = choose_largest(scores, self.n, self.m)
        elif self.along == "kernel":
            lives = choose_largest(scores.reshape(*scores.shape[:2], -1), self.n, self.m).reshape(scores.shape)
        else:
            lives = np.moveaxis(choose_largest(np.moveaxis(scores, 1, -1), self.n, self.m), -1, 1)
        return self.apply(weights, np.ascontiguousarray(lives))


def choose_largest(scores: NDArray[np.float64], n: int, m: int) -> NDArray[np.bool_]:
    """Tell the n largest of every m scores, none of which is negative, from the beginning of the last axis on."""
    width = scores.shape[-1]
    # A group larger than the axis is as large as the axis.
    m = min(m, width)
    # What fills up the last group comes behind all that is there.
    filled = np.full((*scores.shape[:-1], -(-width // m) * m), -1.0)
    filled[..., :width] = scores
    groups = filled.reshape(*scores.shape[:-1], -1, m)
    places = np.argsort(np.argsort(-groups, axis=-1, kind="stable"), axis=-1, kind="stable")
    return (places < n).reshape(filled.shape)[..., :width]
