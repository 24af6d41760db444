"""Events, ledger and ports of the compiled engine: the parts of `clock`, `ledger` and `ports`.

The functions of the loop are inlined and count no references to the arrays (`_nrt`): counting them took four fifths
of its time.
"""

from __future__ import annotations

from sim.machine.compiled_state import (
    BUSY,
    EVENTS,
    FAR,
    FETCHED,
    FETCHED_PART,
    FREE_NODE,
    FREE_PORTS,
    GROUP_SHIFT,
    HALF_SHIFT,
    IS_GRANTING,
    MOVED,
    MULTICAST,
    NEVER,
    NO_ROWS,
    NOW,
    NUMBER_BITS,
    OPERANDS,
    QUEUE_HEAD,
    QUEUE_TAIL,
    SHARED_BYTES,
    SHARED_CYCLES,
    SHARED_PART,
    SLOTS,
    UNDER_WAY,
    UNLIMITED,
    UNTIL,
    WAIT_OPERANDS,
    Machine,
    Work,
)
from workloads.arrays import IntArray
from workloads.kernel import kernel


@kernel(inlines=True)
def copy_row(rows: IntArray, source: int, target: int) -> None:
    """Copy one row of three columns."""
    rows[target, 0], rows[target, 1], rows[target, 2] = rows[source, 0], rows[source, 1], rows[source, 2]


@kernel(inlines=True)
def push_far(far: IntArray, size: int, time: int, number: int, payload: int) -> None:
    """Add an event to the heap, ordered by time, then as scheduled."""
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if far[parent, 0] < time or (far[parent, 0] == time and far[parent, 1] <= number):
            break
        copy_row(far, parent, place)
        place = parent
    far[place, 0], far[place, 1], far[place, 2] = time, number, payload


@kernel(inlines=True)
def pop_far(far: IntArray, size: int) -> None:
    """Remove the first event of the heap, which the caller has read."""
    size -= 1
    time, number, payload = far[size, 0], far[size, 1], far[size, 2]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        other = child + 1
        if other < size and (
            far[other, 0] < far[child, 0] or (far[other, 0] == far[child, 0] and far[other, 1] < far[child, 1])
        ):
            child = other
        if time < far[child, 0] or (time == far[child, 0] and number <= far[child, 1]):
            break
        copy_row(far, child, place)
        place = child
    far[place, 0], far[place, 1], far[place, 2] = time, number, payload


@kernel(inlines=True)
def schedule(m: Machine, cycles: int, kind: int, group: int, half: int) -> None:
    """Play SimPy's environment: things that end, by border, then as scheduled."""
    c = m.counts
    c[EVENTS] += 1
    payload = (group << GROUP_SHIFT) | (half << HALF_SHIFT) | kind
    if cycles >= SLOTS:
        push_far(m.far, c[FAR], c[NOW] + cycles, c[EVENTS], payload)
        c[FAR] += 1
        return
    node = c[FREE_NODE]
    c[FREE_NODE] = m.nodes[node, 0]
    m.nodes[node, 0] = -1
    m.nodes[node, 1] = payload
    slot = (c[NOW] + cycles) & (SLOTS - 1)
    if m.ends[slot, 0] < 0:
        m.ends[slot, 0] = node
    else:
        m.nodes[m.ends[slot, 1], 0] = node
    m.ends[slot, 1] = node
    c[UNDER_WAY] += 1


@kernel(inlines=True)
def attribute(m: Machine, group: int, state: int, end: int) -> None:
    """Play the ledger."""
    m.spent[group, state] += end - m.groups[group, UNTIL]
    m.groups[group, UNTIL] = end


@kernel
def attribute_runs(m: Machine, w: Work, group: int, burst: int, pes: int) -> None:
    """Attribute the union of the PEs' runs as busy, and the gap before it as waiting, in the order of their starts."""
    now, ready = m.counts[NOW], m.ready
    before, place = -1, -1
    for _ in range(pes):
        chosen, earliest = -1, NEVER
        for pe in range(pes):
            start = max(now, ready[group, pe])
            is_later = start > before or (start == before and pe > place)
            if is_later and start < earliest:
                chosen, earliest = pe, start
        before, place = earliest, chosen
        end = earliest + w.burst_cycles[burst, chosen]
        if end > earliest:
            if earliest > m.groups[group, UNTIL]:
                attribute(m, group, WAIT_OPERANDS, earliest)
            if end > m.groups[group, UNTIL]:
                attribute(m, group, BUSY, end)


