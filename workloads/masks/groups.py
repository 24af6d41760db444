"""Masks of whole groups of weights: a group lives or is zero, by its norm or by draw."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from workloads.arrays import BoolArray, Float32Array
from workloads.masks.producer import MaskedWeights, MaskKey, MaskProducer, count_kept

MaskMode = Literal["solve", "plant"]


class PatternMask(MaskProducer):
    """A mask whose pattern follows from the weights that are given, or from the seed alone.

    Attributes:
        mode: `solve`: what is largest lives; `plant`: what is drawn does, whatever the weights are.
    """

    mode: MaskMode = "solve"

    @property
    def words(self) -> str:
        """What a run says of its weights: which of them live in a network, no draw can tell."""
        return super().words + (", planted (unrepresentative)" if self.mode == "plant" else "")


class GroupMask(PatternMask):
    """Keep a share of a layer's groups of weights, those of the largest Euclidean norm; of equal ones the first.

    Attributes:
        keep: The share, rounded to whole groups, at least one.
    """

    keep: Annotated[float, Field(gt=0.0, le=1.0)]

    def produce(self, weights: Float32Array, activations: Float32Array | None, key: MaskKey) -> MaskedWeights:  # noqa: ARG002
        """Rank the groups of a layer by norm, or draw those that live."""
        # Weights of a fully connected layer are kernels of one value.
        kernels = weights.reshape(*weights.shape, *(1,) * (4 - weights.ndim))
        sums = self.sum_groups(np.square(kernels, dtype=np.float64))
        count = count_kept(self.keep, sums.size)
        if self.mode == "plant":
            chosen = key.generator().permutation(sums.size)[:count]
        else:
            chosen = np.argsort(-sums.reshape(-1), kind="stable")[:count]
        lives = np.zeros(sums.size, np.bool_)
        lives[chosen] = True
        return self.apply(weights, self.spread(lives.reshape(sums.shape), kernels.shape).reshape(weights.shape))

    @abstractmethod
    def sum_groups(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum values ``(M, C / G, R, S)`` group by group."""

    @abstractmethod
    def spread(self, lives: BoolArray, shape: tuple[int, ...]) -> BoolArray:
        """Spread what is said of groups, in the order of their sums, over weights of a shape ``(M, C / G, R, S)``."""


class AxisMask(GroupMask):
    """Groups of the weights that have places along some axes in common.

    Attributes:
        common_axes: These axes, of ``(M, C / G, R, S)``.
    """

    common_axes: ClassVar[tuple[int, ...]]

    def sum_groups(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum over all other axes, whose length becomes 1."""
        return np.asarray(values.sum(axis=tuple({0, 1, 2, 3}.difference(self.common_axes)), keepdims=True))

    def spread(self, lives: BoolArray, shape: tuple[int, ...]) -> BoolArray:
        """Repeat along all other axes."""
        spread: NDArray[Any] = np.broadcast_to(lives, shape).copy()
        return spread
