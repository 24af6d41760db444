"""What the compiled engine works on: integer arrays that hold every unit of the machine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.machine.ledger import State
from sim.machine.surroundings import Surroundings
from workloads.arrays import IntArray

BUSY, WAIT_PPU = int(State.BUSY), int(State.WAIT_PPU)
WAIT_OPERANDS, IDLE = int(State.WAIT_OPERANDS), int(State.IDLE)
STATES = len(State)
UNLIMITED = -1
NEVER = 2**62

# Counters of the machine.
(
    NOW,
    EVENTS,
    FREE_PORTS,
    IS_DEALING,
    IS_GRANTING,
    NEXT_ENTRY,
    END_ENTRY,
    OFFERS,
    WORKING,
    LEFT,
    WAITING_SINCE,
    FREE_NODE,
    UNDER_WAY,
    FAR,
    QUEUE_HEAD,
    QUEUE_TAIL,
    HANDED_HEAD,
    HANDED_TAIL,
    PREFETCHES,
    MULTICAST,
    SHARED_BYTES,
    SHARED_CYCLES,
    COUNTERS,
) = range(23)

# Columns of a group. Its present and following entries and those in its PPU are -1 where there is none; BASE and
# NEXT_BASE number the first bursts of the former two in the group's sequence; HERE is a flag for each half, MISSING the
# parts that are on their way to it.
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
    IS_WRITING,
    UNTIL,
    HERE,
    _,
    MISSING,
    _,
    GROUP_COLUMNS,
) = range(20)

# What an event does; a payload holds it, a half of the operand store, and a group. FETCHED_PART and SHARED_PART end the
# fetch of a part of a burst, the latter in the access of another group.
FETCHED, MOVED, BURST_END, LAST_BURST_END, OFFER, PROCESSED, FETCHED_PART, SHARED_PART = range(8)
HALF_SHIFT, GROUP_SHIFT, KIND_MASK = 3, 4, 7
PPU, OPERANDS = 0, 1
NUMBER_BITS = 36
NO_ROWS = -1

# Events less than SLOTS cycles ahead lie in a ring of lists, later ones in a heap.
SLOTS = 4096


class Work(NamedTuple):
    """What the groups work, int64.

    Cycles of a transfer are -1 where there is none, and those of the PPU where an entry hands nothing to it.

    Attributes:
        burst_first: ``(entries + 1,)``.
        fetch_cycles: ``(bursts,)``; where groups share reads, without those of driver rows.
        burst_cycles: ``(bursts, PEs)``.
        driver_cycles: ``(bursts,)``, as are driver_bytes and driver_rows; empty where groups share no reads.
        driver_rows: What is fetched, numbered in the order of appearance in each tile.
        pes: ``(entries,)``, as are read_cycles, process_cycles and write_cycles.
    """

    burst_first: IntArray
    fetch_cycles: IntArray
    burst_cycles: IntArray
    pes: IntArray
    read_cycles: IntArray
    process_cycles: IntArray
    write_cycles: IntArray
    driver_cycles: IntArray
    driver_bytes: IntArray
    driver_rows: IntArray


class Machine(NamedTuple):
    """Everything the loop changes, int64.

    Attributes:
        nodes: Events, ``(nodes, 2)``: the next one in the list, and the payload.
        ends: First and last node of each slot.
        far: Heap of later events.
        queue: Port requests in order, ``(requests, 4)``: border and kind; group, burst and part; cycles; and the burst
            whose driver rows are asked for, or NO_ROWS where nobody may share them.
        handed: Groups whose results are to be handed over at this border.
        ready: When each PE has ended the burst before.
        finished_by: Group, for each entry.
    """

    counts: IntArray
    groups: IntArray
    ready: IntArray
    spent: IntArray
    nodes: IntArray
    ends: IntArray
    far: IntArray
    queue: IntArray
    handed: IntArray
    finished_by: IntArray


def make_machine(groups: int, pes: int, entries: int, surroundings: Surroundings) -> Machine:
    """Lay out a machine; finished_by stays for all tiles of a step."""
    nodes = np.zeros((16 * groups + 64, 2), dtype=np.int64)
    # A group has two bursts of two parts under way, and a request of its PPU.
    requests = 1 << (6 * groups + 8).bit_length()
    machine = Machine(
        counts=np.zeros(COUNTERS, dtype=np.int64),
        groups=np.zeros((groups, GROUP_COLUMNS), dtype=np.int64),
        ready=np.zeros((groups, max(1, pes)), dtype=np.int64),
        spent=np.zeros((groups, STATES), dtype=np.int64),
        nodes=nodes,
        ends=np.full((SLOTS, 2), -1, dtype=np.int64),
        far=np.zeros((16 * groups + 64, 3), dtype=np.int64),
        queue=np.zeros((requests, 4), dtype=np.int64),
        handed=np.zeros(requests, dtype=np.int64),
        finished_by=np.full(entries, -1, dtype=np.int64),
    )
    machine.counts[PREFETCHES] = surroundings.prefetches_next_task
    machine.counts[MULTICAST] = surroundings.multicast
    machine.counts[FREE_PORTS] = UNLIMITED if surroundings.ports is None else surroundings.ports
    return machine


def open_tile(machine: Machine, first: int, end: int) -> None:
    """Set the machine to the start of a tile: nothing under way, every group waits for a task."""
    kept = machine.counts[[FREE_PORTS, PREFETCHES, MULTICAST]]
    machine.counts[:] = 0
    machine.counts[[FREE_PORTS, PREFETCHES, MULTICAST]] = kept
    machine.counts[[NEXT_ENTRY, END_ENTRY]] = first, end
    machine.counts[[WORKING, LEFT]] = end - first
    machine.counts[OFFERS] = len(machine.groups)
    machine.groups[:] = 0
    machine.groups[:, [PRESENT, FOLLOWING, IN_PROCESS, WAITING]] = -1
    machine.groups[:, IS_OFFERED] = 1
    machine.ready[:] = 0
    machine.spent[:] = 0
    machine.nodes[:, 0] = np.arange(1, len(machine.nodes) + 1)
    machine.ends[:] = -1
