"""Values of the row operations, multiplication by multiplication on the driver elements.

One driver element meets one tap of all filters (or channels) of its group at once, so the tensor of the second
operand lies with its filters (channels) last. Each output element is summed in float32 in the order of the row
operations; operands in float64 stand for integers in units of the accumulator, and each of their products is rounded to
a whole number. All functions return the row operations and the multiplications they did; the value of a task that was
not executed stays NaN.

Kernels take the fields of `CompressedRows` and of `TapTable` one by one: ``first`` int64 ``(rows + 1,)``, ``position``
int32, ``value`` float32; ``tap_first``, ``tap``, ``partner``. ``pairs`` is `pair_rows`, the output row of input and
kernel row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dataflows.rows.taps import TapTable
from dataflows.storage.compressed_rows import CompressedRows
from workloads.arrays import BoolArray, Float32Array, IntArray
from workloads.kernel import freeze, kernel

LINE_BYTES = 64

# Added to a float64 product and taken away again, it leaves the nearest whole number, of two the even one.
WHOLE = 1.5 * 2.0**52


def find_whole(weight: NDArray[Any]) -> float | None:
    """Give what rounds products to whole numbers in float64, which stands for integers; None in float32."""
    return None if weight.dtype == np.float32 else WHOLE


def make_room(rows: int, columns: int, kind: DTypeLike) -> NDArray[Any]:
    """Make room to work in that begins where a line of the processor's cache does; what it holds is undefined."""
    size_bytes = rows * columns * np.dtype(kind).itemsize
    room = np.empty(size_bytes + LINE_BYTES, dtype=np.uint8)
    start = -room.ctypes.data % LINE_BYTES
    return room[start : start + size_bytes].view(kind).reshape(rows, columns)


def freeze_drivers(drivers: CompressedRows) -> tuple[IntArray, NDArray[np.int32], Float32Array]:
    """Give the fields of compressed rows as kernels take them."""
    return freeze(drivers.first), freeze(drivers.position), freeze(drivers.value)


def freeze_taps(taps: TapTable) -> tuple[IntArray, IntArray, IntArray]:
    """Give the fields of a table of taps as kernels take them."""
    return freeze(taps.first), freeze(taps.tap), freeze(taps.partner)


def convolve_src_rows(
    drivers: CompressedRows,
    weight: Float32Array,
    wanted: BoolArray,
    skips_weights: bool,
    pairs: IntArray,
    taps: TapTable,
    out_width: int,
    mask: BoolArray | None = None,
) -> tuple[Float32Array, int, int]:
    """SRC: convolve input rows ``(N C H)`` with kernel rows of weight ``(C, R, S, M / G)``.

    Args:
        wanted: Outputs of executed tasks, ``(N, P, M)``.
        mask: Of the outputs, ``(N, P, Q, M)``, zero outside it.

    Returns:
        Output ``(N, P, Q, M)`` and the two counts.
    """
    N, P, M = wanted.shape
    output = np.full((N, P, out_width, M), np.nan, dtype=weight.dtype)
    sums = make_room(out_width, weight.shape[3], weight.dtype)
    row_ops, products = add_src_rows(
        *freeze_drivers(drivers), freeze(weight), freeze(wanted), skips_weights, freeze(pairs),
        *freeze_taps(taps), freeze(np.ones((0, 0, 0, 0), dtype=np.bool_) if mask is None else mask),
        find_whole(weight), sums, output,
    )  # fmt: skip
    return output, row_ops, products


