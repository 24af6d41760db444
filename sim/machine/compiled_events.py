"""Events, ledger and ports of the compiled engine: the parts of `clock`, `ledger` and `ports`.

The functions of the loop are inlined and count no references to the arrays (`_nrt`): counting them took four fifths
of its time.
"""

from __future__ import annotations

from dataflows.contract.kernel import kernel
from sim.machine.compiled_state import (
    EVENTS,
    FAR,
    FETCHED,
    FREE_NODE,
    FREE_PORTS,
    GROUP_SHIFT,
    HALF_SHIFT,
    IS_GRANTING,
    MOVED,
    NEVER,
    NOW,
    NUMBER_BITS,
    OPERANDS,
    QUEUE_HEAD,
    QUEUE_TAIL,
    SLOTS,
    UNDER_WAY,
    UNLIMITED,
    UNTIL,
    Machine,
)
from workloads.arrays import IntArray


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


@kernel(inlines=True)
def request_port(m: Machine, kind: int, group: int, number: int, cycles: int) -> None:
    """Play the ports' queue: by border and kind, then by group and burst; borders come in order."""
    c, q = m.counts, m.queue
    mask = len(q) - 1
    border, place = 2 * c[NOW] + kind, (group << NUMBER_BITS) | number
    at = c[QUEUE_TAIL]
    c[QUEUE_TAIL] += 1
    while at > c[QUEUE_HEAD]:
        before = (at - 1) & mask
        if q[before, 0] < border or (q[before, 0] == border and q[before, 1] < place):
            break
        copy_row(q, before, at & mask)
        at -= 1
    q[at & mask, 0], q[at & mask, 1], q[at & mask, 2] = border, place, cycles
    plan_grants(m)


@kernel(inlines=True)
def plan_grants(m: Machine) -> None:
    """Grant ports at this border if there is a request and a free port."""
    c = m.counts
    if not c[IS_GRANTING] and c[QUEUE_TAIL] > c[QUEUE_HEAD] and c[FREE_PORTS] != 0:
        c[IS_GRANTING] = 1
        c[EVENTS] += 1


@kernel(inlines=True)
def grant_ports(m: Machine) -> None:
    """Give free ports to the first requests."""
    c, q = m.counts, m.queue
    c[IS_GRANTING] = 0
    while c[QUEUE_TAIL] > c[QUEUE_HEAD] and c[FREE_PORTS] != 0:
        at = c[QUEUE_HEAD] & (len(q) - 1)
        c[QUEUE_HEAD] += 1
        if c[FREE_PORTS] > 0:
            c[FREE_PORTS] -= 1
        moved = FETCHED if q[at, 0] & 1 == OPERANDS else MOVED
        schedule(m, q[at, 2], moved, q[at, 1] >> NUMBER_BITS, q[at, 1] & 1)


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
