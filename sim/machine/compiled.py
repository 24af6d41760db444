"""The compiled engine: the same machine as the SimPy one, event for event, as one loop over integer arrays.

The SimPy machine in `accelerator` and the units beside it is the definition; the tests hold both equal. Names and
order follow those files: each function here says whose part it plays.
"""

from __future__ import annotations

import numba

from dataflows.memory import Traffic
from sim.machine.clock import DeadlockError
from sim.machine.compiled_events import (
    BURST_END,
    DEAL,
    FETCHED,
    GRANT,
    GROUP_MASK,
    GROUP_SHIFT,
    HAND_OVER,
    KIND_MASK,
    LAST_BURST_END,
    LOAD_END,
    MOVED,
    NUMBER_SHIFT,
    OFFER,
    PHASES,
    PROCESSED,
    READING,
    free_port,
    grant_ports,
    plan_grants,
)
from sim.machine.compiled_groups import arrive, deal, end_burst, end_task, hand_over, offer
from sim.machine.compiled_heap import pop_row
from sim.machine.compiled_results import finish_results, process_results, write_results
from sim.machine.compiled_state import (
    HEAP,
    IS_LOADED,
    LOAD_BYTES,
    NOW,
    STAGE,
    UNTIL,
    WRITTEN_BACK,
    Machine,
    Speeds,
    make_machine,
)
from sim.machine.compiled_tiles import start_tiles, transfer
from sim.machine.ledger import State


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def run_events(m: Machine) -> bool:
    """Run until every tile and every write-back has ended; tell whether that came about."""
    tiles = len(m.tiles) - 1
    for tile in range(min(2, tiles)):
        transfer(m, m.tiles[tile, LOAD_BYTES], LOAD_END, tile)
    for group in range(len(m.groups)):
        offer(m, group)
    while m.counts[WRITTEN_BACK] < tiles:
        if m.counts[HEAP] == 0:
            return False
        payload = m.heap[0, 2]
        m.counts[NOW] = m.heap[0, 0] // PHASES
        pop_row(m.heap, m.counts[HEAP])
        m.counts[HEAP] -= 1
        kind, first, second = payload & KIND_MASK, (payload >> GROUP_SHIFT) & GROUP_MASK, payload >> NUMBER_SHIFT
        if kind == FETCHED:
            free_port(m)
            arrive(m, first, second)
            plan_grants(m)
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
        elif kind == MOVED:
            free_port(m)
            if m.groups[first, STAGE] == READING:
                process_results(m, first)
            else:
                finish_results(m, first)
            plan_grants(m)
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
