"""DRAM channels with banks: transfers are asked for in cycles of the machine, and worked in clocks of the DRAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.machine.bank_commands import work_channel
from sim.machine.bank_state import (
    ACTIVATES,
    ACTIVE_CLOCKS,
    ENDED,
    LEFT,
    OPEN_BANKS,
    OPEN_SINCE,
    READS,
    REFRESHES,
    STREAMS,
    WRITES,
    BankTiming,
    ChannelState,
    make_channel,
)

FOREVER = 2**61
# A run of bytes in DRAM: its first byte, and how many.
Run = tuple[int, int]


@dataclass(frozen=True, slots=True)
class BankedDram:
    """Channels with banks: how many, their timing, and both clocks."""

    channels: int
    timing: BankTiming
    dram_mhz: int
    machine_mhz: int

    def find_clock(self, cycle: int) -> int:
        """Give the first clock that does not begin before a cycle."""
        return -(-cycle * self.dram_mhz // self.machine_mhz)

    def find_cycle(self, clock: int) -> int:
        """Give the first cycle that does not begin before a clock."""
        return -(-clock * self.machine_mhz // self.dram_mhz)


@dataclass(frozen=True, slots=True)
class DramCommands:
    """What the channels of a step or pass did, summed over them.

    Attributes:
        reads: Bursts, as writes.
        active_clocks: Clocks of each rank with an open bank, summed over ranks; the others are idle_clocks.
    """

    activates: int
    reads: int
    writes: int
    refreshes: int
    active_clocks: int
    idle_clocks: int


class BankedChannels:
    """The channels of one step: neighbouring bursts lie in different channels, each with a controller of its own."""

    def __init__(self, dram: BankedDram) -> None:
        self._dram = dram
        self._channels = [make_channel(dram.timing) for _ in range(dram.channels)]
        self._transfers = 0

    def request(self, cycle: int, runs: Sequence[Run], is_write: bool) -> int:
        """Queue a transfer of runs of bytes, one after the other, and give its number; cycles never fall.

        Every burst that a run touches is moved whole.
        """
        clock, number = self._dram.find_clock(cycle), self._transfers
        self._transfers += 1
        size, count = self._dram.timing.burst_bytes, self._dram.channels
        for place in range(count):
            work_channel(self._channels[place], self._dram.timing, clock, -1)
            self._make_room(place, len(runs))
            channel = self._channels[place]
            for first_byte, size_bytes in runs:
                # Of the bursts first .. end - 1 those whose number leaves `place` when divided by the channels.
                first, end = first_byte // size, -(-(first_byte + size_bytes) // size)
                first, end = (-(-(burst - place) // count) for burst in (first, end))
                if size_bytes and first < end:
                    channel.streams[channel.counts[STREAMS]] = clock, first, end, is_write, number
                    channel.counts[STREAMS] += 1
                    channel.transfers[number, LEFT] += end - first
        return number

    def find_end(self, number: int) -> int:
        """Work until a transfer has ended, unless later requests come before that, and give the cycle of its end."""
        for channel in self._channels:
            work_channel(channel, self._dram.timing, FOREVER, number)
        return self._dram.find_cycle(max(int(channel.transfers[number, ENDED]) for channel in self._channels))

    def keep(self) -> list[ChannelState]:
        """Give a copy of the state."""
        return [ChannelState(*(part.copy() for part in channel)) for channel in self._channels]

    def put_back(self, kept: list[ChannelState]) -> None:
        """Take up a state that was kept, which is not to be used again."""
        self._channels = kept

    def count_busy_cycles(self) -> int:
        """Give the cycles for which data buses move data, on the mean of the channels."""
        bursts = sum(int(channel.counts[READS] + channel.counts[WRITES]) for channel in self._channels)
        clocks = bursts * self._dram.timing.burst
        return -(-clocks * self._dram.machine_mhz // (self._dram.dram_mhz * self._dram.channels))

    def count_commands(self, cycles: int) -> DramCommands:
        """Work until the end of a step that took so many cycles, in which all transfers end, and count its commands."""
        end, timing = self._dram.find_clock(cycles), self._dram.timing
        active, sums = 0, np.zeros(4, dtype=np.int64)
        for channel in self._channels:
            work_channel(channel, timing, end, -1)
            is_open = channel.ranks[:, OPEN_BANKS] > 0
            active += int(channel.counts[ACTIVE_CLOCKS] + (end - channel.ranks[is_open, OPEN_SINCE]).sum())
            sums += channel.counts[[ACTIVATES, READS, WRITES, REFRESHES]]
        total = end * timing.ranks * len(self._channels)
        activates, reads, writes, refreshes = (int(one) for one in sums)
        return DramCommands(activates, reads, writes, refreshes, active, total - active)

    def _make_room(self, place: int, runs: int) -> None:
        """Double the room for streams and transfers where it does not suffice."""
        channel = self._channels[place]
        streams, transfers = channel.streams, channel.transfers
        if channel.counts[STREAMS] + runs > len(streams):
            streams = np.concatenate([streams, np.zeros((len(streams) + runs, streams.shape[1]), dtype=np.int64)])
        if self._transfers > len(transfers):
            transfers = np.concatenate([transfers, np.zeros_like(transfers)])
        self._channels[place] = channel._replace(streams=streams, transfers=transfers)
