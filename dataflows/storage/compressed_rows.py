"""Rows as the machine reads them: nonzeros only, or every element on a dense machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class CompressedRows:
    """Driver rows, one after the other.

    The elements of row i are ``first[i]:first[i + 1]`` of position (int32) and value (float32).
    """

    first: NDArray[np.int64]
    position: NDArray[np.int32]
    value: NDArray[np.float32]


def compress_rows(tensor: NDArray[np.float32], *, keeps_zeros: bool = False) -> CompressedRows:
    """Compress along the last axis; rows in C order of the other axes."""
    rows = tensor.reshape(-1, tensor.shape[-1])
    present = np.ones(rows.shape, dtype=np.bool_) if keeps_zeros else rows != 0
    first = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(present.sum(axis=1), out=first[1:])
    position = np.nonzero(present)[1].astype(np.int32)
    return CompressedRows(first, position, np.ascontiguousarray(rows[present]))
