"""Entries that are alike: what is worked out once for all of them."""

from __future__ import annotations

import math

import numpy as np

from workloads.arrays import IntArray

# Up to so many possible kinds for each entry, flags of those that are there are quicker than sorting.
FLAGS_PER_ENTRY = 8


def find_kinds(columns: list[IntArray]) -> tuple[IntArray, IntArray]:
    """Give the distinct rows of columns ``(kinds, columns)``, in order, and the kind of each row ``(rows,)``."""
    limits = tuple(int(column.max(initial=0)) + 1 for column in columns)
    numbers = np.ravel_multi_index(tuple(columns), limits)
    if math.prod(limits) > FLAGS_PER_ENTRY * len(numbers):
        distinct, kind_of = np.unique(numbers, return_inverse=True)
    else:
        is_there = np.zeros(math.prod(limits), dtype=np.bool_)
        is_there[numbers] = True
        distinct, kind_of = np.flatnonzero(is_there), (np.cumsum(is_there) - 1)[numbers]
    kinds = np.stack(np.unravel_index(distinct, limits), axis=1).astype(np.int64)
    return kinds, kind_of.reshape(-1).astype(np.int64)
