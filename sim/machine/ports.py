"""The ports of the global buffer: any free port serves a request, in the order of requests."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import NamedTuple

from sim.machine.clock import CountingEnvironment, Phase, call_after, call_at
from sim.machine.surroundings import Surroundings
from sim.machine.trace import Action, TraceRecorder

PPU, OPERANDS = 0, 1


class PortRequest(NamedTuple):
    """A request that waits for a port, ordered by its first five fields, which no two requests have in common.

    Attributes:
        part: Of a burst: 0 are its driver rows, or all of it where groups share no reads, 1 its other rows.
        rows: The number of the driver rows that it asks for; None where nobody may share them.
        arrive: Called when the transfer has ended.
    """

    border: int
    kind: int
    group: int
    burst: int
    part: int
    size_bytes: int
    rows: int | None
    arrive: Callable[[], None]


class Ports:
    """Grants ports in order of request; at one border PPU requests first, then the lower group, then the lower burst.

    Equal driver rows that were asked for at one border, by at most `multicast` requests in that order, are one access.

    Attributes:
        shared_bytes: Of requests that were served by the access of another one.
        shared_cycles: What those would have taken, summed over ports.
    """

    def __init__(
        self, env: CountingEnvironment, surroundings: Surroundings, trace: TraceRecorder | None = None
    ) -> None:
        self._env = env
        self._trace = trace
        self._free = surroundings.ports
        self._bytes_per_port_cycle = surroundings.bytes_per_port_cycle
        self._multicast = surroundings.multicast
        self._queue: list[PortRequest] = []
        self._is_scheduled = False
        self.busy_cycles = 0
        self.shared_bytes = 0
        self.shared_cycles = 0

    def request(
        self,
        kind: int,
        group: int,
        burst: int,
        size_bytes: int,
        arrive: Callable[[], None],
        part: int = 0,
        rows: int | None = None,
    ) -> None:
        """Queue a request of more than 0 bytes; `arrive` is called when its transfer has ended."""
        now = int(self._env.now)
        heapq.heappush(self._queue, PortRequest(now, kind, group, burst, part, size_bytes, rows, arrive))
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled and self._queue and (self._free is None or self._free > 0):
            self._is_scheduled = True
            call_at(self._env, Phase.GRANTS, self._grant)

    def _grant(self) -> None:
        self._is_scheduled = False
        width = self._bytes_per_port_cycle
        while self._queue and (self._free is None or self._free > 0):
            first = heapq.heappop(self._queue)
            cycles = 0 if width is None else -(-first.size_bytes // width)
            if self._free is not None:
                self._free -= 1
            self.busy_cycles += cycles
            if self._trace is not None:
                action = Action.PPU_TRANSFER if first.kind == PPU else Action.OPERAND_TRANSFER
                now = int(self._env.now)
                self._trace.note_transfer(action, first.group, now, now + cycles, first.size_bytes)
            call_after(self._env, cycles, self._release(first.arrive))
            if first.rows is not None:
                for other in self._join(first):
                    self.shared_bytes += other.size_bytes
                    self.shared_cycles += cycles
                    call_after(self._env, cycles, other.arrive)

    def _join(self, first: PortRequest) -> list[PortRequest]:
        """Take the requests that share the access of the first one out of the queue."""
        equal = [one for one in self._queue if one.border == first.border and one.rows == first.rows]
        joined = heapq.nsmallest(self._multicast - 1, equal)
        if joined:
            self._queue = [one for one in self._queue if one not in joined]
            heapq.heapify(self._queue)
        return joined

    def _release(self, arrive: Callable[[], None]) -> Callable[[], None]:
        def end() -> None:
            if self._free is not None:
                self._free += 1
            arrive()
            self._schedule()

        return end
