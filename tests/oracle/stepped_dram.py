"""Step DRAM channels with banks beside a machine whose cycles are not the DRAM's clocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from oracle.stepped_banks import Request, SteppedChannel
from oracle.stepped_transfers import DramTransfer

Run = tuple[int, int]


@dataclass(eq=False)
class SteppedBanks:
    """Serve transfers on channels with banks; at border c all clocks that begin before it have passed.

    Attributes:
        load_runs: What each load reads, (address, bytes) one after the other, in the order of requests.
        write_runs: What each write-back writes, likewise.
    """

    timing: dict[str, int]
    channels: int
    dram_mhz: int
    machine_mhz: int
    load_runs: list[Sequence[Run]]
    write_runs: list[Sequence[Run]]
    border: int = 0
    transfers: list[DramTransfer] = field(default_factory=list)
    stepped: list[SteppedChannel] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with channels that were asked for nothing."""
        self.stepped = [SteppedChannel(self.timing, []) for _ in range(self.channels)]

    def request(self, size_bytes: int, *, is_write: bool = False) -> DramTransfer:
        """Ask for the next load or write-back."""
        runs = (self.write_runs if is_write else self.load_runs).pop(0)
        assert sum(size for _, size in runs) == size_bytes
        made = DramTransfer(0, 0, is_over=size_bytes == 0)
        number = len(self.transfers)
        self.transfers.append(made)
        width = self.timing["burst_bytes"]
        for address, size in runs:
            for burst in range(address // width, (address + size - 1) // width + 1):
                channel = self.stepped[burst % self.channels]
                request = Request(channel.clock, burst // self.channels, is_write, number)
                channel.waiting.append(request)
                made.cycles_left += 1
        return made

    def end(self) -> bool:
        """End the transfers whose bursts have all moved their data, and say whether there were any."""
        is_changed = False
        for number, transfer in enumerate(self.transfers):
            if transfer.is_over or self._is_waiting(number):
                continue
            clock = max(channel.ended[number] for channel in self.stepped if number in channel.ended)
            if clock * self.machine_mhz <= self.border * self.dram_mhz:
                transfer.is_over = is_changed = True
        return is_changed

    def pass_cycle(self) -> None:
        """Let one cycle pass, and the clocks that begin in it."""
        self.border += 1
        for channel in self.stepped:
            while channel.clock * self.machine_mhz < self.border * self.dram_mhz:
                channel.step()

    @property
    def busy_cycles(self) -> int:
        """Cycles for which data buses move data, on the mean of the channels."""
        bursts = sum(one.name in ("RD", "WR") for channel in self.stepped for one in channel.sent)
        clocks = bursts * self.timing["burst"]
        return -(-clocks * self.machine_mhz // (self.dram_mhz * self.channels))

    def _is_waiting(self, number: int) -> bool:
        return any(
            request.transfer == number
            for channel in self.stepped
            for request in (*channel.waiting, *channel.queues[False], *channel.queues[True])
        )
