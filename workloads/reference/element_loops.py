"""Loops over elements that would take several passes, each with an array of its own, as expressions of numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.kernel import kernel


@kernel
def multiply_by_flags(values: NDArray[Any], flags: NDArray[np.bool_], zero: Any, product: NDArray[Any]) -> None:
    """Multiply by 1 where a flag is set, else by `zero`, which is of the values' dtype."""
    for i in range(np.uint64(len(values))):
        value = values[i]
        product[i] = value if flags[i] else value * zero


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
