"""What the units of the machine did, and when: noted only where a recorder is handed to the accelerator."""

from __future__ import annotations

import heapq
from array import array
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from workloads.arrays import IntArray

NONE = -1


class Unit(IntEnum):
    """The kinds of units that have tracks; the lanes of a unit are its groups, ports, or one channel."""

    TILES = 0
    GROUP = 1
    PPU = 2
    PORT = 3
    DRAM = 4


class Action(IntEnum):
    """What a unit did. The first five are the states of a group and have the numbers of the ledger's states."""

    BUSY = 0
    WAIT_PPU = 1
    WAIT_DRAM = 2
    WAIT_OPERANDS = 3
    IDLE = 4
    TASK = 5
    RESULTS = 6
    PROCESS = 7
    PPU_TRANSFER = 8
    OPERAND_TRANSFER = 9
    LOAD = 10
    WRITE_BACK = 11
    TILE = 12


@dataclass(frozen=True, eq=False)
class StepTrace:
    """The slices of one step, int64 ``(slices, 7)``: unit, lane, action, start, end (cycles), number, amount.

    number: the task of a TASK, RESULTS or PROCESS, the tile of a LOAD, WRITE_BACK or TILE, the group that a port
    serves; -1 otherwise. amount: elements of a PROCESS, bytes of transfers.

    Attributes:
        indices: ``(tasks, len(index_names))``; what each task stands for.
    """

    slices: IntArray
    index_names: tuple[str, ...]
    indices: IntArray


class TraceRecorder:
    """Gathers slices in cycles of one step; a group's adjoining times in one state become one slice."""

    def __init__(self) -> None:
        self._cells = array("q")
        self._last_state: dict[int, int] = {}
        self._free_ports: list[int] = []
        self._held_ports: list[tuple[int, int]] = []
        self._ports = 0

    def note(
        self, unit: Unit, lane: int, action: Action, start: int, end: int, number: int = NONE, amount: int = NONE
    ) -> None:
        """Note one slice."""
        self._cells.extend((unit, lane, action, start, end, number, amount))

    def note_state(self, group: int, state: int, start: int, end: int) -> None:
        """Note that a group was in a state; nothing where that took no time."""
        if start == end:
            return
        cells, last = self._cells, self._last_state.get(group)
        if last is not None and cells[last + 2] == state and cells[last + 4] == start:
            cells[last + 4] = end
            return
        self._last_state[group] = len(cells)
        self.note(Unit.GROUP, group, Action(state), start, end)

    def note_transfer(self, action: Action, group: int, start: int, end: int, size_bytes: int) -> None:
        """Note a transfer on the lowest port that is free; the machine itself does not tell its ports apart."""
        while self._held_ports and self._held_ports[0][0] <= start:
            heapq.heappush(self._free_ports, heapq.heappop(self._held_ports)[1])
        if not self._free_ports:
            heapq.heappush(self._free_ports, self._ports)
            self._ports += 1
        port = heapq.heappop(self._free_ports)
        heapq.heappush(self._held_ports, (end, port))
        self.note(Unit.PORT, port, action, start, end, group, size_bytes)

    def finish(self, index_names: tuple[str, ...], indices: IntArray, dispatch: IntArray | None) -> StepTrace:
        """Give what was noted, and note no more; entries of the dispatch become the tasks they are parts of."""
        slices = np.frombuffer(self._cells, dtype=np.int64).reshape(-1, 7)
        if dispatch is not None:
            of_entry = np.isin(slices[:, 2], (Action.TASK, Action.RESULTS, Action.PROCESS))
            slices[of_entry, 5] = dispatch[slices[of_entry, 5]]
        return StepTrace(slices, index_names, indices)
