"""Which rows meet in a convolution step, and which of its tensors' axes play which part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataflows.rows.taps import pair_rows
from workloads.arrays import IntArray
from workloads.shapes import ConvShape, Step


@dataclass(frozen=True, eq=False)
class RowsGeometry:
    """Forward or GTA as one pattern: result rows x, each a sum over driver channels of driver rows y.

    Attributes:
        depth: Driver and result channels of a group of the convolution.
        outputs: Driver and result channels of a group of the convolution.
        pairs: The driver row that meets result row x through kernel row r, or -1, ``(X, R)``.
    """

    depth: int
    outputs: int
    driver_width: int
    result_width: int
    pairs: IntArray


def describe_rows(shape: ConvShape, step: Step) -> RowsGeometry:
    """Describe Forward, which input rows drive, or GTA, which rows of grad_output drive."""
    pairs = pair_rows(shape)
    if step is Step.GTA:
        return RowsGeometry(
            shape.group_out_channels, shape.group_in_channels, shape.out_width, shape.in_width, pairs
        )  # fmt: skip
    assert step is Step.FORWARD
    turned = np.full((shape.out_height, shape.kernel_height), -1, dtype=np.int64)
    h, r = np.nonzero(pairs >= 0)
    turned[pairs[h, r], r] = h
    return RowsGeometry(shape.group_in_channels, shape.group_out_channels, shape.in_width, shape.out_width, turned)
