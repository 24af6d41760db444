"""MSRC cycles on a machine that skips zero weights: a live tap then depends on the kernel row too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.array import PEArray
from dataflows.storage.compressed_rows import CompressedRows
from workloads.kernel import freeze, kernel
from workloads.shapes import ConvShape


def list_masked_rows(
    drivers: CompressedRows,
    allowed: NDArray[np.bool_],
    weight_present: NDArray[np.bool_],
    pairs: NDArray[np.int64],
    shape: ConvShape,
    array: PEArray,
    window: range,
) -> NDArray[np.int64]:
    """List issue cycles, live taps and empty issue cycles of the row operations of one grad_input row.

    Args:
        drivers: Rows of one image's grad_output ``(M P)``.
        allowed: ``(C, W)``.
        weight_present: ``(M, C / G, R, S)``.
        pairs: Output row of each kernel row or -1, ``(R,)``.
        window: Of the driver elements that are read.

    Returns:
        int64 ``(C, M / G, R, 3)``.
    """
    rows = np.zeros((shape.in_channels, shape.group_out_channels, shape.kernel_height, 3), dtype=np.int64)
    count_masked_rows(
        freeze(drivers.first), freeze(drivers.position), freeze(allowed), freeze(weight_present), freeze(pairs),
        shape.out_height, shape.stride_width, shape.dilation_width, shape.pad_left,
        array.multipliers_per_pe, array.empty_issue_cycles, window.start, window.stop, rows,
    )  # fmt: skip
    return rows


@kernel
def count_masked_rows(
    first: NDArray[np.int64],
    position: NDArray[np.int32],
    allowed: NDArray[np.bool_],
    weight_present: NDArray[np.bool_],
    pairs: NDArray[np.int64],
    out_height: int,
    stride: int,
    dilation: int,
    pad_left: int,
    multipliers: int,
    empty_issue_cycles: int,
    low: int,
    high: int,
    rows: NDArray[np.int64],
) -> None:
    """Fill in the rows of `list_masked_rows`, zero before."""
    C, W = allowed.shape
    M, group_channels, R, S = weight_present.shape
    group_filters = M // (C // group_channels)
    for c in range(C):
        base = c // group_channels * group_filters
        for local in range(group_filters):
            for r in range(R):
                if pairs[r] < 0:
                    continue
                row = (base + local) * out_height + pairs[r]
                for element in range(first[row], first[row + 1]):
                    if not low <= position[element] < high:
                        continue
                    live = 0
                    for s in range(S):
                        w = position[element] * stride + s * dilation - pad_left
                        if 0 <= w < W and allowed[c, w] and weight_present[base + local, c % group_channels, r, s]:
                            live += 1
                    needed = -(-live // multipliers)
                    issued = max(empty_issue_cycles, needed)
                    rows[c, local, r, 0] += issued
                    rows[c, local, r, 1] += live
                    rows[c, local, r, 2] += issued - needed
