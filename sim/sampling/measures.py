"""What is measured of a drawn tile, and what follows for its step."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from sim.machine.recurrence import UNLIMITED, compose_tiles
from sim.machine.surroundings import Surroundings
from sim.sampling.deck import Deck
from workloads.arrays import Float64Array, IntArray


class Measure(IntEnum):
    """What is measured of a tile that is worked by itself; all but the first add up over the tiles of a step.

    IDLE: group-cycles without a task before the last task of the tile has ended. ATTRIBUTED: group-cycles up to that
    end. The bytes and accesses of bursts, of what the PPU reads and writes, of the load and of the write-back, and what
    these two would move besides, did nothing stay in the buffer; what several groups receive of one access counts once
    there, and SHARED_BYTES are those of the further ones. PIECES: of rows that are cut, those
    that a PE works on, counted where a machine passes over empty ones.
    """

    DURATION = 0
    LOAD_BYTES = 1
    WRITE_BACK_BYTES = 2
    BUSY = 3
    WAIT_OPERANDS = 4
    WAIT_PPU = 5
    IDLE = 6
    ATTRIBUTED = 7
    PORTS_BUSY = 8
    PPU_BUSY = 9
    EVENTS = 10
    PE_CYCLES = 11
    STORE_WRITES = 12
    PPU_ELEMENTS = 13
    READ_BYTES = 14
    WRITTEN_BYTES = 15
    READ_ACCESSES = 16
    WRITE_ACCESSES = 17
    SHARED_BYTES = 18
    KEPT_LOAD_BYTES = 19
    KEPT_RESULT_BYTES = 20
    PIECES = 21


@dataclass(frozen=True, slots=True)
class TileOrder:
    """How the table ``(clusters, places)`` of a step's tiles lies in their order.

    Attributes:
        runs: Number of runs along each axis, task indices before reduction indices.
        image_axis: The axis of the clusters.
    """

    runs: tuple[int, ...]
    image_axis: int

    def arrange(self, table: IntArray) -> IntArray:
        """Give a table's entries in the order of the tiles, ``(tiles,)``."""
        others = [size for axis, size in enumerate(self.runs) if axis != self.image_axis]
        cube = table.reshape(self.runs[self.image_axis], *others)
        return np.ascontiguousarray(np.moveaxis(cube, 0, self.image_axis)).reshape(-1)

    def number(self, clusters: IntArray, places: IntArray) -> IntArray:
        """Give the numbers, in their order, of tiles of the table."""
        others = tuple(size for axis, size in enumerate(self.runs) if axis != self.image_axis)
        indices = list(np.unravel_index(places, others)) if others else []
        indices.insert(self.image_axis, clusters)
        return np.asarray(np.ravel_multi_index(tuple(indices), self.runs), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class StepTimes:
    """The times of a step made of its tiles: its cycles, the start of its last tile, the cycles of DRAM transfers."""

    cycles: int
    last_start: int
    dram_busy_cycles: int
    last_tile: int


def time_deck(deck: Deck, measured: IntArray, order: TileOrder, surroundings: Surroundings) -> StepTimes:
    """Time a step whose tiles are a deck of measured ones, int64 ``(drawn, measures)``.

    Durations and bytes are scaled, by little, so that their sums are those that the weights give.
    """
    donors = order.arrange(deck.donors)
    columns = []
    for measure in (Measure.DURATION, Measure.LOAD_BYTES, Measure.WRITE_BACK_BYTES):
        values = measured[donors, measure]
        dealt, wanted = int(values.sum()), float(deck.weights @ measured[:, measure])
        if dealt and dealt != wanted:
            values = np.rint(values * (wanted / dealt)).astype(np.int64)
        columns.append(values)
    width = surroundings.dram_bytes_per_cycle
    durations, loads, write_backs = columns
    cycles, last_start, busy = compose_tiles(
        durations, loads, write_backs, UNLIMITED if width is None else width, surroundings.dram_latency_cycles
    )
    return StepTimes(cycles, last_start, busy, int(donors[-1]))


def sum_measures(deck: Deck, measured: IntArray) -> Float64Array:
    """Estimate the sums of all measures over the tiles of a step, ``(measures,)``."""
    sums: Float64Array = deck.weights @ measured.astype(np.float64)
    return sums
