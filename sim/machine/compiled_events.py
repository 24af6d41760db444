"""Events, ledger and ports of the compiled engine: the parts of `clock`, `ledger` and `ports`."""

from __future__ import annotations

import numba

from sim.machine.clock import Phase
from sim.machine.compiled_heap import pop_row, push_row
from sim.machine.compiled_state import (
    EVENTS,
    FREE_PORTS,
    HEAP,
    IS_GRANTING,
    NOW,
    PORTS_BUSY,
    QUEUE,
    UNLIMITED,
    UNTIL,
    Machine,
)
from sim.machine.ledger import State

ENDS, RESULTS, TASKS, GRANTS = 1, int(Phase.RESULTS), int(Phase.TASKS), int(Phase.GRANTS)
PHASES = 8
BUSY, WAIT_PPU, WAIT_DRAM = int(State.BUSY), int(State.WAIT_PPU), int(State.WAIT_DRAM)
WAIT_OPERANDS, IDLE = int(State.WAIT_OPERANDS), int(State.IDLE)
PPU, OPERANDS = 0, 1

# What an event does.
(
    HAND_OVER,
    DEAL,
    GRANT,
    FETCHED,
    MOVED,
    BURST_END,
    LAST_BURST_END,
    OFFER,
    PROCESSED,
    LOAD_END,
    WRITE_BACK_END,
) = range(11)
# A payload holds the kind of an event, a group (or tile), and the number of a burst.
KIND_MASK, GROUP_SHIFT, GROUP_MASK, NUMBER_SHIFT = 0xF, 4, 0xFFFFFF, 28
BURST_BITS, BURST_MASK = 36, (1 << 36) - 1
# Stages of a PPU.
READING, WRITING = 0, 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def schedule(m: Machine, cycles: int, phase: int, kind: int, first: int, second: int) -> None:
    """Play SimPy's environment: events of one border by phase, then as scheduled."""
    m.counts[EVENTS] += 1
    payload = (second << NUMBER_SHIFT) | (first << GROUP_SHIFT) | kind
    push_row(m.heap, m.counts[HEAP], (m.counts[NOW] + cycles) * PHASES + phase, m.counts[EVENTS], payload)
    m.counts[HEAP] += 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def attribute(m: Machine, group: int, state: int, end: int) -> None:
    """Play the ledger."""
    m.spent[group, state] += end - m.groups[group, UNTIL]
    m.groups[group, UNTIL] = end


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def request_port(m: Machine, kind: int, group: int, burst: int, size_bytes: int) -> None:
    """Play the ports' queue: by border and kind, then by group and burst."""
    cycles = 0 if m.speeds[0] == UNLIMITED else -(-size_bytes // m.speeds[0])
    push_row(m.queue, m.counts[QUEUE], 2 * m.counts[NOW] + kind, (group << BURST_BITS) | burst, cycles)
    m.counts[QUEUE] += 1
    plan_grants(m)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def plan_grants(m: Machine) -> None:
    """Grant ports at this border if there is a request and a free port."""
    if not m.counts[IS_GRANTING] and m.counts[QUEUE] and m.counts[FREE_PORTS] != 0:
        m.counts[IS_GRANTING] = 1
        schedule(m, 0, GRANTS, GRANT, 0, 0)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def grant_ports(m: Machine) -> None:
    """Give free ports to the first requests."""
    m.counts[IS_GRANTING] = 0
    while m.counts[QUEUE] and m.counts[FREE_PORTS] != 0:
        kind, place, cycles = m.queue[0, 0] & 1, m.queue[0, 1], m.queue[0, 2]
        pop_row(m.queue, m.counts[QUEUE])
        m.counts[QUEUE] -= 1
        if m.counts[FREE_PORTS] > 0:
            m.counts[FREE_PORTS] -= 1
        m.counts[PORTS_BUSY] += cycles
        moved = FETCHED if kind == OPERANDS else MOVED
        schedule(m, cycles, ENDS, moved, place >> BURST_BITS, place & BURST_MASK)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def free_port(m: Machine) -> None:
    """Free a port."""
    if m.counts[FREE_PORTS] != UNLIMITED:
        m.counts[FREE_PORTS] += 1
