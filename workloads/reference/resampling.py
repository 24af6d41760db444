"""Resampling of images along both axes: each output is a weighted sum of inputs, rows and columns apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import IntArray
from workloads.reference.arrays import Array

Weights = NDArray[np.floating[Any]]


def resample(input: Array, rows: Weights, columns: Weights) -> Array:
    """Resample ``(N, C, H, W)`` with weights ``(P, H)`` and ``(Q, W)`` to ``(N, C, P, Q)``."""
    output: Array = rows.astype(input.dtype) @ input @ columns.T.astype(input.dtype)
    return output


def spread_back(grad_output: Array, rows: Weights, columns: Weights) -> Array:
    """Give the gradient ``(N, C, H, W)`` from that to the output, with the weights of `resample`."""
    return resample(grad_output, rows.T, columns.T)


def weigh_adaptive(size: int, outputs: int) -> Weights:
    """Give the weights of an adaptive average, ``(outputs, size)``.

    Output i is the mean of the inputs floor(i H / h) to ceil((i + 1) H / h) - 1, as in torch: windows may overlap.
    """
    weights = np.zeros((outputs, size))
    for place in range(outputs):
        first, end = place * size // outputs, -(-(place + 1) * size // outputs)
        weights[place, first:end] = 1 / (end - first)
    return weights


def weigh_nearest(size: int, scale: int) -> Weights:
    """Give the weights of the nearest neighbour, ``(scale size, size)``: each input stands `scale` times."""
    return np.repeat(np.eye(size), scale, axis=0)


def locate_below(size: int, scale: int, align_corners: bool) -> tuple[IntArray, Weights]:
    """Give the input before the place of each output of `weigh_linear`, and the share of the one behind it."""
    outputs = scale * size
    places = np.arange(outputs)
    if align_corners:
        # Whole numbers, for a place that is rounded beside an input would give a share to that one's neighbour too.
        below, rest = np.divmod(places * (size - 1), max(outputs - 1, 1))
        return below, rest / max(outputs - 1, 1)
    below, rest = np.divmod(np.maximum(2 * places + 1 - scale, 0), 2 * scale)
    return below, rest / (2 * scale)


def weigh_linear(size: int, scale: int, align_corners: bool) -> Weights:
    """Give the weights of linear interpolation, ``(scale size, size)``.

    Output i lies at (i + 1/2) / scale - 1/2, not before the first input; with aligned corners at i (H - 1) / (h - 1).
    """
    outputs = scale * size
    below, share = locate_below(size, scale, align_corners)
    above = np.minimum(below + 1, size - 1)
    weights = np.zeros((outputs, size))
    np.add.at(weights, (np.arange(outputs), below), 1 - share)
    np.add.at(weights, (np.arange(outputs), above), share)
    return weights
