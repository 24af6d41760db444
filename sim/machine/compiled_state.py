"""What the compiled engine works on: integer arrays that hold every unit of the machine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataflows.memory import Traffic
from sim.machine.ledger import State

IntArray = NDArray[np.int64]
Speeds = tuple[int | None, int | None, int, int | None, bool]

UNLIMITED = -1

# Counters of the whole machine.
(
    NOW,
    EVENTS,
    HEAP,
    QUEUE,
    FREE_PORTS,
    IS_DEALING,
    IS_GRANTING,
    NEXT_ENTRY,
    END_ENTRY,
    WORKING,
    LEFT,
    WAITING_SINCE,
    DRAM_FREE_AT,
    PORTS_BUSY,
    DRAM_BUSY,
    PPU_BUSY,
    TILE,
    IS_IN_TILE,
    WRITTEN_BACK,
    READ_BYTES,
    WRITE_BYTES,
    OFFERS,
    COUNTERS,
) = range(23)

# Columns of a group. Its present and following entries and those in its PPU are -1 where there is none; BASE and
# NEXT_BASE number the first bursts of the former two in the group's sequence; HERE is a flag for each half.
(
    PRESENT,
    FOLLOWING,
    BASE,
    NEXT_BASE,
    TAKEN,
    REQUESTED,
    ENDED,
    ARRIVED,
    STARTED,
    IS_ENDED,
    IS_OFFERED,
    IN_PROCESS,
    WAITING,
    STAGE,
    UNTIL,
    HERE,
    _,
    GROUP_COLUMNS,
) = range(18)

# Columns of an entry and of a tile; both tables have a last row that only says where the one before ends.
FIRST_BURST, PES, PPU_READ, ELEMENTS, PPU_WRITE, FINISHED_BY, ENTRY_COLUMNS = range(7)
FIRST_ENTRY, LOAD_BYTES, WRITE_BACK_BYTES, IS_LOADED, TILE_COLUMNS = range(5)


class Machine(NamedTuple):
    """Everything the loop works on; all int64.

    speeds: bytes a port moves in a cycle, DRAM bytes a cycle, DRAM latency, elements a PPU processes in a cycle (-1 is
    unlimited), look-ahead. ready: when each PE of a group has ended the burst before, ``(groups, PEs)``. spent: each
    group's ledger, ``(groups, states)``. heap: events by time and phase. queue: port requests in order.
    """

    speeds: IntArray
    counts: IntArray
    heap: IntArray
    queue: IntArray
    groups: IntArray
    ready: IntArray
    spent: IntArray
    entries: IntArray
    tiles: IntArray
    burst_bytes: IntArray
    burst_cycles: IntArray


def make_machine(traffic: Traffic, groups: int, ports: int | None, speeds: Speeds) -> Machine:
    """Lay out the machine at cycle 0. speeds: as in `Machine`; None is unlimited."""
    tiles, entries, pes = len(traffic.tile_load_bytes), len(traffic.pes), traffic.burst_cycles.shape[1]
    counts = np.zeros(COUNTERS, dtype=np.int64)
    counts[FREE_PORTS] = UNLIMITED if ports is None else ports
    group_table = np.zeros((groups, GROUP_COLUMNS), dtype=np.int64)
    group_table[:, [PRESENT, FOLLOWING, IN_PROCESS, WAITING]] = -1
    entry_table = np.zeros((entries + 1, ENTRY_COLUMNS), dtype=np.int64)
    entry_table[:, FIRST_BURST] = traffic.burst_first
    entry_table[:, FINISHED_BY] = -1
    for column, values in (
        (PES, traffic.pes),
        (PPU_READ, traffic.ppu_read_bytes),
        (ELEMENTS, traffic.ppu_elements),
        (PPU_WRITE, traffic.ppu_write_bytes),
    ):
        entry_table[:-1, column] = values
    tile_table = np.zeros((tiles + 1, TILE_COLUMNS), dtype=np.int64)
    tile_table[:, FIRST_ENTRY] = traffic.tile_first
    tile_table[:-1, LOAD_BYTES] = traffic.tile_load_bytes
    tile_table[:-1, WRITE_BACK_BYTES] = traffic.tile_write_back_bytes
    return Machine(
        speeds=np.array([UNLIMITED if speed is None else int(speed) for speed in speeds], dtype=np.int64),
        counts=counts,
        # More events and requests than can be under way at once: some for each group, two transfers for each tile.
        heap=np.zeros((16 * groups + 2 * tiles + 64, 3), dtype=np.int64),
        queue=np.zeros((4 * groups + 8, 3), dtype=np.int64),
        groups=group_table,
        ready=np.zeros((groups, max(1, pes)), dtype=np.int64),
        spent=np.zeros((groups, len(State)), dtype=np.int64),
        entries=entry_table,
        tiles=tile_table,
        burst_bytes=np.ascontiguousarray(traffic.burst_bytes, dtype=np.int64),
        burst_cycles=np.ascontiguousarray(traffic.burst_cycles, dtype=np.int64),
    )
