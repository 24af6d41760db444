"""PE groups in the compiled engine: the parts of `pe_group`, and of `controller` that deals tasks to them."""

from __future__ import annotations

import numba
import numpy as np

from sim.machine.compiled_events import (
    BURST_END,
    BUSY,
    ENDS,
    HAND_OVER,
    IDLE,
    LAST_BURST_END,
    OFFER,
    OPERANDS,
    RESULTS,
    WAIT_OPERANDS,
    WAIT_PPU,
    attribute,
    request_port,
    schedule,
)
from sim.machine.compiled_results import start_results
from sim.machine.compiled_state import (
    ARRIVED,
    BASE,
    ENDED,
    FIRST_BURST,
    FOLLOWING,
    HERE,
    IN_PROCESS,
    IS_DEALING,
    IS_ENDED,
    IS_OFFERED,
    NEXT_BASE,
    NEXT_ENTRY,
    NOW,
    OFFERS,
    PES,
    PRESENT,
    REQUESTED,
    STARTED,
    TAKEN,
    UNTIL,
    WAITING,
    WAITING_SINCE,
    WORKING,
    Machine,
)
from sim.machine.compiled_tiles import plan_deal


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def deal(m: Machine) -> None:
    """Hand the next entry to the lowest group that may take one."""
    m.counts[IS_DEALING] = 0
    group = 0
    while not m.groups[group, IS_OFFERED]:
        group += 1
    entry = m.counts[NEXT_ENTRY]
    m.counts[NEXT_ENTRY] += 1
    m.groups[group, IS_OFFERED] = 0
    m.counts[OFFERS] -= 1
    first = m.groups[group, TAKEN]
    m.groups[group, TAKEN] += m.entries[entry + 1, FIRST_BURST] - m.entries[entry, FIRST_BURST]
    if m.groups[group, PRESENT] < 0:
        m.groups[group, BASE] = first
        begin_task(m, group, entry)
    else:
        m.groups[group, FOLLOWING] = entry
        m.groups[group, NEXT_BASE] = first
    request_bursts(m, group)
    plan_deal(m)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def offer(m: Machine, group: int) -> None:
    """Note that a group may take a task."""
    if not m.groups[group, IS_OFFERED]:
        m.groups[group, IS_OFFERED] = 1
        m.counts[OFFERS] += 1
        plan_deal(m)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def begin_task(m: Machine, group: int, entry: int) -> None:
    """Make an entry the present task of a group."""
    now = m.counts[NOW]
    attribute(m, group, IDLE, now)
    m.groups[group, PRESENT] = entry
    m.groups[group, IS_ENDED] = 0
    m.groups[group, STARTED] = 0
    m.ready[group] = now
    if m.entries[entry + 1, FIRST_BURST] == m.entries[entry, FIRST_BURST]:
        end_task(m, group)
    work(m, group)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def find_burst(m: Machine, group: int, number: int) -> int:
    """Give the burst that has this number in a group's sequence."""
    if m.groups[group, FOLLOWING] >= 0 and number >= m.groups[group, NEXT_BASE]:
        return int(m.entries[m.groups[group, FOLLOWING], FIRST_BURST] + number - m.groups[group, NEXT_BASE])
    return int(m.entries[m.groups[group, PRESENT], FIRST_BURST] + number - m.groups[group, BASE])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def request_bursts(m: Machine, group: int) -> None:
    """Request every next burst whose half is free."""
    while m.groups[group, REQUESTED] < min(m.groups[group, TAKEN], m.groups[group, ENDED] + 2):
        number = m.groups[group, REQUESTED]
        m.groups[group, REQUESTED] += 1
        size_bytes = m.burst_bytes[find_burst(m, group, number)]
        if size_bytes:
            request_port(m, OPERANDS, group, number, size_bytes)
        else:
            arrive(m, group, number)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def arrive(m: Machine, group: int, number: int) -> None:
    """Note that a burst is here; PEs take bursts in their order."""
    m.groups[group, HERE + number % 2] = 1
    while m.groups[group, HERE + m.groups[group, ARRIVED] % 2]:
        m.groups[group, HERE + m.groups[group, ARRIVED] % 2] = 0
        m.groups[group, ARRIVED] += 1
    work(m, group)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def work(m: Machine, group: int) -> None:
    """Put the PEs of the present task on the bursts that are here."""
    entry, now = m.groups[group, PRESENT], m.counts[NOW]
    if entry < 0:
        return
    bursts = m.entries[entry + 1, FIRST_BURST] - m.entries[entry, FIRST_BURST]
    pes = m.entries[entry, PES]
    while m.groups[group, STARTED] < min(bursts, m.groups[group, ARRIVED] - m.groups[group, BASE]):
        burst = m.entries[entry, FIRST_BURST] + m.groups[group, STARTED]
        m.groups[group, STARTED] += 1
        first_start, last_end = np.int64(2**62), np.int64(0)
        for pe in range(pes):
            first_start = min(first_start, max(now, m.ready[group, pe]))
        # PEs in the order of their starts, so that only the gap before the first run is a wait.
        while True:
            chosen, earliest = -1, np.int64(2**62)
            for pe in range(pes):
                start = max(now, m.ready[group, pe])
                if m.ready[group, pe] >= 0 and start < earliest:
                    chosen, earliest = pe, start
            if chosen < 0:
                break
            end = earliest + m.burst_cycles[burst, chosen]
            if end > earliest:
                if earliest > m.groups[group, UNTIL]:
                    attribute(m, group, WAIT_OPERANDS, earliest)
                if end > m.groups[group, UNTIL]:
                    attribute(m, group, BUSY, end)
            last_end = max(last_end, end)
            # Marked as placed by a negative time until all PEs are.
            m.ready[group, chosen] = -1 - end
        for pe in range(pes):
            m.ready[group, pe] = -1 - m.ready[group, pe]
        if m.groups[group, STARTED] == bursts:
            if m.speeds[4]:
                schedule(m, first_start - now, ENDS, OFFER, group, 0)
            schedule(m, last_end - now, ENDS, LAST_BURST_END, group, 0)
        else:
            schedule(m, last_end - now, ENDS, BURST_END, group, 0)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def end_burst(m: Machine, group: int) -> None:
    """Free a half."""
    m.groups[group, ENDED] += 1
    request_bursts(m, group)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def end_task(m: Machine, group: int) -> None:
    """End the present task of a group in its PEs."""
    now = m.counts[NOW]
    if now > m.groups[group, UNTIL]:
        attribute(m, group, WAIT_OPERANDS, now)
    m.groups[group, IS_ENDED] = 1
    m.counts[WORKING] -= 1
    if m.counts[WORKING] == 0:
        m.counts[WAITING_SINCE] = now
    entry = m.groups[group, PRESENT]
    if entry >= 0 and m.entries[entry + 1, FIRST_BURST] == m.entries[entry, FIRST_BURST] and m.speeds[4]:
        offer(m, group)
    schedule(m, 0, RESULTS, HAND_OVER, group, 0)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def hand_over(m: Machine, group: int) -> None:
    """Hand an ended task's results to the PPU if it has a place."""
    entry = m.groups[group, PRESENT]
    has_place = m.groups[group, IN_PROCESS] < 0 or m.groups[group, WAITING] < 0
    if entry < 0 or not m.groups[group, IS_ENDED] or not has_place:
        return
    attribute(m, group, WAIT_PPU, m.counts[NOW])
    m.groups[group, PRESENT] = -1
    m.groups[group, IS_ENDED] = 0
    following = m.groups[group, FOLLOWING]
    m.groups[group, FOLLOWING] = -1
    if m.groups[group, IN_PROCESS] < 0:
        start_results(m, group, entry)
    else:
        m.groups[group, WAITING] = entry
    if following >= 0:
        m.groups[group, BASE] = m.groups[group, NEXT_BASE]
        begin_task(m, group, following)
    else:
        offer(m, group)
