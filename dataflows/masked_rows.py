"""MSRC cycles on a machine that skips zero weights: a live tap then depends on the kernel row too."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True, parallel=True, nogil=True)  # type: ignore[untyped-decorator]
def sum_masked_rows(
    first: NDArray[np.int64],
    position: NDArray[np.int32],
    allowed: NDArray[np.bool_],
    weight_present: NDArray[np.bool_],
    pairs: NDArray[np.int64],
    out_height: int,
    stride: int,
    pad_width: int,
    multipliers: int,
    empty_issue_cycles: int,
) -> NDArray[np.int64]:
    """Sum issue cycles, live taps and empty issue cycles over the row operations of every grad_input row.

    first, position: compressed rows of grad_output ``(N M P)``; allowed: ``(N, C, H, W)``;
    weight_present: ``(M, C / G, R, S)``; pairs: ``(H, R)``. Returns int64 ``(N, C, H, 3)``.
    """
    N, C, H, W = allowed.shape
    M, group_channels, R, S = weight_present.shape
    group_filters = M // (C // group_channels)
    sums = np.zeros((N, C, H, 3), dtype=np.int64)
    for index in numba.prange(N * C * H):
        n, c, h = index // (C * H), index // H % C, index % H
        group = c // group_channels
        cycles = live_total = empty_total = 0
        for m in range(group * group_filters, (group + 1) * group_filters):
            for r in range(R):
                p = pairs[h, r]
                if p < 0:
                    continue
                row = (n * M + m) * out_height + p
                for element in range(first[row], first[row + 1]):
                    live = 0
                    for s in range(S):
                        w = position[element] * stride + s - pad_width
                        if 0 <= w < W and allowed[n, c, h, w] and weight_present[m, c % group_channels, r, s]:
                            live += 1
                    needed = -(-live // multipliers)
                    issued = max(empty_issue_cycles, needed)
                    cycles += issued
                    live_total += live
                    empty_total += issued - needed
        sums[n, c, h, 0] = cycles
        sums[n, c, h, 1] = live_total
        sums[n, c, h, 2] = empty_total
    return sums


@numba.njit(cache=True, parallel=True, nogil=True)  # type: ignore[untyped-decorator]
def list_masked_rows(
    first: NDArray[np.int64],
    position: NDArray[np.int32],
    allowed: NDArray[np.bool_],
    weight_present: NDArray[np.bool_],
    pairs: NDArray[np.int64],
    out_height: int,
    stride: int,
    pad_width: int,
    multipliers: int,
    empty_issue_cycles: int,
    row_overhead_cycles: int,
) -> NDArray[np.int64]:
    """List the cycles of every row operation of one grad_input row: int64 ``(C, M / G, R)``.

    first, position: compressed rows of one image's grad_output ``(M P)``; allowed: ``(C, W)``; pairs: ``(R,)``.
    """
    C, W = allowed.shape
    M, group_channels, R, S = weight_present.shape
    group_filters = M // (C // group_channels)
    cycles = np.zeros((C, group_filters, R), dtype=np.int64)
    for c in numba.prange(C):
        base = c // group_channels * group_filters
        for local in range(group_filters):
            for r in range(R):
                if pairs[r] < 0:
                    continue
                row = (base + local) * out_height + pairs[r]
                total = row_overhead_cycles
                for element in range(first[row], first[row + 1]):
                    live = 0
                    for s in range(S):
                        w = position[element] * stride + s - pad_width
                        if 0 <= w < W and allowed[c, w] and weight_present[base + local, c % group_channels, r, s]:
                            live += 1
                    total += max(empty_issue_cycles, -(-live // multipliers))
                cycles[c, local, r] = total
    return cycles
