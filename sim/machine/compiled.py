"""The compiled engine: one tile on the same machine as the SimPy one, event for event, as one loop over integer arrays.

The SimPy machine in `accelerator` and the units beside it is the definition; the tests hold both equal. Names and
order follow those files: each function here says whose part it plays. Times count from the start of the tile.
"""

from __future__ import annotations

import numpy as np

from sim.machine.compiled_events import (
    advance,
    attribute,
    attribute_runs,
    free_port,
    grant_ports,
    plan_grants,
    pop_far,
    request_port,
    schedule,
)
from sim.machine.compiled_state import (
    ARRIVED,
    BASE,
    BURST_END,
    BUSY,
    END_ENTRY,
    ENDED,
    EVENTS,
    FAR,
    FETCHED,
    FETCHED_PART,
    FOLLOWING,
    FREE_NODE,
    GROUP_SHIFT,
    HALF_SHIFT,
    HANDED_HEAD,
    HANDED_TAIL,
    HERE,
    IDLE,
    IN_PROCESS,
    IS_DEALING,
    IS_ENDED,
    IS_GRANTING,
    IS_OFFERED,
    IS_WRITING,
    KIND_MASK,
    LAST_BURST_END,
    LEFT,
    MISSING,
    MOVED,
    MULTICAST,
    NEVER,
    NEXT_BASE,
    NEXT_ENTRY,
    NO_ROWS,
    NOW,
    OFFER,
    OFFERS,
    OPERANDS,
    PPU,
    PREFETCHES,
    PRESENT,
    PROCESSED,
    REQUESTED,
    SHARED_PART,
    SLOTS,
    STARTED,
    TAKEN,
    UNDER_WAY,
    UNTIL,
    WAIT_OPERANDS,
    WAIT_PPU,
    WAITING,
    WAITING_SINCE,
    WORKING,
    Machine,
    Work,
)
from workloads.kernel import kernel


@kernel(inlines=True)
def plan_deal(m: Machine) -> None:
    """Play the controller: deal at this border if a group waits and an entry is left."""
    c = m.counts
    if not c[IS_DEALING] and c[NEXT_ENTRY] < c[END_ENTRY] and c[OFFERS]:
        c[IS_DEALING] = 1
        c[EVENTS] += 1


@kernel(inlines=True)
def offer(m: Machine, group: int) -> None:
    """Note that a group may take a task."""
    if not m.groups[group, IS_OFFERED]:
        m.groups[group, IS_OFFERED] = 1
        m.counts[OFFERS] += 1
        plan_deal(m)


@kernel
def deal(m: Machine, w: Work) -> None:
    """Hand the next entry to the lowest group that may take one."""
    c, g = m.counts, m.groups
    c[IS_DEALING] = 0
    group = 0
    while not g[group, IS_OFFERED]:
        group += 1
    entry = c[NEXT_ENTRY]
    c[NEXT_ENTRY] += 1
    g[group, IS_OFFERED] = 0
    c[OFFERS] -= 1
    first = g[group, TAKEN]
    g[group, TAKEN] += w.burst_first[entry + 1] - w.burst_first[entry]
    if g[group, PRESENT] < 0:
        g[group, BASE] = first
        begin_task(m, w, group, entry)
    else:
        g[group, FOLLOWING] = entry
        g[group, NEXT_BASE] = first
    request_bursts(m, w, group)
    plan_deal(m)


@kernel
def begin_task(m: Machine, w: Work, group: int, entry: int) -> None:
    """Make an entry the present task of a group."""
    now = m.counts[NOW]
    attribute(m, group, IDLE, now)
    m.groups[group, PRESENT] = entry
    m.groups[group, IS_ENDED] = 0
    m.groups[group, STARTED] = 0
    for pe in range(m.ready.shape[1]):
        m.ready[group, pe] = now
    if w.burst_first[entry + 1] == w.burst_first[entry]:
        end_task(m, w, group)
    work(m, w, group)


@kernel(inlines=True)
def request_bursts(m: Machine, w: Work, group: int) -> None:
    """Request every next burst whose half is free."""
    g = m.groups
    while g[group, REQUESTED] < min(g[group, TAKEN], g[group, ENDED] + 2):
        number = g[group, REQUESTED]
        g[group, REQUESTED] += 1
        if g[group, FOLLOWING] >= 0 and number >= g[group, NEXT_BASE]:
            burst = w.burst_first[g[group, FOLLOWING]] + number - g[group, NEXT_BASE]
        else:
            burst = w.burst_first[g[group, PRESENT]] + number - g[group, BASE]
        if m.counts[MULTICAST] > 1:
            request_parts(m, w, group, number, burst)
        elif w.fetch_cycles[burst] >= 0:
            request_port(m, OPERANDS, group, 2 * number, w.fetch_cycles[burst], NO_ROWS)
        else:
            arrive(m, w, group, number & 1)


