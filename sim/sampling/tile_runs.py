"""Tiles executed each by itself, and what is measured of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataflows.memory import Traffic
from sim.machine.ledger import State
from sim.machine.surroundings import Surroundings
from sim.machine.tile_timing import describe_work, time_tiles
from sim.sampling.measures import Measure

IntArray = NDArray[np.int64]


def measure_tiles(traffic: Traffic, groups: int, surroundings: Surroundings) -> IntArray:
    """Execute every tile on a machine of its own and measure it: int64 ``(tiles, measures)``."""
    tiles = len(traffic.tile_load_bytes)
    measured = np.zeros((tiles, len(Measure)), dtype=np.int64)
    work = describe_work(traffic, surroundings)
    timings, _ = time_tiles(traffic.tile_first, work, groups, surroundings)
    until, spent = timings.until, timings.spent
    attributed = np.maximum(until, timings.working[:, None])
    measured[:, Measure.DURATION] = timings.cycles
    measured[:, Measure.LOAD_BYTES] = traffic.tile_load_bytes
    measured[:, Measure.WRITE_BACK_BYTES] = traffic.tile_write_back_bytes
    measured[:, Measure.BUSY] = spent[:, :, State.BUSY].sum(axis=1)
    measured[:, Measure.WAIT_OPERANDS] = spent[:, :, State.WAIT_OPERANDS].sum(axis=1)
    measured[:, Measure.WAIT_PPU] = spent[:, :, State.WAIT_PPU].sum(axis=1)
    measured[:, Measure.IDLE] = spent[:, :, State.IDLE].sum(axis=1) + (attributed - until).sum(axis=1)
    measured[:, Measure.ATTRIBUTED] = attributed.sum(axis=1)
    measured[:, Measure.EVENTS] = timings.events

    burst_ends, entries, width = (
        traffic.burst_first[traffic.tile_first],
        traffic.tile_first,
        traffic_width(surroundings),
    )

    def add(values: IntArray, ends: IntArray) -> IntArray:
        running = np.append(0, np.cumsum(values))
        return np.asarray(running[ends[1:]] - running[ends[:-1]], dtype=np.int64)

    fetched, read = add(np.maximum(work.fetch_cycles, 0), burst_ends), add(np.maximum(work.read_cycles, 0), entries)
    written = add(np.maximum(work.write_cycles, 0), entries)
    measured[:, Measure.PORTS_BUSY] = fetched + read + written
    measured[:, Measure.PPU_BUSY] = add(work.process_cycles, entries)
    measured[:, Measure.PE_CYCLES] = add(traffic.burst_cycles.sum(axis=1), burst_ends)
    measured[:, Measure.STORE_WRITES] = add(traffic.store_writes, entries)
    measured[:, Measure.PPU_ELEMENTS] = add(traffic.ppu_elements, entries)
    measured[:, Measure.READ_BYTES] = add(traffic.burst_bytes, burst_ends) + add(traffic.ppu_read_bytes, entries)
    measured[:, Measure.WRITTEN_BYTES] = add(traffic.ppu_write_bytes, entries)
    # A port moves the width of its bank in a cycle, so cycles of a port are accesses.
    measured[:, Measure.READ_ACCESSES] = fetched + read + -(-traffic.tile_write_back_bytes // width)
    measured[:, Measure.WRITE_ACCESSES] = written + -(-traffic.tile_load_bytes // width)
    return measured


def traffic_width(surroundings: Surroundings) -> int:
    """Give the bytes of one access of the buffer; where they are unlimited, none is priced."""
    return surroundings.bytes_per_port_cycle or 1
