"""The taps that a driver element meets, from the geometry alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.shapes import ConvShape, Step


@dataclass(frozen=True, eq=False)
class TapTable:
    """In-range taps of every position of a driver row.

    Attributes:
        first: int64 ``(positions + 1,)``; the taps of position x are ``first[x]:first[x + 1]`` of tap (int64, the
            kernel column s) and partner (int64: the output column q in Forward, else the input column w).
    """

    first: NDArray[np.int64]
    tap: NDArray[np.int64]
    partner: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """In-range taps of each position, int64 ``(positions,)``."""
        return np.diff(self.first)

    def incidence(self, kernel_width: int) -> NDArray[np.bool_]:
        """Tell which taps a position meets, bool ``(positions, S)``."""
        table = np.zeros((len(self.first) - 1, kernel_width), dtype=np.bool_)
        table[np.repeat(np.arange(len(self.first) - 1), self.counts), self.tap] = True
        return table


def tabulate_taps(shape: ConvShape, step: Step) -> TapTable:
    """List the in-range taps of a driver row: of an input row in Forward, of a grad_output row in GTA and GTW."""
    S, W, Q = shape.kernel_width, shape.in_width, shape.out_width
    U, D, left = shape.stride_width, shape.dilation_width, shape.pad_left
    if step is Step.FORWARD:
        w, s = np.meshgrid(np.arange(W), np.arange(S), indexing="ij")
        distance = w + left - s * D
        live = (distance >= 0) & (distance % U == 0) & (distance // U < Q)
        partner = distance // U
    else:
        q, s = np.meshgrid(np.arange(Q), np.arange(S), indexing="ij")
        partner = q * U + s * D - left
        live = (partner >= 0) & (partner < W)
    first = np.concatenate([[0], np.cumsum(live.sum(axis=1))]).astype(np.int64)
    return TapTable(first, np.nonzero(live)[1].astype(np.int64), partner[live].astype(np.int64))


def pair_rows(shape: ConvShape) -> NDArray[np.int64]:
    """Give the output row p that meets input row h through kernel row r, or -1: int64 ``(H, R)``."""
    h = np.arange(shape.in_height)[:, None]
    distance = h + shape.pad_top - np.arange(shape.kernel_height)[None, :] * shape.dilation_height
    p = distance // shape.stride_height
    met = (distance >= 0) & (distance % shape.stride_height == 0) & (p < shape.out_height)
    return np.where(met, p, -1).astype(np.int64)
