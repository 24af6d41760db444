"""The compiled engine: the same machine as the SimPy one, event for event, as one loop over integer arrays.

The SimPy machine in `accelerator` and the units beside it is the definition; the tests hold both equal. Names and
order follow those files: each function here says whose part it plays.
"""

from __future__ import annotations

import numba
import numpy as np

from dataflows.memory import Traffic
from sim.machine.clock import DeadlockError, Phase
from sim.machine.compiled_heap import remove_first, sift_up
from sim.machine.compiled_state import (
    ARRIVED,
    BASE,
    DRAM_BUSY,
    DRAM_FREE_AT,
    ELEMENTS,
    END_ENTRY,
    ENDED,
    EVENTS,
    FINISHED_BY,
    FIRST_BURST,
    FIRST_ENTRY,
    FOLLOWING,
    FREE_PORTS,
    HEAP,
    HERE,
    IN_PROCESS,
    IS_DEALING,
    IS_ENDED,
    IS_GRANTING,
    IS_IN_TILE,
    IS_LOADED,
    IS_OFFERED,
    LEFT,
    LOAD_BYTES,
    NEXT_BASE,
    NEXT_ENTRY,
    NOW,
    PES,
    PORTS_BUSY,
    PPU_BUSY,
    PPU_READ,
    PPU_WRITE,
    PRESENT,
    QUEUE,
    READ_BYTES,
    REQUESTED,
    STAGE,
    STARTED,
    TAKEN,
    TILE,
    UNLIMITED,
    UNTIL,
    WAITING,
    WAITING_SINCE,
    WORKING,
    WRITE_BACK_BYTES,
    WRITE_BYTES,
    WRITTEN_BACK,
    Machine,
    Speeds,
    make_machine,
)
from sim.machine.ledger import State

ENDS, RESULTS, TASKS, GRANTS = 1, int(Phase.RESULTS), int(Phase.TASKS), int(Phase.GRANTS)
PHASES = 8
BUSY, WAIT_PPU, WAIT_DRAM = int(State.BUSY), int(State.WAIT_PPU), int(State.WAIT_DRAM)
WAIT_OPERANDS, IDLE = int(State.WAIT_OPERANDS), int(State.IDLE)
PPU, OPERANDS = 0, 1

# What an event does.
HAND_OVER, DEAL, GRANT, PORT_END, BURST_END, LAST_BURST_END, OFFER, PROCESSED, LOAD_END, WRITE_BACK_END = range(10)
# Stages of a PPU.
READING, WRITING = 0, 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def schedule(m: Machine, cycles: int, phase: int, kind: int, first: int, second: int) -> None:
    """Play SimPy's environment: events of one border by phase, then as scheduled."""
    size = m.counts[HEAP]
    m.counts[EVENTS] += 1
    m.heap[size, 0] = (m.counts[NOW] + cycles) * PHASES + phase
    m.heap[size, 1] = m.counts[EVENTS]
    m.heap[size, 2] = kind
    m.heap[size, 3] = first
    m.heap[size, 4] = second
    sift_up(m.heap, size, 2)
    m.counts[HEAP] = size + 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def attribute(m: Machine, group: int, state: int, end: int) -> None:
    """Play the ledger."""
    m.spent[group, state] += end - m.groups[group, UNTIL]
    m.groups[group, UNTIL] = end


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def request_port(m: Machine, kind: int, group: int, burst: int, size_bytes: int) -> None:
    """Play the ports' queue."""
    size = m.counts[QUEUE]
    m.queue[size, 0] = m.counts[NOW]
    m.queue[size, 1] = kind
    m.queue[size, 2] = group
    m.queue[size, 3] = burst
    m.queue[size, 4] = 0 if m.speeds[0] == UNLIMITED else -(-size_bytes // m.speeds[0])
    sift_up(m.queue, size, 4)
    m.counts[QUEUE] = size + 1
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
        remove_first(m.queue, m.counts[QUEUE], 4)
        m.counts[QUEUE] -= 1
        row = m.queue[m.counts[QUEUE]]
        if m.counts[FREE_PORTS] > 0:
            m.counts[FREE_PORTS] -= 1
        m.counts[PORTS_BUSY] += row[4]
        schedule(m, row[4], ENDS, PORT_END, row[1], row[2] + row[3] * len(m.groups))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def end_port(m: Machine, kind: int, group: int, burst: int) -> None:
    """Free a port and deliver what it moved."""
    if m.counts[FREE_PORTS] != UNLIMITED:
        m.counts[FREE_PORTS] += 1
    if kind == OPERANDS:
        arrive(m, group, burst)
    elif m.groups[group, STAGE] == READING:
        process_results(m, group)
    else:
        finish_results(m, group)
    plan_grants(m)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def has_offer(m: Machine) -> bool:
    """Tell whether any group may take a task."""
    offers = 0
    for group in range(len(m.groups)):
        offers += m.groups[group, IS_OFFERED]
    return offers > 0


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def plan_deal(m: Machine) -> None:
    """Play the controller: deal at this border if a group waits and an entry is left."""
    if not m.counts[IS_DEALING] and m.counts[NEXT_ENTRY] < m.counts[END_ENTRY] and has_offer(m):
        m.counts[IS_DEALING] = 1
        schedule(m, 0, TASKS, DEAL, 0, 0)


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


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def run_events(m: Machine) -> bool:
    """Run until every tile and every write-back has ended; tell whether that came about."""
    tiles = len(m.tiles) - 1
    for tile in range(min(2, tiles)):
        transfer(m, m.tiles[tile, LOAD_BYTES], LOAD_END, tile)
    for group in range(len(m.groups)):
        offer(m, group)
    groups = len(m.groups)
    while m.counts[WRITTEN_BACK] < tiles:
        if m.counts[HEAP] == 0:
            return False
        remove_first(m.heap, m.counts[HEAP], 2)
        m.counts[HEAP] -= 1
        row = m.heap[m.counts[HEAP]]
        kind, first, second = row[2], row[3], row[4]
        m.counts[NOW] = row[0] // PHASES
        if kind == PORT_END:
            end_port(m, first, second % groups, second // groups)
        elif kind == GRANT:
            grant_ports(m)
        elif kind == BURST_END:
            end_burst(m, first)
        elif kind == LAST_BURST_END:
            end_burst(m, first)
            end_task(m, first)
        elif kind == HAND_OVER:
            hand_over(m, first)
        elif kind == DEAL:
            deal(m)
        elif kind == OFFER:
            offer(m, first)
        elif kind == PROCESSED:
            write_results(m, first)
        elif kind == LOAD_END:
            m.tiles[first, IS_LOADED] = 1
            start_tiles(m)
        else:
            m.counts[WRITTEN_BACK] += 1
    return True


def run_machine(traffic: Traffic, groups: int, ports: int | None, speeds: Speeds) -> Machine:
    """Execute every tile and give the machine at its end; idle time up to the end is attributed.

    Raises:
        DeadlockError: nothing is scheduled while work is left.
    """
    machine = make_machine(traffic, groups, ports, speeds)
    if not run_events(machine):
        raise DeadlockError(f"deadlock at cycle {machine.counts[NOW]}: work is left, and nothing is scheduled")
    machine.spent[:, State.IDLE] += machine.counts[NOW] - machine.groups[:, UNTIL]
    return machine
