"""Weight masks by block: rectangles of the weight matrix, whose rows are the filters."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import BoolArray
from workloads.layers import PositiveInt
from workloads.masks.groups import GroupMask


class BlockMask(GroupMask):
    """Keep a share of the blocks of the matrix ``(M, C / G * R * S)``; those at its last edges may be smaller.

    Attributes:
        rows: Filters of a block.
        columns: Weights of each of them, neighbours in the order of channels, kernel rows, columns.
    """

    method: Literal["block"]
    rows: PositiveInt
    columns: PositiveInt

    def sum_groups(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum the matrix block by block."""
        matrix = values.reshape(len(values), -1)
        starts = [np.arange(0, size, step) for size, step in zip(matrix.shape, (self.rows, self.columns), strict=True)]
        sums: NDArray[np.float64] = np.add.reduceat(np.add.reduceat(matrix, starts[0], axis=0), starts[1], axis=1)
        return sums

    def spread(self, lives: BoolArray, shape: tuple[int, ...]) -> BoolArray:
        """Repeat along both axes of the matrix, and cut at its edges."""
        filters, width = shape[0], int(np.prod(shape[1:]))
        # A block may be declared larger than any matrix.
        tall = lives.repeat(min(self.rows, filters), axis=0)[:filters]
        return tall.repeat(min(self.columns, width), axis=1)[:, :width].reshape(shape)
