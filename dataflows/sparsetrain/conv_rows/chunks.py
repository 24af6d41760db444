"""Bursts of Forward and GTA of a convolution: every output of a block works the same driver rows.

Entries that agree in strip, image, result row, group, PEs and part of the reduction cut their items alike: one *kind*
of entry. A *chunk* is a run of items that makes one burst, or one item that is fetched in several segments. Where small
groups are packed, a block's first one stands for all of them, and each brings driver rows of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.entries import sum_spans
from dataflows.sparsetrain.conv_rows.plan import RowsPlan
from dataflows.tiling.bursts import add_segments, count_words
from dataflows.tiling.drivers import add_driver, make_drivers
from workloads.arrays import BoolArray, Float32Array, IntArray
from workloads.kernel import kernel

# Columns of a kind of entry.
STRIP, IMAGE, RESULT_ROW, GROUP, WORKERS, LOW, HIGH = range(7)


@dataclass(frozen=True, eq=False)
class Chunks:
    """The chunks of every kind of entry.

    Attributes:
        first: int64 ``(kinds + 1,)``, the chunks of each kind.
        low: The items of each chunk, o x R + r; items whose kernel row meets no driver row take no part.
        high: The items of each chunk, o x R + r; items whose kernel row meets no driver row take no part.
        count: Those that do.
        size_bytes: Of each chunk.
        segments: Of each chunk.
        store_writes: Of each kind, words written into operand stores, without those of a mask.
    """

    first: IntArray
    low: IntArray
    high: IntArray
    count: IntArray
    size_bytes: IntArray
    segments: IntArray
    store_writes: IntArray

    def span(self, start: int, end: int) -> Chunks:
        """Give the chunks of the kinds ``start .. end`` alone."""
        low, high = self.first[start], self.first[end]
        return Chunks(
            first=self.first[start : end + 1] - low,
            low=self.low[low:high],
            high=self.high[low:high],
            count=self.count[low:high],
            size_bytes=self.size_bytes[low:high],
            segments=self.segments[low:high],
            store_writes=self.store_writes[start:end],
        )

    @property
    def bursts(self) -> IntArray:
        """Bursts of each kind, ``(kinds,)``."""
        return sum_spans(self.segments, self.first)


def cut_chunks(kinds: IntArray, workers: IntArray, plan: RowsPlan, half: int, bits: int) -> Chunks:
    """Cut the items (o outer, r inner) of every kind of entry ``(kinds, 7)`` into chunks.

    Args:
        workers: What the column WORKERS of a kind numbers, the PEs that work for each packed group:
            ``(numbers, packed)``.
        half: Bytes.
    """
    rows = workers, plan.fetched_bytes, plan.pairs, plan.weight_row_bytes
    first = np.zeros(len(kinds) + 1, dtype=np.int64)
    store_writes = np.zeros(len(kinds), dtype=np.int64)
    none = np.zeros((0, 5), dtype=np.int64)
    walk_chunks(kinds, *rows, half, bits, False, first, store_writes, none)
    first = np.append(0, np.cumsum(first[1:]))
    chunks = np.zeros((int(first[-1]), 5), dtype=np.int64)
    walk_chunks(kinds, *rows, half, bits, True, first, store_writes, chunks)
    low, high, count, size_bytes, segments = (np.ascontiguousarray(column) for column in chunks.T)
    return Chunks(first, low, high, count, size_bytes, segments, store_writes)


@kernel
def walk_chunks(
    kinds: IntArray,
    workers: IntArray,
    driver_bytes: IntArray,
    pairs: IntArray,
    weight_row: int,
    half: int,
    data_bits: int,
    fills: bool,
    first: IntArray,
    store_writes: IntArray,
    chunks: IntArray,
) -> None:
    """Count the chunks of every kind into ``first[kind + 1]``, or fill them in.

    Args:
        driver_bytes: What is fetched of each driver row, ``(strips, N, groups, depth, Y)``; -1 where no operation is.
        pairs: Driver row of (result row, kernel row) or -1.
    """
    R, packed = pairs.shape[1], workers.shape[1]
    weight_words = count_words(weight_row, data_bits)
    for kind in range(len(kinds)):
        strip, n, x, group = kinds[kind, STRIP], kinds[kind, IMAGE], kinds[kind, RESULT_ROW], kinds[kind, GROUP]
        number = kinds[kind, WORKERS]
        chunk = first[kind] if fills else 0
        is_open = False
        gathered, low, count, writes = 0, 0, 0, 0
        for o in range(kinds[kind, LOW], kinds[kind, HIGH]):
            for r in range(R):
                if pairs[x, r] < 0:
                    continue
                size = 0
                for member in range(packed):
                    sharing = workers[number, member]
                    if sharing == 0:
                        continue
                    driver = driver_bytes[strip, n, group + member, o, pairs[x, r]]
                    if driver >= 0:
                        size += driver + sharing * weight_row
                        writes += sharing * (weight_words + count_words(driver, data_bits))
                if size == 0:
                    continue
                if is_open and gathered + size > half:
                    if fills:
                        set_chunk(chunks, chunk, low, o * R + r, count, gathered, 1)
                    chunk += 1
                    is_open = False
                if size > half:
                    if fills:
                        set_chunk(chunks, chunk, o * R + r, o * R + r + 1, 1, size, -(-size // half))
                    chunk += 1
                    continue
                if not is_open:
                    is_open, gathered, low, count = True, 0, o * R + r, 0
                gathered += size
                count += 1
        if is_open:
            if fills:
                set_chunk(chunks, chunk, low, kinds[kind, HIGH] * R, count, gathered, 1)
            chunk += 1
        store_writes[kind] = writes
        if not fills:
            first[kind + 1] = chunk


def find_drivers(plan: RowsPlan, kinds: IntArray, workers: IntArray, chunks: Chunks) -> IntArray:
    """Find the driver rows that each chunk fetches, as `dataflows.tiling.drivers` tells them: ``(chunks, 2)``."""
    found = make_drivers(len(chunks.low), is_told=True)
    # Strips fetch the same of a row where that is all of it, or their windows are the same.
    windows = [strip.window if size >= 0 else None for strip, size in zip(plan.strips, plan.windows, strict=True)]
    first_alike = np.array([windows.index(window) for window in windows], dtype=np.int64)
    number_rows(
        kinds, workers, plan.fetched_bytes, plan.pairs, first_alike, chunks.first, chunks.low, chunks.high, found
    )
    return found


@kernel
def number_rows(
    kinds: IntArray,
    workers: IntArray,
    driver_bytes: IntArray,
    pairs: IntArray,
    first_alike: IntArray,
    first: IntArray,
    low: IntArray,
    high: IntArray,
    found: IntArray,
) -> None:
    """Add the driver rows that a working PE reads to those of their chunks.

    Args:
        first_alike: The first strip that fetches the same of a row as each strip.
    """
    R, (_, N, groups, depth, Y) = pairs.shape[1], driver_bytes.shape
    for kind in range(len(kinds)):
        strip, n, x, group = kinds[kind, STRIP], kinds[kind, IMAGE], kinds[kind, RESULT_ROW], kinds[kind, GROUP]
        image = n + N * first_alike[strip]
        for chunk in range(first[kind], first[kind + 1]):
            for item in range(low[chunk], high[chunk]):
                o, row = item // R, pairs[x, item % R]
                if row < 0:
                    continue
                for member in range(workers.shape[1]):
                    if workers[kinds[kind, WORKERS], member] == 0:
                        continue
                    size = driver_bytes[strip, n, group + member, o, row]
                    if size >= 0:
                        add_driver(found, chunk, size, ((image * groups + group + member) * depth + o) * Y + row)


@kernel
def set_chunk(chunks: IntArray, chunk: int, low: int, high: int, count: int, size_bytes: int, segments: int) -> None:
    """Fill in one chunk."""
    chunks[chunk, 0] = low
    chunks[chunk, 1] = high
    chunks[chunk, 2] = count
    chunks[chunk, 3] = size_bytes
    chunks[chunk, 4] = segments


def sum_issues(
    kinds: IntArray, first: IntArray, low: IntArray, high: IntArray, pairs: IntArray, issued: IntArray
) -> IntArray:
    """Sum the issue cycles of the driver rows of each chunk.

    Args:
        issued: ``(N, groups, depth, Y)``.
    """
    sums = np.zeros(len(low), dtype=np.int64)
    add_issues(kinds, first, low, high, pairs, issued, sums)
    return sums


@kernel
def add_issues(
    kinds: IntArray, first: IntArray, low: IntArray, high: IntArray, pairs: IntArray, issued: IntArray, sums: IntArray
) -> None:
    """Add the issue cycles of `sum_issues`."""
    R = pairs.shape[1]
    for kind in range(len(kinds)):
        n, x, group = kinds[kind, IMAGE], kinds[kind, RESULT_ROW], kinds[kind, GROUP]
        for chunk in range(first[kind], first[kind + 1]):
            for item in range(low[chunk], high[chunk]):
                row = pairs[x, item % R]
                if row >= 0:
                    sums[chunk] += issued[n, group, item // R, row]


def sum_drivers(
    kinds: IntArray, first: IntArray, low: IntArray, high: IntArray, pairs: IntArray, present: NDArray[np.bool_]
) -> Float32Array:
    """Count the present driver elements of each chunk by column.

    Args:
        present: ``(N, groups, depth, Y, X)``.

    Returns:
        float32 ``(chunks, X)``, whole numbers.
    """
    sums = np.zeros((len(low), present.shape[4]), dtype=np.float32)
    add_drivers(kinds, first, low, high, pairs, present, sums)
    return sums


@kernel
def add_drivers(
    kinds: IntArray, first: IntArray, low: IntArray, high: IntArray, pairs: IntArray, present: NDArray[np.bool_],
    sums: Float32Array,
) -> None:  # fmt: skip
    """Add the driver elements of `sum_drivers`."""
    R, width = pairs.shape[1], present.shape[4]
    for kind in range(len(kinds)):
        n, x, group = kinds[kind, IMAGE], kinds[kind, RESULT_ROW], kinds[kind, GROUP]
        for chunk in range(first[kind], first[kind + 1]):
            for item in range(low[chunk], high[chunk]):
                row = pairs[x, item % R]
                if row >= 0:
                    for q in range(width):
                        sums[chunk, q] += present[n, group, item // R, row, q]


@kernel
def fill_bursts(
    entries: IntArray,
    kind_of: IntArray,
    output: IntArray,
    pes: IntArray,
    works: BoolArray,
    mask_bytes: IntArray,
    first: IntArray,
    size_bytes: IntArray,
    segments: IntArray,
    half: int,
    cycles: IntArray,
    per_column: int,
    burst_first: IntArray,
    burst_bytes: IntArray,
    burst_cycles: IntArray,
    spent: IntArray,
) -> None:
    """Fill in the bursts of some entries from the chunks of their kinds.

    Args:
        output: The first output of each entry within its group.
        works: PEs that the mask does not hold back, ``(entries, PEs)``; no entries where it holds back none.
        cycles: ``(chunks, columns)``, each of them that of per_column outputs. spent ``(PEs,)`` is room to work in.
    """
    for number in range(len(entries)):
        entry = entries[number]
        kind = kind_of[entry]
        burst = burst_first[entry]
        for chunk in range(first[kind], first[kind + 1]):
            for pe in range(pes[entry]):
                spent[pe] = cycles[chunk, (output[entry] + pe) // per_column]
                if len(works) and not works[entry, pe]:
                    spent[pe] = 0
            if segments[chunk] > 1:
                burst = add_segments(size_bytes[chunk], half, spent, pes[entry], burst, True, burst_bytes, burst_cycles)
                continue
            burst_bytes[burst] = size_bytes[chunk]
            for pe in range(pes[entry]):
                burst_cycles[burst, pe] = spent[pe]
            burst += 1
        if burst_first[entry] < burst:
            burst_bytes[burst_first[entry]] += mask_bytes[entry]
