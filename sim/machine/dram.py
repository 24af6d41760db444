"""The DRAM channel: one transfer at a time, first come first served; and channels with banks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from simpy.events import Event

from sim.machine.bank_state import ChannelState
from sim.machine.banked_channels import BankedChannels, BankedDram, Run
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


class BankedUnit:
    """Channels with banks: what is under way is foretold anew at every request, which may come between.

    Attributes:
        channels: Worked until all that is under way has ended, or until the last request.
    """

    def __init__(self, env: CountingEnvironment, dram: BankedDram) -> None:
        self._env = env
        self.channels = BankedChannels(dram)
        self._asked: list[ChannelState] | None = None
        self._waiting: dict[int, Event] = {}
        self._requests = 0

    def transfer(self, runs: Sequence[Run], is_write: bool) -> Event:
        """Queue a transfer of runs of bytes; the event fires when it has ended."""
        self._env.events += 1
        if not runs:
            return self._env.timeout(0)
        if self._asked is not None:
            self.channels.put_back(self._asked)
        number = self.channels.request(int(self._env.now), runs, is_write)
        self._asked = self.channels.keep()
        end = self._waiting[number] = Event(self._env)
        self._requests += 1
        for one in self._waiting:
            delay = self.channels.find_end(one) - int(self._env.now)
            self._env.timeout(delay).callbacks.append(partial(self._end, one, self._requests))
        return end

    def _end(self, number: int, foretold_at: int, _: Event) -> None:
        """End a transfer, unless a request has come since that was foretold."""
        if foretold_at == self._requests:
            self._waiting.pop(number).succeed()
