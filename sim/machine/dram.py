"""The DRAM channel: one transfer at a time, first come first served."""

from __future__ import annotations

from simpy.events import Event

from sim.machine.clock import CountingEnvironment


class Dram:
    """A transfer starts at max(request + latency, end of the one before) and takes its bytes over the bandwidth.

    Attributes:
        bytes_per_cycle: None moves any transfer in no time. Transfers of no bytes are not made.
    """

    def __init__(self, env: CountingEnvironment, bytes_per_cycle: int | None, latency_cycles: int) -> None:
        self._env = env
        self._bytes_per_cycle = bytes_per_cycle
        self._latency_cycles = latency_cycles
        self._free_at = 0
        self.busy_cycles = 0
        self.transferred_bytes = 0

    @property
    def free_at(self) -> int:
        """The cycle in which the last of the queued transfers ends."""
        return self._free_at

    def count_cycles(self, size_bytes: int) -> int:
        """Give the cycles for which a transfer holds the channel."""
        return 0 if self._bytes_per_cycle is None else -(-size_bytes // self._bytes_per_cycle)

    def transfer(self, size_bytes: int) -> Event:
        """Queue a transfer; the event fires when it has ended."""
        now = int(self._env.now)
        self._env.events += 1
        if size_bytes == 0:
            return self._env.timeout(0)
        cycles = self.count_cycles(size_bytes)
        self._free_at = max(now + self._latency_cycles, self._free_at) + cycles
        self.busy_cycles += cycles
        self.transferred_bytes += size_bytes
        return self._env.timeout(self._free_at - now)
