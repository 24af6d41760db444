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
) -> None:
    """Prune images of a gradient, all in one row: below the limit an element becomes the limit, with its sign, or 0.

    Args:
        keys: One for each image.
        limit: tau in the gradient's dtype.
        images: The first, and the one behind the last.
    """
    length = np.uint64(len(gradient) // len(keys))
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
def count_elements(values: NDArray[Any], limit: Any) -> tuple[int, int]:
    """Count what is not zero, and what has the limit's magnitude."""
    nonzeros, equal = 0, 0
    for i in range(np.uint64(len(values))):
        nonzeros += values[i] != 0
        equal += abs(values[i]) == limit
    return nonzeros, equal
