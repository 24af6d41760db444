"""N:M pruning: of every m neighbours in a row the n largest magnitudes stay, and the others are lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class RowGroups:
    """How many of how many neighbours stay: at most `n` of every `m` from a row's beginning on."""

    n: int
    m: int

    def __str__(self) -> str:
        return f"{self.n}:{self.m}"

    def share_left(self, width: int) -> float:
        """Give the share of a row's elements that may stay; of its last group, which may be short, min(n, length)."""
        whole, rest = divmod(width, self.m)
        return (whole * self.n + min(self.n, rest)) / width


def keep_largest(gradient: NDArray[np.floating[Any]], groups: RowGroups) -> NDArray[np.floating[Any]]:
    """Prune the rows of a gradient ``(..., W)``; of equal magnitudes that with the lower index stays."""
    width = gradient.shape[-1]
    length = -(-width // groups.m) * groups.m
    magnitudes = np.full((gradient.size // width, length), -1, gradient.dtype)
    magnitudes[:, :width] = np.abs(gradient).reshape(-1, width)
    grouped = magnitudes.reshape(len(magnitudes), -1, groups.m)
    # The place of each in the order of its group: how many are larger, or as large and before it.
    places = np.zeros(grouped.shape, np.int8)
    for index in range(groups.m):
        one = grouped[..., index : index + 1]
        places[..., :index] += grouped[..., :index] < one
        places[..., index + 1 :] += grouped[..., index + 1 :] <= one
    stays = (places < groups.n).reshape(len(magnitudes), length)[:, :width].reshape(gradient.shape)
    return np.where(stays, gradient, gradient.dtype.type(0))
