"""Random draws keyed by their place, so that no result depends on the order in which they are made."""

from __future__ import annotations

from zlib import crc32

import numpy as np

from workloads.arrays import Float32Array

LARGEST_INTEGER = 4


def keyed_generator(seed: int, *place: str | int) -> np.random.Generator:
    """Make the generator of one place, such as ``(seed, layer, "weight")`` or ``(seed, layer, "dropout", 0, image)``.

    The number of keys is part of the key: numpy takes (1, 2) and (1, 2, 0) for the same seed.
    """
    words = [crc32(key.encode()) if isinstance(key, str) else key for key in place]
    return np.random.default_rng([len(words), seed, *words])


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
