"""Loops over elements that would take several passes, each with an array of its own, as expressions of numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.kernel import kernel


@kernel
def multiply_between(
    values: NDArray[Any], places: NDArray[Any], ceiling: float, zero: Any, product: NDArray[Any]
) -> None:
    """Multiply by 1 where the number at the same place is above 0 and below the ceiling, else by `zero`."""
    if np.isinf(ceiling):
        for i in range(np.uint64(len(values))):
            value = values[i]
            product[i] = value if places[i] > 0 else value * zero
    else:
        for i in range(np.uint64(len(values))):
            value, place = values[i], places[i]
            product[i] = value if (place > 0) & (place < ceiling) else value * zero


@kernel
def multiply_by_mask(
    values: NDArray[Any],
    places: NDArray[Any],
    ceiling: float,
    zero: Any,
    mask: NDArray[np.bool_],
    product: NDArray[Any],
) -> None:
    """Multiply by 1 where the number at the same place is not 0, and below the ceiling, else by `zero`; tell where."""
    if np.isinf(ceiling):
        for i in range(np.uint64(len(values))):
            value, flag = values[i], places[i] != 0
            mask[i], product[i] = flag, value if flag else value * zero
    else:
        for i in range(np.uint64(len(values))):
            value, place = values[i], places[i]
            flag = (place != 0) & (place < ceiling)
            mask[i], product[i] = flag, value if flag else value * zero