@kernel(inlines=True)
def copy_request(queue: IntArray, source: int, target: int) -> None:
    """Copy a port request."""
    copy_row(queue, source, target)
    queue[target, 3] = queue[source, 3]


@kernel(inlines=True)
def request_port(m: Machine, kind: int, group: int, number: int, cycles: int, burst: int) -> None:
    """Play the ports' queue: by border and kind, then by group, burst and part; borders come in order.

    Args:
        number: That of the burst in its group's sequence, times 2, with 1 for its other rows added.
        burst: The one whose driver rows are asked for, or NO_ROWS.
    """
    c, q = m.counts, m.queue
    mask = len(q) - 1
    border, place = 2 * c[NOW] + kind, (group << NUMBER_BITS) | number
    at = c[QUEUE_TAIL]
    c[QUEUE_TAIL] += 1
    while at > c[QUEUE_HEAD]:
        before = (at - 1) & mask
        if q[before, 0] < border or (q[before, 0] == border and q[before, 1] < place):
            break
        copy_request(q, before, at & mask)
        at -= 1
    q[at & mask, 0], q[at & mask, 1], q[at & mask, 2], q[at & mask, 3] = border, place, cycles, burst
    plan_grants(m)


@kernel(inlines=True)
def plan_grants(m: Machine) -> None:
    """Grant ports at this border if there is a request and a free port."""
    c = m.counts
    if not c[IS_GRANTING] and c[QUEUE_TAIL] > c[QUEUE_HEAD] and c[FREE_PORTS] != 0:
        c[IS_GRANTING] = 1
        c[EVENTS] += 1


@kernel(inlines=True)
def grant_ports(m: Machine, w: Work) -> None:
    """Give free ports to the first requests."""
    c, q = m.counts, m.queue
    c[IS_GRANTING] = 0
    while c[QUEUE_TAIL] > c[QUEUE_HEAD] and c[FREE_PORTS] != 0:
        at = c[QUEUE_HEAD] & (len(q) - 1)
        c[QUEUE_HEAD] += 1
        if c[FREE_PORTS] > 0:
            c[FREE_PORTS] -= 1
        moved = MOVED
        if q[at, 0] & 1 == OPERANDS:
            moved = FETCHED if c[MULTICAST] == 1 else FETCHED_PART
        schedule(m, q[at, 2], moved, q[at, 1] >> NUMBER_BITS, (q[at, 1] >> 1) & 1)
        if q[at, 3] != NO_ROWS:
            join_requests(m, w, q[at, 0], q[at, 3])


@kernel
def join_requests(m: Machine, w: Work, border: int, burst: int) -> None:
    """Serve further requests of a border for a burst's driver rows by the same access."""
    c, q = m.counts, m.queue
    mask, joined, at = len(q) - 1, 1, c[QUEUE_HEAD]
    while joined < c[MULTICAST] and at < c[QUEUE_TAIL] and q[at & mask, 0] == border:
        other = q[at & mask, 3]
        if other != NO_ROWS and w.driver_rows[other] == w.driver_rows[burst]:
            joined += 1
            place = q[at & mask, 1]
            c[SHARED_BYTES] += w.driver_bytes[other]
            c[SHARED_CYCLES] += q[at & mask, 2]
            schedule(m, q[at & mask, 2], SHARED_PART, place >> NUMBER_BITS, (place >> 1) & 1)
            # Those before it move up.
            for before in range(at, c[QUEUE_HEAD], -1):
                copy_request(q, (before - 1) & mask, before & mask)
            c[QUEUE_HEAD] += 1
        at += 1


@kernel(inlines=True)
def free_port(m: Machine) -> None:
    """Free a port."""
    if m.counts[FREE_PORTS] != UNLIMITED:
        m.counts[FREE_PORTS] += 1


@kernel(inlines=True)
def advance(m: Machine) -> bool:
    """Go to the next border at which something ends, if there is one."""
    c = m.counts
    limit = m.far[0, 0] if c[FAR] else NEVER
    if not c[UNDER_WAY]:
        if limit == NEVER:
            return False
        c[NOW] = limit
        return True
    border = c[NOW] + 1
    while border < limit and m.ends[border & (SLOTS - 1), 0] < 0:
        border += 1
    c[NOW] = border
    return True
