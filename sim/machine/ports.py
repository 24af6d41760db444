"""The ports of the global buffer: any free port serves a request, in the order of requests."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from sim.machine.clock import CountingEnvironment, Phase, call_after, call_at
from sim.machine.trace import Action, TraceRecorder

PPU, OPERANDS = 0, 1


class Ports:
    """Grants ports in order of request; at one border PPU requests first, then the lower group, then the lower burst.

    Attributes:
        ports: None is unlimited.
        bytes_per_port_cycle: None is unlimited.
    """

    def __init__(
        self,
        env: CountingEnvironment,
        ports: int | None,
        bytes_per_port_cycle: int | None,
        trace: TraceRecorder | None = None,
    ) -> None:
        self._env = env
        self._trace = trace
        self._free = ports
        self._bytes_per_port_cycle = bytes_per_port_cycle
        self._queue: list[tuple[int, int, int, int, int, int, Callable[[], None]]] = []
        self._is_scheduled = False
        self.busy_cycles = 0

    def request(self, kind: int, group: int, burst: int, size_bytes: int, arrive: Callable[[], None]) -> None:
        """Queue a request of more than 0 bytes; `arrive` is called when its transfer has ended."""
        cycles = 0 if self._bytes_per_port_cycle is None else -(-size_bytes // self._bytes_per_port_cycle)
        heapq.heappush(self._queue, (int(self._env.now), kind, group, burst, cycles, size_bytes, arrive))
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled and self._queue and (self._free is None or self._free > 0):
            self._is_scheduled = True
            call_at(self._env, Phase.GRANTS, self._grant)

    def _grant(self) -> None:
        self._is_scheduled = False
        while self._queue and (self._free is None or self._free > 0):
            _, kind, group, _, cycles, size_bytes, arrive = heapq.heappop(self._queue)
            if self._free is not None:
                self._free -= 1
            self.busy_cycles += cycles
            if self._trace is not None:
                action = Action.PPU_TRANSFER if kind == PPU else Action.OPERAND_TRANSFER
                now = int(self._env.now)
                self._trace.note_transfer(action, group, now, now + cycles, size_bytes)
            call_after(self._env, cycles, self._release(arrive))

    def _release(self, arrive: Callable[[], None]) -> Callable[[], None]:
        def end() -> None:
            if self._free is not None:
                self._free += 1
            arrive()
            self._schedule()

        return end
