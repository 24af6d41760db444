"""The loops of gradient pruning: magnitudes summed, elements drawn for, nonzeros counted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.kernel import kernel

# SplitMix64, whose state is the counter key + (element + 1) GOLDEN_GAMMA: element n has the generator's n-th output.
# G. L. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figure 16.
GOLDEN_GAMMA = 0x9E3779B97F4A7C15
FIRST_FACTOR, SECOND_FACTOR = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
FRACTION_UNIT = 2.0**-53
COUNTED_RUN = 2**16


@kernel(inlines=True)
def draw_uniform(key: np.uint64, element: np.uint64) -> float:
    """Give the number in [0, 1) of an element: the upper 53 bits of its output."""
    mixed = key + (element + np.uint64(1)) * np.uint64(GOLDEN_GAMMA)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(FIRST_FACTOR)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(SECOND_FACTOR)
    return np.float64((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) * FRACTION_UNIT


@kernel
def prune_elements(
    gradient: NDArray[Any],
    keys: NDArray[np.uint64],
    tau: float,
    limit: Any,
    images: tuple[int, int],
    pruned: NDArray[Any],
) -> tuple[np.int64, np.int64]:
    """Prune images of a gradient, all in one row: below the limit an element becomes the limit, with its sign, or 0.

    What is not zero behind it is counted, and what has the limit's magnitude.

    Args:
        keys: One for each image.
        limit: tau in the gradient's dtype.
        images: The first, and the one behind the last.
    """
    length = np.uint64(len(gradient) // len(keys))
    nonzeros, equal = np.int64(0), np.int64(0)
    for image in range(images[0], images[1]):
        key, first = keys[image], np.uint64(image) * length
        # Without branches, since what is drawn cannot be predicted: all elements are drawn for.
        for i in range(length):
            value = gradient[first + i]
            magnitude = abs(value)
            is_small = (magnitude < limit) & (magnitude != 0)
            is_snapped = draw_uniform(key, np.uint64(i)) * tau < np.float64(magnitude)
            snapped = np.copysign(limit, value) if is_snapped else limit * 0
            pruned[first + i] = snapped if is_small else value
        # While the image is still in a core's cache.
        nonzeros += count_nonzeros(pruned, first, length)
        equal += count_equal(pruned, first, length, limit)
    return nonzeros, equal


@kernel
def add_magnitudes(values: NDArray[Any], mask: NDArray[np.bool_], is_masked: bool, sums: NDArray[np.float64]) -> int:
    """Add magnitudes, where there is a mask where it is set, and count what was added.

    Args:
        sums: Element i of values is added to place i modulo their number.
    """
    lanes, size = np.uint64(len(sums)), np.uint64(len(values))
    count = 0
    for first in range(np.uint64(0), size, lanes):
        if is_masked:
            for i in range(min(lanes, size - first)):
                sums[i] += np.float64(abs(values[first + i])) if mask[first + i] else 0.0
                count += mask[first + i]
        else:
            for i in range(min(lanes, size - first)):
                sums[i] += np.float64(abs(values[first + i]))
    return count if is_masked else len(values)


@kernel
def count_elements(values: NDArray[Any]) -> np.int64:
    """Count what is not zero."""
    return count_nonzeros(values, np.uint64(0), np.uint64(len(values)))


@kernel
def count_nonzeros(values: NDArray[Any], start: np.uint64, size: np.uint64) -> np.int64:
    """Count what is not zero from a place on, in narrow numbers, of which more are added at a time."""
    total, run = np.int64(0), np.uint64(COUNTED_RUN)
    for first in range(np.uint64(0), size, run):
        some = np.int32(0)
        for i in range(min(run, size - first)):
            some += np.int32(values[start + first + i] != 0)
        total += np.int64(some)
    return total


@kernel
def count_equal(values: NDArray[Any], start: np.uint64, size: np.uint64, limit: Any) -> np.int64:
    """Count what has the limit's magnitude from a place on."""
    total, run = np.int64(0), np.uint64(COUNTED_RUN)
    for first in range(np.uint64(0), size, run):
        some = np.int32(0)
        for i in range(min(run, size - first)):
            some += np.int32(abs(values[start + first + i]) == limit)
        total += np.int64(some)
    return total
