"""PPUs in the compiled engine: the part of `ppu`."""

from __future__ import annotations

import numba

from sim.machine.compiled_events import (
    ENDS,
    HAND_OVER,
    PPU,
    PROCESSED,
    READING,
    RESULTS,
    WRITING,
    request_port,
    schedule,
)
from sim.machine.compiled_state import (
    ELEMENTS,
    FINISHED_BY,
    IN_PROCESS,
    IS_ENDED,
    LEFT,
    PPU_BUSY,
    PPU_READ,
    PPU_WRITE,
    STAGE,
    UNLIMITED,
    WAITING,
    Machine,
)
from sim.machine.compiled_tiles import end_tile


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def start_results(m: Machine, group: int, entry: int) -> None:
    """Play the PPU: read what the results need."""
    m.groups[group, IN_PROCESS] = entry
    m.groups[group, STAGE] = READING
    if m.entries[entry, PPU_READ]:
        request_port(m, PPU, group, 0, m.entries[entry, PPU_READ])
    else:
        process_results(m, group)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def process_results(m: Machine, group: int) -> None:
    """Process the elements in the PPU."""
    cycles = 0
    if m.speeds[3] != UNLIMITED:
        cycles = -(-m.entries[m.groups[group, IN_PROCESS], ELEMENTS] // m.speeds[3])
    m.counts[PPU_BUSY] += cycles
    m.groups[group, STAGE] = WRITING
    schedule(m, cycles, ENDS, PROCESSED, group, 0)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def write_results(m: Machine, group: int) -> None:
    """Write the results back."""
    size_bytes = m.entries[m.groups[group, IN_PROCESS], PPU_WRITE]
    if size_bytes:
        request_port(m, PPU, group, 0, size_bytes)
    else:
        finish_results(m, group)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def finish_results(m: Machine, group: int) -> None:
    """Free a place of the PPU, and note that an entry is done."""
    entry, waiting = m.groups[group, IN_PROCESS], m.groups[group, WAITING]
    m.groups[group, IN_PROCESS] = m.groups[group, WAITING] = -1
    if waiting >= 0:
        start_results(m, group, waiting)
    m.entries[entry, FINISHED_BY] = group
    m.counts[LEFT] -= 1
    if m.counts[LEFT] == 0:
        end_tile(m)
    if m.groups[group, IS_ENDED]:
        schedule(m, 0, RESULTS, HAND_OVER, group, 0)
