"""The PPU's end of GTA: it sums, masks and prunes a gradient row by row, from the threshold that it was given.

It shares no code with the host's pruning; both draw an element's number by SplitMix64, from the same keys.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import Float32Array
from workloads.kernel import freeze, kernel
from workloads.operands import Operands
from workloads.shapes import Step


def write_gradient(sums: Float32Array, operands: Operands, step: Step = Step.GTA) -> Float32Array:
    """Give what the PPU writes of the PEs' sums ``(N, ..., W)``."""
    finish = operands.find_finish(step)
    kept = finish.mask
    rows = np.ascontiguousarray(sums).reshape(-1, sums.shape[-1])
    mask = np.ones((0, 0), dtype=np.bool_) if kept is None else np.ascontiguousarray(kept).reshape(rows.shape)
    shares = np.array([share.reshape(rows.shape) for share in operands.find_summed(step)], dtype=np.float32)
    keys = np.zeros(len(sums), dtype=np.uint64)
    if finish.key is not None:
        keys = finish.key.image_keys(len(sums))
    written = np.empty(rows.shape, dtype=np.float32)
    finish_rows(
        freeze(rows), freeze(mask), freeze(shares.reshape(-1, *rows.shape)), np.float32(finish.tau), keys,
        len(rows) // len(sums), written,
    )  # fmt: skip
    if finish.groups is not None:
        drop_smallest(written, finish.groups.n, finish.groups.m)
    return written.reshape(sums.shape)


@kernel
def finish_rows(
    rows: NDArray[np.float32],
    mask: NDArray[np.bool_],
    shares: NDArray[np.float32],
    tau: np.float32,
    keys: NDArray[np.uint64],
    rows_per_image: int,
    written: NDArray[np.float32],
) -> None:
    """Sum, mask and prune rows ``(N C H, W)``.

    Args:
        mask: None if it has no rows; shares ``(any, N C H, W)`` are added.
        keys: One for each image.
    """
    width = rows.shape[1]
    for row in range(len(rows)):
        counter = np.uint64(row % rows_per_image * width)
        for w in range(width):
            value = rows[row, w]
            for share in range(len(shares)):
                value += shares[share, row, w]
            if len(mask) and not mask[row, w]:
                value = np.float32(0)
            magnitude = abs(value)
            if np.float32(0) < magnitude < tau:
                draw = draw_number(keys[row // rows_per_image], counter + np.uint64(w))
                if draw * np.float64(tau) < np.float64(magnitude):
                    value = tau if value > 0 else -tau
                else:
                    value = np.float32(0)
            written[row, w] = value


@kernel
def drop_smallest(rows: NDArray[np.float32], n: int, m: int) -> None:
    """Leave the `n` largest magnitudes of every `m` neighbours in rows ``(any, W)``, and zeros in the others' places.

    They are found one after the other, each as the first of the largest that are left.
    """
    width = rows.shape[1]
    for row in range(len(rows)):
        for first in range(0, width, m):
            last = min(first + m, width)
            taken = 0
            for _ in range(min(n, last - first)):
                largest = -1
                for w in range(first, last):
                    is_left = not taken >> (w - first) & 1
                    if is_left and (largest < 0 or abs(rows[row, w]) > abs(rows[row, largest])):
                        largest = w
                taken |= 1 << (largest - first)
            for w in range(first, last):
                if not taken >> (w - first) & 1:
                    rows[row, w] = np.float32(0)


@kernel
def draw_number(key: np.uint64, element: np.uint64) -> float:
    """Give the number in [0, 1) of one element: the 53 upper bits of SplitMix64 behind `element` + 1 additions."""
    state = key + (element + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.float64((state ^ (state >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
