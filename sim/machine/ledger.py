"""Where the time of every PE group went: named states without gaps."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from sim.machine.trace import TraceRecorder


class State(IntEnum):
    """What a group does in a cycle; the first that holds."""

    BUSY = 0
    WAIT_PPU = 1
    WAIT_DRAM = 2
    WAIT_OPERANDS = 3
    IDLE = 4


class LedgerError(RuntimeError):
    """A group's time has a gap or an overlap: a fault of the simulator."""


class Ledger:
    """Attributes each group's time, interval after interval, from cycle 0 to the end of the step."""

    def __init__(self, groups: int, trace: TraceRecorder | None = None) -> None:
        self._trace = trace
        self._spent = [[0] * len(State) for _ in range(groups)]
        self._until = [0] * groups

    def until(self, group: int) -> int:
        """Give the cycle up to which a group's time is attributed."""
        return self._until[group]

    def attribute(self, group: int, state: State, end: int) -> None:
        """Put a group's cycles from where its time is attributed up to `end` down to a state.

        Raises:
            LedgerError: that time lies behind `end`.
        """
        if end < self._until[group]:
            raise LedgerError(
                f"group {group}: time is attributed up to cycle {self._until[group]}, not only up to {end}"
            )
        if self._trace is not None:
            self._trace.note_state(group, state, self._until[group], end)
        self._spent[group][state] += end - self._until[group]
        self._until[group] = end

    def close(self, total: int) -> NDArray[np.int64]:
        """Attribute what is left as idle: int64 ``(groups, states)``; every row sums to `total`.

        Raises:
            LedgerError: a group's time goes past the total.
        """
        for group in range(len(self._until)):
            self.attribute(group, State.IDLE, total)
        return np.array(self._spent, dtype=np.int64).reshape(len(self._until), len(State))
