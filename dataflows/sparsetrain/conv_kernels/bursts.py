"""Bursts of GTW of a convolution, and the cycles of OSRC row operations that they sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dataflows.contract.array import PEArray
from dataflows.rows.cycles import FLOAT32_EXACT, cost_taps, count_partners
from dataflows.tiling.bursts import count_words
from dataflows.tiling.drivers import add_driver, make_drivers, split_drivers
from workloads.arrays import Float32Array, IntArray
from workloads.kernel import kernel
from workloads.operands import Operands
from workloads.shapes import ConvShape

# Cycles of row operations are made for so many filters at a time that they stay below this.
COST_BYTES = 2**25


class KernelCycles:
    """Issue cycles of the OSRC row operations of some filters: float32 whole numbers ``(N, H, R, filters, C / G)``."""

    def __init__(self, operands: Operands, shape: ConvShape, array: PEArray, pairs: IntArray) -> None:
        """Prepare what all filters of a sparse machine share."""
        N, G, Cg, H, P, Q = shape.batch, shape.groups, shape.group_in_channels, shape.in_height, *shape.output_shape[2:]
        self._shape, self._pairs = shape, pairs
        self._drivers = np.ascontiguousarray((operands.grad_output != 0).transpose(0, 2, 1, 3)).astype(np.float32)
        assert self._drivers.shape == (N, P, shape.out_channels, Q)
        costs = cost_taps(count_partners(operands.input != 0, shape), array).cycles
        # Sums of Q small whole numbers stay exact in float32.
        assert Q * int(costs.max(initial=0)) < FLOAT32_EXACT
        grouped = costs.reshape(N, G, Cg, H, Q).transpose(1, 0, 3, 4, 2)
        self._partners = np.ascontiguousarray(grouped, dtype=np.float32)

    def issue(self, filters: range) -> Float32Array:
        """Give the issue cycles of the row operations of filters of one group."""
        shape, U = self._shape, self._shape.stride_height
        size = (shape.batch, shape.in_height, shape.kernel_height, len(filters), shape.group_in_channels)
        issued = np.zeros(size, dtype=np.float32)
        group = filters.start // shape.group_out_channels
        for r in range(shape.kernel_height):
            met = np.flatnonzero(self._pairs[:, r] >= 0)
            if not len(met):
                continue
            rows, p = slice(met[0], met[-1] + 1, U), self._pairs[met[0], r]
            for n in range(shape.batch):
                drivers = self._drivers[n, p : p + len(met), filters.start : filters.stop]
                # BLAS may raise the invalid flag on lanes that it pads; whole numbers cannot.
                with np.errstate(invalid="ignore"):
                    np.matmul(drivers, self._partners[group, n, rows], out=issued[n, rows, r])
        return issued

    def issue_groups(self, filters: range, groups: int) -> Float32Array:
        """Give the issue cycles of filters of a group and of those at their places in the groups behind it.

        Returns:
            ``(N, H, R, filters, groups C / G)``.
        """
        step = self._shape.group_out_channels
        parts = [
            self.issue(range(filters.start + step * group, filters.stop + step * group)) for group in range(groups)
        ]
        return parts[0] if groups == 1 else np.concatenate(parts, axis=4)


@dataclass(eq=False)
class PackedBursts:
    """Bursts of entries in the order in which they were packed; the room grows as it is needed.

    Attributes:
        ends: int64 ``(entries,)``, the number behind each entry's last burst.
        store_writes: Words that each writes.
        drivers: ``(bursts, 2)``, of `dataflows.tiling.drivers`, without their filters; ``(0, 2)`` if they are not told.
    """

    ends: IntArray
    store_writes: IntArray
    size_bytes: IntArray
    cycles: IntArray
    drivers: IntArray

    def grow(self) -> None:
        """Double the room."""
        self.size_bytes = np.concatenate([self.size_bytes, np.zeros_like(self.size_bytes)])
        self.cycles = np.concatenate([self.cycles, np.zeros_like(self.cycles)])
        self.drivers = np.concatenate([self.drivers, np.zeros_like(self.drivers)])


def make_room(entries: int, pes: int, tells_drivers: bool) -> PackedBursts:
    """Make room for the bursts of entries with so many PEs."""
    room = max(64, 16 * entries)
    count = np.zeros(entries, dtype=np.int64)
    sizes, cycles = np.zeros(room, dtype=np.int64), np.zeros((room, pes), dtype=np.int64)
    return PackedBursts(count, count.copy(), sizes, cycles, make_drivers(room, tells_drivers))


class PackingRoom(NamedTuple):
    """Room to work in: what a burst has fetched, by its number, and the input rows of the PEs at one place.

    Attributes:
        fetched: The burst that last fetched each driver row of a packed group, ``(groups, P)``.
        received: The burst that last brought it to each PE, ``(P, PEs)``.
        inputs_fetched: The burst that fetched the input rows of a group's PEs, ``(groups,)``.
        inputs: Their bytes, ``(groups,)``.
        seconds: The bytes of each PE's, -1 where it has no operation, ``(PEs,)``.
    """

    fetched: IntArray
    received: IntArray
    inputs_fetched: IntArray
    inputs: IntArray
    seconds: IntArray


def make_packing_room(groups: int, rows: int, pes: int) -> PackingRoom:
    """Make room for bursts of so many packed groups, driver rows and PEs."""
    sizes = (groups, rows), (rows, pes), (groups,), (groups,), (pes,)
    return PackingRoom(*(np.zeros(size, dtype=np.int64) for size in sizes))


@kernel
def pack_entries(
    first: int,
    end: int,
    filters: IntArray,
    base_filter: int,
    bounds: IntArray,
    run: int,
    group_filters: int,
    group_channels: int,
    pairs: IntArray,
    driver_bytes: IntArray,
    second_bytes: IntArray,
    issued: Float32Array,
    overhead: int,
    half: int,
    data_bits: int,
    ends: IntArray,
    store_writes: IntArray,
    burst_bytes: IntArray,
    burst_cycles: IntArray,
    drivers: IntArray,
    room: PackingRoom,
) -> int:
    """Pack the entries ``first .. end``; give the first for which the room did not suffice, or `end`.

    Args:
        filters: Of each entry.
        base_filter: The one that issued begins with.
        driver_bytes: ``(M, N, P)``, -1 of a row that no operation reads.
    """
    for entry in range(first, end):
        end_burst = ends[entry - 1] if entry else 0
        m = filters[entry]
        end_burst, written = pack_kernels(
            bounds, entry, run, group_filters, group_channels, pairs, driver_bytes, m, second_bytes, issued,
            m - base_filter, overhead, half, data_bits, end_burst, burst_bytes, burst_cycles, drivers, room,
        )  # fmt: skip
        if end_burst < 0:
            return entry
        ends[entry] = end_burst
        store_writes[entry] = written
    return end


@kernel
def gather_bursts(
    kind_of: IntArray,
    ends: IntArray,
    packed_bytes: IntArray,
    packed_cycles: IntArray,
    burst_first: IntArray,
    burst_bytes: IntArray,
    burst_cycles: IntArray,
) -> None:
    """Copy the bursts that were packed for each entry's kind into the entries' order."""
    for entry in range(len(kind_of)):
        kind = kind_of[entry]
        source = ends[kind - 1] if kind else 0
        for number in range(burst_first[entry + 1] - burst_first[entry]):
            burst_bytes[burst_first[entry] + number] = packed_bytes[source + number]
            for pe in range(packed_cycles.shape[1]):
                burst_cycles[burst_first[entry] + number, pe] = packed_cycles[source + number, pe]


@kernel
def pack_kernels(
    bounds: IntArray,
    entry: int,
    run: int,
    group_filters: int,
    group_channels: int,
    pairs: IntArray,
    driver_bytes: IntArray,
    m: int,
    second_bytes: IntArray,
    issued: Float32Array,
    place_of_filter: int,
    overhead: int,
    half: int,
    data_bits: int,
    slot: int,
    burst_bytes: IntArray,
    burst_cycles: IntArray,
    drivers: IntArray,
    room: PackingRoom,
) -> tuple[int, int]:
    """Pack the items (n, h, local channel, r) of a GTW entry; rows are shared within a burst.

    Args:
        bounds: Of each entry, first channel within its group (or block of groups), channels, and the ranges of images,
            of input rows and of kernel rows: PE i owns channels ``first + i run ...``. Channels of further groups,
            which are packed, have the filter at the same place of their group.
        pairs: ``(H, R)``.
        driver_bytes: ``(M, N, P)``, -1 of a row that no operation reads.
        second_bytes: ``(N, channels, H)``, -1 likewise.
        slot: The place of its first burst in the room.

    Returns:
        That behind its last one, -1 if the room does not suffice, and the words written into stores.
    """
    image_low, image_high, row_low, row_high = bounds[entry, 2], bounds[entry, 3], bounds[entry, 4], bounds[entry, 5]
    first, total, r_low, r_high = bounds[entry, 0], bounds[entry, 1], bounds[entry, 6], bounds[entry, 7]
    pes, groups = -(-total // run), -(-total // group_channels)
    share = pes // groups
    writes, gathered, burst = 0, 0, 0
    is_open = False
    for n in range(image_low, image_high):
        room.fetched[:groups] = -1
        room.received[:, :pes] = -1
        for h in range(row_low, row_high):
            for local in range(min(run, total)):
                room.inputs_fetched[:groups] = -1
                room.inputs[:groups] = 0
                for pe in range(pes):
                    channel = pe * run + local
                    room.seconds[pe] = second_bytes[n, first + channel, h] if channel < total else -1
                    room.inputs[pe // share if groups > 1 else 0] += max(0, room.seconds[pe])
                for r in range(r_low, r_high):
                    p = pairs[h, r]
                    if p < 0:
                        continue
                    whole, added = 0, 0
                    for group in range(groups):
                        driver = driver_bytes[m + group * group_filters, n, p]
                        if driver >= 0 and room.inputs[group] > 0:
                            whole += driver + room.inputs[group]
                            added += driver * (room.fetched[group, p] != burst)
                            added += room.inputs[group] * (room.inputs_fetched[group] != burst)
                    if whole == 0:
                        continue
                    if is_open and (whole > half or gathered + added > half):
                        is_open = False
                        slot += 1
                    segments = 1 if whole <= half else -(-whole // half)
                    if slot + segments > len(burst_bytes):
                        return -1, 0
                    if segments > 1:
                        # What is fetched in segments is a burst of its own, and nothing is reused from it.
                        burst += 1
                        for segment in range(segments):
                            part = -(-whole // segments)
                            burst_bytes[slot + segment] = min(part, whole - segment * part)
                            clear_burst(burst_cycles, drivers, slot + segment)
                    else:
                        if not is_open:
                            is_open, gathered, burst, added = True, 0, burst + 1, whole
                            clear_burst(burst_cycles, drivers, slot)
                        gathered += added
                        burst_bytes[slot] = gathered
                    words, worded = 0, -1
                    for pe in range(pes):
                        group = pe // share if groups > 1 else 0
                        driver = driver_bytes[m + group * group_filters, n, p]
                        if driver < 0 or room.seconds[pe] < 0:
                            continue
                        if room.received[p, pe] != burst:
                            room.received[p, pe] = burst
                            if worded != group:
                                words, worded = count_words(driver, data_bits), group
                            writes += words
                        if room.inputs_fetched[group] != burst:
                            writes += count_words(room.seconds[pe], data_bits)
                        cycles = np.int64(issued[n, h, r, place_of_filter, first + pe * run + local]) + overhead
                        if segments == 1:
                            burst_cycles[slot, pe] += cycles
                            continue
                        for segment in range(segments):
                            done = cycles * segment // segments
                            burst_cycles[slot + segment, pe] += cycles * (segment + 1) // segments - done
                    for group in range(groups):
                        driver = driver_bytes[m + group * group_filters, n, p]
                        if driver >= 0 and room.inputs[group] > 0:
                            if len(drivers) and room.fetched[group, p] != burst:
                                place = (group * driver_bytes.shape[1] + n) * driver_bytes.shape[2] + p
                                add_driver(drivers, slot, driver, place)
                            room.fetched[group, p] = burst
                            room.inputs_fetched[group] = burst
                    if segments > 1:
                        if len(drivers):
                            split_drivers(drivers, slot, whole, segments)
                        slot += segments
    if is_open:
        slot += 1
    return slot, writes


@kernel
def clear_burst(burst_cycles: IntArray, drivers: IntArray, burst: int) -> None:
    """Set the cycles of a burst and its drivers to zero."""
    if len(drivers):
        drivers[burst, 0] = drivers[burst, 1] = 0
    for pe in range(burst_cycles.shape[1]):
        burst_cycles[burst, pe] = 0
