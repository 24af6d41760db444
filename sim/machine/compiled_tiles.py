"""DRAM and the control of tiles in the compiled engine: the parts of `dram`, `controller` and `accelerator`."""

from __future__ import annotations

import numba

from sim.machine.compiled_events import (
    DEAL,
    ENDS,
    IDLE,
    LOAD_END,
    TASKS,
    WAIT_DRAM,
    WRITE_BACK_END,
    attribute,
    schedule,
)
from sim.machine.compiled_state import (
    DRAM_BUSY,
    DRAM_FREE_AT,
    END_ENTRY,
    FIRST_ENTRY,
    IS_DEALING,
    IS_IN_TILE,
    IS_LOADED,
    LEFT,
    LOAD_BYTES,
    NEXT_ENTRY,
    NOW,
    OFFERS,
    READ_BYTES,
    TILE,
    UNLIMITED,
    UNTIL,
    WAITING_SINCE,
    WORKING,
    WRITE_BACK_BYTES,
    WRITE_BYTES,
    Machine,
)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def transfer(m: Machine, size_bytes: int, kind: int, tile: int) -> None:
    """Play the DRAM channel."""
    now = m.counts[NOW]
    if size_bytes == 0:
        schedule(m, 0, ENDS, kind, tile, 0)
        return
    cycles = 0 if m.speeds[1] == UNLIMITED else -(-size_bytes // m.speeds[1])
    m.counts[DRAM_FREE_AT] = max(now + m.speeds[2], m.counts[DRAM_FREE_AT]) + cycles
    m.counts[DRAM_BUSY] += cycles
    m.counts[READ_BYTES if kind == LOAD_END else WRITE_BYTES] += size_bytes
    schedule(m, m.counts[DRAM_FREE_AT] - now, ENDS, kind, tile, 0)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def plan_deal(m: Machine) -> None:
    """Play the controller: deal at this border if a group waits and an entry is left."""
    if not m.counts[IS_DEALING] and m.counts[NEXT_ENTRY] < m.counts[END_ENTRY] and m.counts[OFFERS]:
        m.counts[IS_DEALING] = 1
        schedule(m, 0, TASKS, DEAL, 0, 0)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def start_tiles(m: Machine) -> None:
    """Play the control of tiles: start the next tile if its load has ended; tiles without entries end at once."""
    tiles = len(m.tiles) - 1
    while not m.counts[IS_IN_TILE] and m.counts[TILE] < tiles and m.tiles[m.counts[TILE], IS_LOADED]:
        first, end = m.tiles[m.counts[TILE], FIRST_ENTRY], m.tiles[m.counts[TILE] + 1, FIRST_ENTRY]
        for group in range(len(m.groups)):
            attribute(m, group, IDLE, max(m.groups[group, UNTIL], m.counts[WAITING_SINCE]))
            attribute(m, group, WAIT_DRAM, m.counts[NOW])
        m.counts[IS_IN_TILE] = 1
        m.counts[WORKING] = m.counts[LEFT] = end - first
        if end > first:
            m.counts[NEXT_ENTRY] = first
            m.counts[END_ENTRY] = end
            plan_deal(m)
        else:
            leave_tile(m)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def leave_tile(m: Machine) -> None:
    """Queue a tile's write-back, then the load that it makes room for."""
    tile = m.counts[TILE]
    m.counts[IS_IN_TILE] = 0
    m.counts[TILE] += 1
    transfer(m, m.tiles[tile, WRITE_BACK_BYTES], WRITE_BACK_END, tile)
    if tile + 2 < len(m.tiles) - 1:
        transfer(m, m.tiles[tile + 2, LOAD_BYTES], LOAD_END, tile + 2)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def end_tile(m: Machine) -> None:
    """End the present tile and start the next one if it can be."""
    leave_tile(m)
    start_tiles(m)
