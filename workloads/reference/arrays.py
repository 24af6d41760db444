"""Array types of the reference, and the one check of shapes that all of its functions share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
# Gives the array to keep in the place of another: the same elements, in memory or elsewhere.
Keep = Callable[[NDArray[Any]], NDArray[Any]]


def keep_in_memory(array: NDArray[Any]) -> NDArray[Any]:
    """Keep an array as it is."""
    return array


def require_shape(tensor: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Refuse an array of another shape.

    Raises:
        ValueError: the shapes differ; the message names the tensor and both shapes.
    """
    if array.shape != shape:
        raise ValueError(f"{tensor} must have shape {shape}, got {array.shape}")
