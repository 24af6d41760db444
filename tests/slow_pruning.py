"""Gradient pruning as it is defined, in numpy, image by image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import BoolArray
from workloads.draws import keyed_generator
from workloads.pruning import Array, PruningKey

UINT64_LAST = 2**64 - 1
GOLDEN_GAMMA = 0x9E3779B97F4A7C15
FIRST_FACTOR, SECOND_FACTOR = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def find_image_key(key: PruningKey, image: int) -> int:
    """Give the counter from which the elements of an image count on."""
    number = image if key.images is None else key.images[image]
    generator = keyed_generator(key.seed, key.layer, "pruning", key.iteration, number)
    return int(generator.integers(UINT64_LAST, dtype=np.uint64, endpoint=True))


def draw_uniforms(image_key: int, elements: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Give the numbers in [0, 1) of an image's elements, which are counted in C order: SplitMix64 at each counter."""
    mixed = elements.astype(np.uint64) + np.uint64(1)
    mixed *= np.uint64(GOLDEN_GAMMA)
    mixed += np.uint64(image_key)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(FIRST_FACTOR)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(SECOND_FACTOR)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def prune_slowly(gradient: Array, tau: float, key: PruningKey) -> Array:
    """Make sign * tau of an element below tau in magnitude with probability magnitude / tau, else 0."""
    pruned = np.ascontiguousarray(gradient).copy()
    for image in range(len(pruned)):
        flat = pruned[image].reshape(-1)
        small = np.flatnonzero((np.abs(flat) < tau) & (flat != 0))
        values = flat[small]
        is_snapped = draw_uniforms(find_image_key(key, image), small) * tau < np.abs(values)
        flat[small] = np.where(is_snapped, np.copysign(tau, values), 0.0)
    return pruned


def sum_slowly(gradient: Array, mask: BoolArray | None) -> tuple[float, int]:
    """Sum the magnitudes where the mask is set, and count them."""
    chosen = gradient if mask is None else gradient[mask]
    return float(np.abs(chosen).sum(dtype=np.float64)), chosen.size
