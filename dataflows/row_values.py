"""Values of the row operations, multiplication by multiplication on the driver elements.

One driver element meets one tap of all filters (or channels) of its group at once, so the tensor of the second
operand lies with its filters (channels) last. Each output element is summed in float32 in the order of the row
operations. All kernels return the row operations and
the multiplications they did; the value of a task that was not executed stays NaN.

Rows of drivers come compressed: ``first`` int64 ``(rows + 1,)``, ``position`` int32 and ``value`` float32.
``tap_first``, ``tap``, ``partner`` are a `TapTable`; ``pairs`` is `pair_rows`, the output row of input and kernel row.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def convolve_src_rows(
    first: IntArray,
    position: NDArray[np.int32],
    value: FloatArray,
    weight: FloatArray,
    wanted: BoolArray,
    skips_weights: bool,
    pairs: IntArray,
    tap_first: IntArray,
    tap: IntArray,
    partner: IntArray,
    out_width: int,
) -> tuple[FloatArray, int, int]:
    """SRC: convolve input rows ``(N C H)`` with kernel rows of weight ``(C, R, S, M / G)``.

    wanted: outputs of executed tasks, ``(N, P, M)``. Returns output ``(N, P, Q, M)`` and the two counts.
    """
    N, P, M = wanted.shape
    C, R, _, group_filters = weight.shape
    H = pairs.shape[0]
    group_channels = C // (M // group_filters)
    output = np.full((N, P, out_width, M), np.nan, dtype=np.float32)
    row_ops = np.zeros(N * P, dtype=np.int64)
    multiplications = np.zeros(N * P, dtype=np.int64)
    for index in range(N * P):
        n, p = index // P, index % P
        for group in range(M // group_filters):
            low = group * group_filters
            flags = wanted[n, p, low : low + group_filters]
            filters = flags.sum()
            if filters == 0:
                continue
            sums = np.zeros((out_width, group_filters), dtype=np.float32)
            done = 0
            for c in range(group * group_channels, (group + 1) * group_channels):
                for r in range(R):
                    for h in range(H):
                        if pairs[h, r] != p:
                            continue
                        row_ops[index] += filters
                        row = (n * C + c) * H + h
                        for element in range(first[row], first[row + 1]):
                            w = position[element]
                            x = value[element]
                            for entry in range(tap_first[w], tap_first[w + 1]):
                                s, q = tap[entry], partner[entry]
                                for m in range(group_filters):
                                    sums[q, m] += x * weight[c, r, s, m]
                                if skips_weights:
                                    for m in range(group_filters):
                                        done += flags[m] and weight[c, r, s, m] != 0
                                else:
                                    done += filters
            multiplications[index] += done
            for q in range(out_width):
                for m in range(group_filters):
                    if flags[m]:
                        output[n, p, q, low + m] = sums[q, m]
    return output, row_ops.sum(), multiplications.sum()


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def convolve_msrc_rows(
    first: IntArray,
    position: NDArray[np.int32],
    value: FloatArray,
    weight: FloatArray,
    mask: BoolArray,
    wanted: BoolArray,
    skips_weights: bool,
    pairs: IntArray,
    tap_first: IntArray,
    tap: IntArray,
    partner: IntArray,
) -> tuple[FloatArray, int, int]:
    """MSRC: spread grad_output rows ``(N M P)`` over kernel rows of weight ``(M, R, S, C / G)``, where mask is set.

    mask: ``(N, H, W, C)``; wanted: outputs of executed tasks, ``(N, H, C)``.
    Returns grad_input ``(N, H, W, C)``, zero where the mask is not set, and the two counts.
    """
    N, H, W, C = mask.shape
    M, R, _, group_channels = weight.shape
    group_filters = M // (C // group_channels)
    P = (len(first) - 1) // (N * M)
    output = np.full((N, H, W, C), np.nan, dtype=np.float32)
    row_ops = np.zeros(N * H, dtype=np.int64)
    multiplications = np.zeros(N * H, dtype=np.int64)
    for index in range(N * H):
        n, h = index // H, index % H
        for group in range(C // group_channels):
            low = group * group_channels
            flags = wanted[n, h, low : low + group_channels]
            channels = flags.sum()
            if channels == 0:
                continue
            sums = np.zeros((W, group_channels), dtype=np.float32)
            live = np.zeros((W, group_channels), dtype=np.bool_)
            counts = np.zeros(W, dtype=np.int64)
            for w in range(W):
                for c in range(group_channels):
                    live[w, c] = flags[c] and mask[n, h, w, low + c]
                counts[w] = live[w].sum()
            done = 0
            for m in range(group * group_filters, (group + 1) * group_filters):
                for r in range(R):
                    p = pairs[h, r]
                    if p < 0:
                        continue
                    row_ops[index] += channels
                    row = (n * M + m) * P + p
                    for element in range(first[row], first[row + 1]):
                        q = position[element]
                        x = value[element]
                        for entry in range(tap_first[q], tap_first[q + 1]):
                            s, w = tap[entry], partner[entry]
                            for c in range(group_channels):
                                sums[w, c] += x * weight[m, r, s, c]
                            if skips_weights:
                                for c in range(group_channels):
                                    done += live[w, c] and weight[m, r, s, c] != 0
                            else:
                                done += counts[w]
            multiplications[index] += done
            for w in range(W):
                for c in range(group_channels):
                    if live[w, c]:
                        output[n, h, w, low + c] = sums[w, c]
                    elif flags[c]:
                        output[n, h, w, low + c] = 0.0
    return output, row_ops.sum(), multiplications.sum()


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def correlate_osrc_rows(
    first: IntArray,
    position: NDArray[np.int32],
    value: FloatArray,
    activation: FloatArray,
    present: BoolArray,
    wanted: BoolArray,
    pairs: IntArray,
    tap_first: IntArray,
    tap: IntArray,
    partner: IntArray,
    kernel_width: int,
) -> tuple[FloatArray, int, int]:
    """OSRC: correlate grad_output rows ``(N M P)`` with rows of activation ``(N, H, W, C)``.

    present: elements of activation that are multiplied, its shape; wanted: kernels of executed tasks, ``(M, C / G)``.
    Returns grad_weight ``(M, R, S, C / G)`` and the two counts.
    """
    N, H, W, C = activation.shape
    M, group_channels = wanted.shape
    R = pairs.shape[1]
    groups = C // group_channels
    group_filters = M // groups
    P = (len(first) - 1) // (N * M)
    # Elements that are multiplied in all columns before w: taps of one driver element are neighbours in a row.
    totals = np.zeros((N, H, W + 1, groups), dtype=np.int64)
    for n in range(N):
        for h in range(H):
            for w in range(W):
                for group in range(groups):
                    found = present[n, h, w, group * group_channels : (group + 1) * group_channels].sum()
                    totals[n, h, w + 1, group] = totals[n, h, w, group] + found
    flat = activation.reshape(N, H, W * C)
    output = np.full((M, R, kernel_width, group_channels), np.nan, dtype=np.float32)
    row_ops = np.zeros(M, dtype=np.int64)
    multiplications = np.zeros(M, dtype=np.int64)
    for m in range(M):
        flags = wanted[m]
        channels = flags.sum()
        if channels == 0:
            continue
        group = m // group_filters
        low = group * group_channels
        sums = np.zeros((R, kernel_width, group_channels), dtype=np.float32)
        flat_sums = sums.reshape(R, kernel_width * group_channels)
        done = 0
        for n in range(N):
            for h in range(H):
                for r in range(R):
                    p = pairs[h, r]
                    if p < 0:
                        continue
                    row_ops[m] += channels
                    row = (n * M + m) * P + p
                    for element in range(first[row], first[row + 1]):
                        q = position[element]
                        x = value[element]
                        taps = tap_first[q + 1] - tap_first[q]
                        if taps == 0:
                            continue
                        s0, w0 = tap[tap_first[q]], partner[tap_first[q]]
                        # Taps are neighbours, and where all channels are of one group their columns are too.
                        spans, width = (1, taps * C) if groups == 1 else (taps, group_channels)
                        for span in range(spans):
                            near = flat[n, h, (w0 + span) * C + low : (w0 + span) * C + low + width]
                            total = flat_sums[r, (s0 + span) * group_channels : (s0 + span) * group_channels + width]
                            for index in range(width):
                                total[index] += x * near[index]
                        if channels == group_channels:
                            done += totals[n, h, w0 + taps, group] - totals[n, h, w0, group]
                            continue
                        for entry in range(taps):
                            for c in range(group_channels):
                                done += flags[c] and present[n, h, w0 + entry, low + c]
        multiplications[m] = done
        for r in range(R):
            for s in range(kernel_width):
                for c in range(group_channels):
                    if flags[c]:
                        output[m, r, s, c] = sums[r, s, c]
    return output, row_ops.sum(), multiplications.sum()
