"""How many rows of what a pass reads one row of its result needs: those that a machine has to hold at once.

Rows are counted in the order of storage, from the first that is needed to the last, since they come in that order.
"""

from __future__ import annotations

from math import prod

import numpy as np

from workloads.arrays import IntArray
from workloads.shapes import Shape


def span_channels(channels: int, shape: Shape) -> int:
    """Count the rows from a row of one channel to the same row so many channels on, of a tensor (N, C, ...)."""
    return (channels - 1) * prod(shape[2:-1]) + 1


def count_meeting(first: IntArray, last: IntArray) -> int:
    """Count the most windows that have one element in common; neither first nor last element ever decreases.

    Args:
        first: The first element of each window.
        last: The last.
    """
    places = np.arange(int(last.max()) + 1)
    begun = np.searchsorted(first, places, side="right")
    ended = np.searchsorted(last, places, side="left")
    return int((begun - ended).max())


def span_axis(shape: Shape, axis: int) -> int:
    """Count the rows from the first to the last in which the elements along an axis stand; the last axis is one row."""
    if axis % len(shape) == len(shape) - 1:
        return 1
    return (shape[axis] - 1) * prod(shape[axis + 1 : -1]) + 1