@kernel
def request_parts(m: Machine, w: Work, group: int, number: int, burst: int) -> None:
    """Request the driver rows of a burst, and its other rows."""
    drivers, others = w.driver_cycles[burst], w.fetch_cycles[burst]
    m.groups[group, MISSING + (number & 1)] = np.int64(drivers >= 0) + np.int64(others >= 0)
    if drivers >= 0:
        request_port(m, OPERANDS, group, 2 * number, drivers, burst)
    if others >= 0:
        request_port(m, OPERANDS, group, 2 * number + 1, others, NO_ROWS)
    if drivers < 0 and others < 0:
        arrive(m, w, group, number & 1)


@kernel
def end_part(m: Machine, w: Work, group: int, half: int, kind: int) -> None:
    """Note that a part of a burst is here."""
    if kind == FETCHED_PART:
        free_port(m)
    m.groups[group, MISSING + half] -= 1
    if m.groups[group, MISSING + half] == 0:
        arrive(m, w, group, half)
    if kind == FETCHED_PART:
        plan_grants(m)


@kernel(inlines=True)
def arrive(m: Machine, w: Work, group: int, half: int) -> None:
    """Note that a burst is here; PEs take bursts in their order."""
    g = m.groups
    g[group, HERE + half] = 1
    while g[group, HERE + (g[group, ARRIVED] & 1)]:
        g[group, HERE + (g[group, ARRIVED] & 1)] = 0
        g[group, ARRIVED] += 1
    work(m, w, group)


@kernel
def work(m: Machine, w: Work, group: int) -> None:
    """Put the PEs of the present task on the bursts that are here."""
    g, ready, now = m.groups, m.ready, m.counts[NOW]
    entry = g[group, PRESENT]
    if entry < 0:
        return
    first = w.burst_first[entry]
    bursts = w.burst_first[entry + 1] - first
    pes = w.pes[entry]
    while g[group, STARTED] < min(bursts, g[group, ARRIVED] - g[group, BASE]):
        burst = first + g[group, STARTED]
        g[group, STARTED] += 1
        first_start, last_start, last_end, busy_until = NEVER, 0, 0, 0
        for pe in range(pes):
            start = max(now, ready[group, pe])
            end = start + w.burst_cycles[burst, pe]
            first_start, last_start, last_end = min(first_start, start), max(last_start, start), max(last_end, end)
            if end > start:
                busy_until = max(busy_until, end)
        until = g[group, UNTIL]
        if last_start <= until:
            if busy_until > until:
                attribute(m, group, BUSY, busy_until)
        else:
            attribute_runs(m, w, group, burst, pes)
        for pe in range(pes):
            ready[group, pe] = max(now, ready[group, pe]) + w.burst_cycles[burst, pe]
        if g[group, STARTED] == bursts:
            if m.counts[PREFETCHES]:
                schedule(m, first_start - now, OFFER, group, 0)
            schedule(m, last_end - now, LAST_BURST_END, group, 0)
        else:
            schedule(m, last_end - now, BURST_END, group, 0)


@kernel(inlines=True)
def end_burst(m: Machine, w: Work, group: int) -> None:
    """Free a half."""
    m.groups[group, ENDED] += 1
    request_bursts(m, w, group)


@kernel(inlines=True)
def end_task(m: Machine, w: Work, group: int) -> None:
    """End the present task of a group in its PEs."""
    c, g = m.counts, m.groups
    if c[NOW] > g[group, UNTIL]:
        attribute(m, group, WAIT_OPERANDS, c[NOW])
    g[group, IS_ENDED] = 1
    c[WORKING] -= 1
    if c[WORKING] == 0:
        c[WAITING_SINCE] = c[NOW]
    entry = g[group, PRESENT]
    if w.burst_first[entry + 1] == w.burst_first[entry] and c[PREFETCHES]:
        offer(m, group)
    plan_hand_over(m, group)


@kernel(inlines=True)
def plan_hand_over(m: Machine, group: int) -> None:
    """Hand results over at this border, once nothing more ends."""
    c = m.counts
    c[EVENTS] += 1
    m.handed[c[HANDED_TAIL] & (len(m.handed) - 1)] = group
    c[HANDED_TAIL] += 1