@kernel
def add_src_rows(
    first: IntArray,
    position: NDArray[np.int32],
    value: Float32Array,
    weight: Float32Array,
    wanted: BoolArray,
    skips_weights: bool,
    pairs: IntArray,
    tap_first: IntArray,
    tap: IntArray,
    partner: IntArray,
    mask: BoolArray,
    whole: float | None,
    sums: Float32Array,
    output: Float32Array,
) -> tuple[int, int]:
    """Fill in the wanted outputs of `convolve_src_rows`; sums ``(Q, M / G)`` is room to work in.

    Args:
        mask: None if it has no rows.
        whole: Of `find_whole`.
    """
    N, P, M = wanted.shape
    C, R, _, group_filters = weight.shape
    H, out_width = pairs.shape[0], sums.shape[0]
    group_channels = C // (M // group_filters)
    row_ops, multiplications = 0, 0
    for index in range(N * P):
        n, p = index // P, index % P
        for group in range(M // group_filters):
            low = group * group_filters
            flags = wanted[n, p, low : low + group_filters]
            filters = 0
            for m in range(group_filters):
                filters += flags[m]
            if filters == 0:
                continue
            for q in range(out_width):
                for m in range(group_filters):
                    sums[q, m] = 0
            done = 0
            for c in range(group * group_channels, (group + 1) * group_channels):
                for r in range(R):
                    for h in range(H):
                        if pairs[h, r] != p:
                            continue
                        row_ops += filters
                        row = (n * C + c) * H + h
                        for element in range(first[row], first[row + 1]):
                            w = position[element]
                            x = value[element]
                            for entry in range(tap_first[w], tap_first[w + 1]):
                                s, q = tap[entry], partner[entry]
                                if whole is None:
                                    for m in range(group_filters):
                                        sums[q, m] += x * weight[c, r, s, m]
                                else:
                                    for m in range(group_filters):
                                        sums[q, m] += (x * weight[c, r, s, m] + whole) - whole
                                if len(mask):
                                    for m in range(group_filters):
                                        is_live = flags[m] and mask[n, p, q, low + m]
                                        done += is_live and not (skips_weights and weight[c, r, s, m] == 0)
                                elif skips_weights:
                                    for m in range(group_filters):
                                        done += flags[m] and weight[c, r, s, m] != 0
                                else:
                                    done += filters
            multiplications += done
            for q in range(out_width):
                for m in range(group_filters):
                    if flags[m]:
                        output[n, p, q, low + m] = sums[q, m]
                        if len(mask) and not mask[n, p, q, low + m]:
                            output[n, p, q, low + m] = 0
    return row_ops, multiplications


def convolve_msrc_rows(
    drivers: CompressedRows,
    weight: Float32Array,
    mask: BoolArray,
    wanted: BoolArray,
    skips_weights: bool,
    pairs: IntArray,
    taps: TapTable,
) -> tuple[Float32Array, int, int]:
    """MSRC: spread grad_output rows ``(N M P)`` over kernel rows of weight ``(M, R, S, C / G)``, where mask is set.

    Args:
        mask: ``(N, H, W, C)``.
        wanted: Outputs of executed tasks, ``(N, H, C)``.

    Returns:
        grad_input ``(N, H, W, C)``, zero where the mask is not set, and the two counts.
    """
    W, group_channels = mask.shape[2], weight.shape[3]
    output = np.full(mask.shape, np.nan, dtype=weight.dtype)
    sums, live = make_room(W, group_channels, weight.dtype), make_room(W, group_channels, np.bool_)
    row_ops, products = add_msrc_rows(
        *freeze_drivers(drivers), freeze(weight), freeze(mask), freeze(wanted), skips_weights,
        freeze(pairs), *freeze_taps(taps), find_whole(weight), sums, live, np.zeros(W, dtype=np.int64), output,
    )  # fmt: skip
    return output, row_ops, products


@kernel
def add_msrc_rows(
    first: IntArray,
    position: NDArray[np.int32],
    value: Float32Array,
    weight: Float32Array,
    mask: BoolArray,
    wanted: BoolArray,
    skips_weights: bool,
    pairs: IntArray,
    tap_first: IntArray,
    tap: IntArray,
    partner: IntArray,
    whole: float | None,
    sums: Float32Array,
    live: BoolArray,
    counts: IntArray,
    output: Float32Array,
) -> tuple[int, int]:
    """Fill in the wanted outputs of `convolve_msrc_rows`.

    sums and live ``(W, C / G)`` and counts ``(W,)`` are room to work in, whole is of `find_whole`.
    """
    N, H, W, C = mask.shape
    M, R, _, group_channels = weight.shape
    group_filters = M // (C // group_channels)
    P = (len(first) - 1) // (N * M)
    row_ops, multiplications = 0, 0
    for index in range(N * H):
        n, h = index // H, index % H
        for group in range(C // group_channels):
            low = group * group_channels
            flags = wanted[n, h, low : low + group_channels]
            channels = 0
            for c in range(group_channels):
                channels += flags[c]
            if channels == 0:
                continue
            for w in range(W):
                allowed = mask[n, h, w, low : low + group_channels]
                count = 0
                for c in range(group_channels):
                    live[w, c] = flags[c] & allowed[c]
                for c in range(group_channels):
                    count += live[w, c]
                counts[w] = count
                for c in range(group_channels):
                    sums[w, c] = 0
            done = 0
            for m in range(group * group_filters, (group + 1) * group_filters):
                for r in range(R):
                    p = pairs[h, r]
                    if p < 0:
                        continue
                    row_ops += channels
                    row = (n * M + m) * P + p
                    for element in range(first[row], first[row + 1]):
                        q = position[element]
                        x = value[element]
                        for entry in range(tap_first[q], tap_first[q + 1]):
                            s, w = tap[entry], partner[entry]
                            if whole is None:
                                for c in range(group_channels):
                                    sums[w, c] += x * weight[m, r, s, c]
                            else:
                                for c in range(group_channels):
                                    sums[w, c] += (x * weight[m, r, s, c] + whole) - whole
                            if skips_weights:
                                for c in range(group_channels):
                                    done += live[w, c] and weight[m, r, s, c] != 0
                            else:
                                done += counts[w]
            multiplications += done
            for w in range(W):
                for c in range(group_channels):
                    if live[w, c]:
                        output[n, h, w, low + c] = sums[w, c]
                    elif flags[c]:
                        output[n, h, w, low + c] = 0
    return row_ops, multiplications


def correlate_osrc_rows(
    drivers: CompressedRows,
    activation: Float32Array,
    present: BoolArray,
    wanted: BoolArray,
    pairs: IntArray,
    taps: TapTable,
    kernel_width: int,
) -> tuple[Float32Array, int, int]:
    """OSRC: correlate grad_output rows ``(N M P)`` with rows of activation ``(N, H, W, C)``.

    Args:
        present: Elements of activation that are multiplied, its shape.
        wanted: Kernels of executed tasks, ``(M, C / G)``.

    Returns:
        grad_weight ``(M, R, S, C / G)`` and the two counts.
    """
    (N, H, W, C), (M, group_channels), R = activation.shape, wanted.shape, pairs.shape[1]
    output = np.full((M, R, kernel_width, group_channels), np.nan, dtype=activation.dtype)
    # Elements that are multiplied in all columns before w: without dilation, taps of one driver element are neighbours.
    totals = np.zeros((N, H, W + 1, C // group_channels), dtype=np.int64)
    sums = make_room(R, kernel_width * group_channels, activation.dtype)
    count_present(freeze(present), totals)
    row_ops, products = add_osrc_rows(
        *freeze_drivers(drivers), freeze(activation.reshape(N, H, W * C)), freeze(present),
        freeze(wanted), freeze(pairs), *freeze_taps(taps), totals, find_whole(activation), sums, output,
    )  # fmt: skip
    return output, row_ops, products


@kernel
def count_present(present: BoolArray, totals: IntArray) -> None:
    """Fill in running counts of present elements ``(N, H, W, C)`` along W, group by group."""
    N, H, W, C = present.shape
    groups = totals.shape[3]
    group_channels = C // groups
    for n in range(N):
        for h in range(H):
            for w in range(W):
                for group in range(groups):
                    running = totals[n, h, w, group]
                    for c in range(group * group_channels, (group + 1) * group_channels):
                        running += present[n, h, w, c]
                    totals[n, h, w + 1, group] = running


@kernel
def add_osrc_rows(
    first: IntArray,
    position: NDArray[np.int32],
    value: Float32Array,
    flat: Float32Array,
    present: BoolArray,
    wanted: BoolArray,
    pairs: IntArray,
    tap_first: IntArray,
    tap: IntArray,
    partner: IntArray,
    totals: IntArray,
    whole: float | None,
    sums: Float32Array,
    output: Float32Array,
) -> tuple[int, int]:
    """Fill in the wanted kernels of `correlate_osrc_rows`.

    Args:
        flat: Activation ``(N, H, W C)``.
        totals: Running counts of `present`; sums ``(R, S C / G)`` is room to work in.
        whole: Of `find_whole`.
    """
    N, H, _, C = present.shape
    M, group_channels = wanted.shape
    R, kernel_width, groups = pairs.shape[1], output.shape[2], totals.shape[3]
    P = (len(first) - 1) // (N * M)
    row_ops, multiplications = 0, 0
    for m in range(M):
        channels = 0
        for c in range(group_channels):
            channels += wanted[m, c]
        if channels == 0:
            continue
        group = m // (M // groups)
        low = group * group_channels
        for r in range(R):
            for column in range(kernel_width * group_channels):
                sums[r, column] = 0
        for n in range(N):
            for h in range(H):
                for r in range(R):
                    p = pairs[h, r]
                    if p < 0:
                        continue
                    row_ops += channels
                    row = (n * M + m) * P + p
                    for element in range(first[row], first[row + 1]):
                        q = position[element]
                        x = value[element]
                        taps = tap_first[q + 1] - tap_first[q]
                        if taps == 0:
                            continue
                        s0, w0 = tap[tap_first[q]], partner[tap_first[q]]
                        distance = partner[tap_first[q] + 1] - w0 if taps > 1 else 1
                        # Without dilation taps are neighbours, and where all channels are of one group their columns
                        # are too.
                        spans, width = (1, taps * C) if groups == distance == 1 else (taps, group_channels)
                        for span in range(spans):
                            # Views, whose indices begin at 0: others may be negative, and the loop is no vector's.
                            start = (w0 + span * distance) * C + low
                            near = flat[n, h, start : start + width]
                            total = sums[r, (s0 + span) * group_channels : (s0 + span) * group_channels + width]
                            if whole is None:
                                for index in range(width):
                                    total[index] += x * near[index]
                            else:
                                for index in range(width):
                                    total[index] += (x * near[index] + whole) - whole
                        if channels == group_channels:
                            runs = 1 if distance == 1 else taps
                            for run in range(runs):
                                first_w = w0 + run * distance
                                multiplications += totals[n, h, first_w + taps // runs, group]
                                multiplications -= totals[n, h, first_w, group]
                            continue
                        for entry in range(taps):
                            for c in range(group_channels):
                                multiplications += wanted[m, c] and present[n, h, w0 + entry * distance, low + c]
        for r in range(R):
            for s in range(kernel_width):
                for c in range(group_channels):
                    if wanted[m, c]:
                        output[m, r, s, c] = sums[r, s * group_channels + c]
    return row_ops, multiplications
