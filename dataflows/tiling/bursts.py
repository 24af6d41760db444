"""Operand bursts: the longest runs of items whose distinct rows fit one half of the operand store.

The kernel runs twice over the same entries: first it counts the bursts of each entry, then it fills them in. Row sizes
of -1 stand for rows that take no part.
"""

from __future__ import annotations

from dataflows.tiling.drivers import add_driver, split_drivers
from workloads.arrays import IntArray
from workloads.kernel import kernel

UNLIMITED_BYTES = 2**62


@kernel
def count_words(size_bytes: int, data_bits: int) -> int:
    """Count the words of a stored row."""
    return -(-size_bytes * 8 // data_bits)


@kernel
def add_segments(
    size: int, half: int, cycles: IntArray, pes: int, burst: int, fills: bool, burst_bytes: IntArray,
    burst_cycles: IntArray,
) -> int:  # fmt: skip
    """Cut an item larger than a half into equal segments, the last one short; return the number of the next burst."""
    segments = -(-size // half)
    share = -(-size // segments)
    for segment in range(segments):
        if fills:
            burst_bytes[burst] = min(share, size - segment * share)
            for pe in range(pes):
                done = cycles[pe] * segment // segments
                burst_cycles[burst, pe] = cycles[pe] * (segment + 1) // segments - done
        burst += 1
    return burst


@kernel
def pack_rows(
    entries: IntArray,
    first_output: IntArray,
    outputs: IntArray,
    low: IntArray,
    high: IntArray,
    outputs_per_group: int,
    driver_bytes: IntArray,
    second_bytes: IntArray,
    cycles: IntArray,
    mask_bytes: IntArray,
    half: int,
    data_bits: int,
    fills: bool,
    counts: IntArray,
    burst_first: IntArray,
    burst_bytes: IntArray,
    burst_cycles: IntArray,
    store_writes: IntArray,
    item_cycles: IntArray,
    run: int,
    drivers: IntArray,
) -> None:
    """Pack the items (o outer, r inner) of entries that work the same driver rows; every row is read by one item.

    PE i of entry e owns output ``first_output[e] + i`` and reduces over ``low[e] <= o < high[e]``.

    Args:
        driver_bytes: ``(groups, depth, R)``.
        second_bytes: ``(outputs, depth, R)``.
        cycles: ``(outputs, depth, R)``.
        store_writes: Words that each entry writes into stores. item_cycles ``(PEs,)`` is room to work in.
        run: A number of these entries, whose driver rows are other ones than those of another run.
        drivers: Of `dataflows.tiling.drivers`; without bursts where they are not told.
    """
    R = driver_bytes.shape[2]
    for number in range(len(entries)):
        entry = entries[number]
        writes = 0
        base, pes = first_output[entry], outputs[entry]
        group = base // outputs_per_group
        burst = burst_first[entry] if fills else 0
        start = burst
        gathered = 0
        is_open = False
        for o in range(low[entry], high[entry]):
            for r in range(R):
                driver = driver_bytes[group, o, r]
                if driver < 0:
                    continue
                size, working = 0, 0
                for pe in range(pes):
                    second = second_bytes[base + pe, o, r]
                    item_cycles[pe] = 0
                    if second >= 0:
                        size += second
                        working += 1
                        writes += count_words(second, data_bits)
                        item_cycles[pe] = cycles[base + pe, o, r]
                if working == 0:
                    continue
                writes += working * count_words(driver, data_bits)
                size += driver
                if is_open and gathered + size > half:
                    is_open = False
                    burst += 1
                place = ((run * driver_bytes.shape[0] + group) * driver_bytes.shape[1] + o) * R + r
                if size > half:
                    if fills and len(drivers):
                        add_driver(drivers, burst, driver, place)
                        split_drivers(drivers, burst, size, -(-size // half))
                    burst = add_segments(size, half, item_cycles, pes, burst, fills, burst_bytes, burst_cycles)
                    continue
                if not is_open:
                    is_open, gathered = True, 0
                gathered += size
                if fills:
                    burst_bytes[burst] = gathered
                    if len(drivers):
                        add_driver(drivers, burst, driver, place)
                    for pe in range(pes):
                        burst_cycles[burst, pe] += item_cycles[pe]
        if is_open:
            burst += 1
        if burst > start:
            writes += count_words(mask_bytes[entry], data_bits)
            if fills:
                burst_bytes[start] += mask_bytes[entry]
        store_writes[entry] = writes
        if not fills:
            counts[entry] = burst
