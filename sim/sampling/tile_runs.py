"""Tiles executed each by itself, and what is measured of them."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from dataflows.memory import Traffic
from sim.machine.accelerator import Surroundings
from sim.machine.clock import DeadlockError
from sim.machine.compiled import run_events
from sim.machine.compiled_state import EVENTS, NOW, UNTIL, WAITING_SINCE, make_machine
from sim.machine.ledger import State
from sim.sampling.measures import Measure

IntArray = NDArray[np.int64]


def measure_tiles(traffic: Traffic, groups: int, surroundings: Surroundings) -> IntArray:
    """Execute every tile on a machine of its own and measure it: int64 ``(tiles, measures)``."""
    tiles = len(traffic.tile_load_bytes)
    measured = np.zeros((tiles, len(Measure)), dtype=np.int64)
    cycles, working, until, spent, events = time_tiles(traffic, groups, surroundings)
    attributed = np.maximum(until, working[:, None])
    measured[:, Measure.DURATION] = cycles
    measured[:, Measure.LOAD_BYTES] = traffic.tile_load_bytes
    measured[:, Measure.WRITE_BACK_BYTES] = traffic.tile_write_back_bytes
    measured[:, Measure.BUSY] = spent[:, :, State.BUSY].sum(axis=1)
    measured[:, Measure.WAIT_OPERANDS] = spent[:, :, State.WAIT_OPERANDS].sum(axis=1)
    measured[:, Measure.WAIT_PPU] = spent[:, :, State.WAIT_PPU].sum(axis=1)
    measured[:, Measure.IDLE] = spent[:, :, State.IDLE].sum(axis=1) + (attributed - until).sum(axis=1)
    measured[:, Measure.ATTRIBUTED] = attributed.sum(axis=1)
    measured[:, Measure.EVENTS] = events

    burst_ends = traffic.burst_first[traffic.tile_first]
    entries, width = traffic.tile_first, surroundings.bytes_per_port_cycle

    def add(values: IntArray, ends: IntArray) -> IntArray:
        running = np.append(0, np.cumsum(values))
        return np.asarray(running[ends[1:]] - running[ends[:-1]], dtype=np.int64)

    def access(sizes: IntArray) -> IntArray:
        return np.zeros_like(sizes) if width is None else -(-sizes // width)

    fetched, read = add(access(traffic.burst_bytes), burst_ends), add(access(traffic.ppu_read_bytes), entries)
    written = add(access(traffic.ppu_write_bytes), entries)
    measured[:, Measure.PORTS_BUSY] = fetched + read + written
    rate = surroundings.elements_per_cycle
    if rate is not None:
        measured[:, Measure.PPU_BUSY] = add(-(-traffic.ppu_elements // rate), entries)
    measured[:, Measure.PE_CYCLES] = add(traffic.burst_cycles.sum(axis=1), burst_ends)
    measured[:, Measure.STORE_WRITES] = add(traffic.store_writes, entries)
    measured[:, Measure.PPU_ELEMENTS] = add(traffic.ppu_elements, entries)
    measured[:, Measure.READ_BYTES] = add(traffic.burst_bytes, burst_ends) + add(traffic.ppu_read_bytes, entries)
    measured[:, Measure.WRITTEN_BYTES] = add(traffic.ppu_write_bytes, entries)
    measured[:, Measure.READ_ACCESSES] = fetched + read + access(traffic.tile_write_back_bytes)
    measured[:, Measure.WRITE_ACCESSES] = written + access(traffic.tile_load_bytes)
    return measured


def time_tiles(
    traffic: Traffic, groups: int, surroundings: Surroundings
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
    """Execute every tile from a machine at rest: cycles, end of the last task, ledgers' ends, ledgers, events."""
    tiles = len(traffic.tile_load_bytes)
    cycles, working, events = (np.zeros(tiles, dtype=np.int64) for _ in range(3))
    until, spent = np.zeros((tiles, groups), dtype=np.int64), np.zeros((tiles, groups, len(State)), dtype=np.int64)
    none = np.zeros(1, dtype=np.int64)
    speeds = (
        surroundings.bytes_per_port_cycle, surroundings.dram_bytes_per_cycle, surroundings.dram_latency_cycles,
        surroundings.elements_per_cycle, surroundings.prefetches_next_task,
    )  # fmt: skip
    for tile in range(tiles):
        first, end = (int(place) for place in traffic.tile_first[tile : tile + 2])
        bursts = slice(int(traffic.burst_first[first]), int(traffic.burst_first[end]))
        alone = dataclasses.replace(
            traffic,
            tile_first=np.array([0, end - first]), tile_load_bytes=none, tile_write_back_bytes=none,
            burst_first=traffic.burst_first[first : end + 1] - bursts.start,
            burst_bytes=traffic.burst_bytes[bursts], burst_cycles=traffic.burst_cycles[bursts],
            pes=traffic.pes[first:end], ppu_read_bytes=traffic.ppu_read_bytes[first:end],
            ppu_elements=traffic.ppu_elements[first:end], ppu_write_bytes=traffic.ppu_write_bytes[first:end],
        )  # fmt: skip
        machine = make_machine(alone, groups, surroundings.ports, speeds)
        if not run_events(machine):
            raise DeadlockError(f"deadlock at cycle {machine.counts[NOW]} of a tile: work is left")
        cycles[tile], working[tile] = machine.counts[NOW], machine.counts[WAITING_SINCE]
        until[tile], spent[tile], events[tile] = machine.groups[:, UNTIL], machine.spent, machine.counts[EVENTS] - 2
    return cycles, working, until, spent, events
