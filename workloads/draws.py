"""Random draws keyed by their place, so that no result depends on the order in which they are made."""

from __future__ import annotations

from zlib import crc32

import numpy as np


def keyed_generator(seed: int, *place: str | int) -> np.random.Generator:
    """Make the generator of one place, such as ``(seed, layer, "weight")`` or ``(seed, layer, "dropout", 0, image)``.

    The number of keys is part of the key: numpy takes (1, 2) and (1, 2, 0) for the same seed.
    """
    words = [crc32(key.encode()) if isinstance(key, str) else key for key in place]
    return np.random.default_rng([len(words), seed, *words])