@kernel
def hand_over(m: Machine, w: Work, group: int) -> None:
    """Hand an ended task's results to the PPU if it has a place; one that hands nothing over needs none."""
    g = m.groups
    entry = g[group, PRESENT]
    if entry < 0 or not g[group, IS_ENDED]:
        return
    passes_ppu = w.process_cycles[entry] >= 0
    if passes_ppu and g[group, IN_PROCESS] >= 0 and g[group, WAITING] >= 0:
        return
    attribute(m, group, WAIT_PPU, m.counts[NOW])
    g[group, PRESENT] = -1
    g[group, IS_ENDED] = 0
    following = g[group, FOLLOWING]
    g[group, FOLLOWING] = -1
    if not passes_ppu:
        finish_entry(m, group, entry)
    elif g[group, IN_PROCESS] < 0:
        start_results(m, w, group, entry)
    else:
        g[group, WAITING] = entry
    if following >= 0:
        g[group, BASE] = g[group, NEXT_BASE]
        begin_task(m, w, group, following)
    else:
        offer(m, group)


@kernel(inlines=True)
def finish_entry(m: Machine, group: int, entry: int) -> None:
    """Note that an entry is done."""
    m.finished_by[entry] = group
    m.counts[LEFT] -= 1


@kernel(inlines=True)
def start_results(m: Machine, w: Work, group: int, entry: int) -> None:
    """Play the PPU: read what the results need."""
    m.groups[group, IN_PROCESS] = entry
    m.groups[group, IS_WRITING] = 0
    if w.read_cycles[entry] >= 0:
        request_port(m, PPU, group, 0, w.read_cycles[entry], NO_ROWS)
    else:
        process_results(m, w, group)


@kernel(inlines=True)
def process_results(m: Machine, w: Work, group: int) -> None:
    """Process the elements in the PPU."""
    m.groups[group, IS_WRITING] = 1
    schedule(m, w.process_cycles[m.groups[group, IN_PROCESS]], PROCESSED, group, 0)


@kernel(inlines=True)
def finish_results(m: Machine, w: Work, group: int) -> None:
    """Free a place of the PPU: an entry is done."""
    g = m.groups
    entry, waiting = g[group, IN_PROCESS], g[group, WAITING]
    g[group, IN_PROCESS] = g[group, WAITING] = -1
    if waiting >= 0:
        start_results(m, w, group, waiting)
    finish_entry(m, group, entry)
    if g[group, IS_ENDED]:
        plan_hand_over(m, group)


@kernel(inlines=True)
def handle(m: Machine, w: Work, payload: int) -> None:
    """Do what an event says."""
    kind, half, group = payload & KIND_MASK, (payload >> HALF_SHIFT) & 1, payload >> GROUP_SHIFT
    if kind == FETCHED:
        free_port(m)
        arrive(m, w, group, half)
        plan_grants(m)
    elif kind in (BURST_END, LAST_BURST_END):
        end_burst(m, w, group)
        if kind == LAST_BURST_END:
            end_task(m, w, group)
    elif kind == OFFER:
        offer(m, group)
    elif kind in (FETCHED_PART, SHARED_PART):
        end_part(m, w, group, half, kind)
    else:
        is_written = False
        if kind == MOVED:
            free_port(m)
            is_written = m.groups[group, IS_WRITING] == 1
            if not is_written:
                process_results(m, w, group)
        else:
            cycles = w.write_cycles[m.groups[group, IN_PROCESS]]
            is_written = cycles < 0
            if cycles >= 0:
                request_port(m, PPU, group, 0, cycles, NO_ROWS)
        if is_written:
            finish_results(m, w, group)
        if kind == MOVED:
            plan_grants(m)


@kernel
def run_events(m: Machine, w: Work) -> bool:
    """Run until the last of a tile's results have been written; tell whether that came about."""
    c = m.counts
    plan_deal(m)
    while c[LEFT]:
        slot = c[NOW] & (SLOTS - 1)
        payload = -1
        # At a border: what was scheduled long ago, then what ends, then results, tasks and ports.
        if c[FAR] and m.far[0, 0] == c[NOW]:
            payload = m.far[0, 2]
            pop_far(m.far, c[FAR])
            c[FAR] -= 1
        elif m.ends[slot, 0] >= 0:
            node = m.ends[slot, 0]
            payload = m.nodes[node, 1]
            m.ends[slot, 0] = m.nodes[node, 0]
            m.nodes[node, 0] = c[FREE_NODE]
            c[FREE_NODE] = node
            c[UNDER_WAY] -= 1
        if payload >= 0:
            handle(m, w, payload)
        elif c[HANDED_TAIL] > c[HANDED_HEAD]:
            group = m.handed[c[HANDED_HEAD] & (len(m.handed) - 1)]
            c[HANDED_HEAD] += 1
            hand_over(m, w, group)
        elif c[IS_DEALING]:
            deal(m, w)
        elif c[IS_GRANTING]:
            grant_ports(m, w)
        elif not advance(m):
            return False
    return True
