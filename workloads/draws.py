"""Random draws keyed by their place, so that no result depends on the order in which they are made."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import Float32Array
from workloads.draw_kernels import POOL_WORDS, STATE_WORDS, draw_words

LARGEST_INTEGER = 4
WORD_BITS = 32


def keyed_generator(seed: int, *place: str | int) -> np.random.Generator:
    """Make the generator of one place, such as ``(seed, layer, "weight")`` or ``(seed, layer, "dropout", 0, image)``.

    The number of keys is part of the key: numpy takes (1, 2) and (1, 2, 0) for the same seed.
    """
    return np.random.default_rng(_list_keys(seed, place))


def draw_first_words(seed: int, place: tuple[str | int, ...], numbers: Sequence[int]) -> NDArray[np.uint64]:
    """Give the first 64 bits of the generator of ``(seed, *place, number)`` for each number.

    The generator itself takes as long to make as it takes to prune ten thousand elements.
    """
    keys = _list_keys(seed, place)
    keys[0] += 1
    words = np.array([word for key in keys for word in _cut_words(key)], np.uint64)
    drawn = np.empty(len(numbers), np.uint64)
    draw_words(words, np.array(numbers, np.uint64), np.empty(POOL_WORDS + STATE_WORDS, np.uint64), drawn)
    return drawn


def _list_keys(seed: int, place: tuple[str | int, ...]) -> list[int]:
    words = [crc32(key.encode()) if isinstance(key, str) else key for key in place]
    return [len(words), seed, *words]


def _cut_words(key: int) -> list[int]:
    """Cut a key into words as numpy does, the lowest first; 0 is one word."""
    count = max(1, -(-int(key).bit_length() // WORD_BITS))
    return [int(key) >> WORD_BITS * at & 2**WORD_BITS - 1 for at in range(count)]


def draw_sparse(
    generator: np.random.Generator, shape: tuple[int, ...], density: float, *, integers: bool
) -> Float32Array:
    """Draw a float32 tensor whose elements are nonzero with probability `density`."""
    is_nonzero = generator.random(shape) < density
    if integers:
        magnitude = generator.integers(1, LARGEST_INTEGER, size=shape, endpoint=True, dtype=np.int8)
        sign = generator.integers(0, 1, size=shape, endpoint=True, dtype=np.int8) * np.int8(2) - np.int8(1)
        values = (magnitude * sign).astype(np.float32)
    else:
        values = generator.standard_normal(shape, dtype=np.float32)
        # A normal draw of exactly zero is as rare as it would be wrong: the element was chosen to be nonzero.
        values[values == 0] = 1.0
    values[~is_nonzero] = 0.0
    return values
