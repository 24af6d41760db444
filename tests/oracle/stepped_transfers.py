"""Follow transfers over the operand ports and the DRAM channel, one cycle at a time."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from oracle.stepped_records import Machine, divide_up


@dataclass(eq=False)
class PortRequest:
    """Follow one request for a port; the key is (border, 0 for a PPU or 1 for operands, group, burst, part).

    The part is 1 for what a burst fetches beside its driver rows, if these are a request of their own; `rows` names
    what they are, and `sharing` holds the requests that came along.
    """

    key: tuple[int, int, int, int, int]
    size_bytes: int
    cycles_left: int
    rows: Hashable | None = None
    sharing: list[PortRequest] = field(default_factory=list)
    is_over: bool = False


@dataclass(eq=False)
class Ports:
    """Grant ports in the order of the requests' keys."""

    machine: Machine
    queue: list[PortRequest] = field(default_factory=list)
    granted: list[PortRequest] = field(default_factory=list)
    busy_cycles: int = 0
    shared_bytes: int = 0

    def request(
        self, key: tuple[int, int, int, int, int], size_bytes: int, rows: Hashable | None = None
    ) -> PortRequest:
        """Queue a request of more than 0 bytes."""
        made = PortRequest(key, size_bytes, divide_up(size_bytes, self.machine.bytes_per_port_cycle), rows)
        self.queue.append(made)
        return made

    def end(self) -> bool:
        """End the transfers that have no cycle left and say whether there were any."""
        ended = [request for request in self.granted if request.cycles_left == 0]
        for request in ended:
            for served in [request, *request.sharing]:
                served.is_over = True
        self.granted = [request for request in self.granted if not request.is_over]
        return bool(ended)

    def grant(self) -> bool:
        """Give free ports to the first requests in the queue and say whether any was given."""
        self.queue.sort(key=lambda request: request.key)
        limit = self.machine.ports
        is_changed = False
        while self.queue and (limit is None or len(self.granted) < limit):
            first = self.queue.pop(0)
            if first.rows is not None:
                self._share(first)
            self.granted.append(first)
            is_changed = True
        return is_changed

    def _share(self, first: PortRequest) -> None:
        """Take along the next requests of the same border for the same driver rows, as many as may share an access."""
        alike = [other for other in self.queue if other.key[0] == first.key[0] and other.rows == first.rows]
        first.sharing = alike[: self.machine.multicast - 1]
        self.queue = [other for other in self.queue if all(other is not one for one in first.sharing)]
        self.shared_bytes += sum(other.size_bytes for other in first.sharing)

    def pass_cycle(self) -> None:
        """Let one cycle pass."""
        self.busy_cycles += len(self.granted)
        for request in self.granted:
            request.cycles_left -= 1


@dataclass(eq=False)
class DramTransfer:
    """Follow one DRAM transfer; a transfer of no bytes is over from the start."""

    latency_left: int
    cycles_left: int
    is_over: bool = False


@dataclass(eq=False)
class Dram:
    """Serve transfers one at a time in the order of request."""

    machine: Machine
    queue: list[DramTransfer] = field(default_factory=list)
    busy_cycles: int = 0

    def request(self, size_bytes: int, *, is_write: bool = False) -> DramTransfer:  # noqa: ARG002
        """Queue a transfer unless it has no bytes; reads and writes take equally long."""
        cycles = divide_up(size_bytes, self.machine.dram_bytes_per_cycle)
        made = DramTransfer(self.machine.dram_latency_cycles, cycles, is_over=size_bytes == 0)
        if size_bytes:
            self.queue.append(made)
        return made

    def end(self) -> bool:
        """End the transfers that are done, the first in the queue first, and say whether there were any."""
        is_changed = False
        while self.queue and self.queue[0].latency_left == 0 and self.queue[0].cycles_left == 0:
            self.queue.pop(0).is_over = True
            is_changed = True
        return is_changed

    def pass_cycle(self) -> None:
        """Let one cycle pass: latencies run side by side, only the first in the queue transfers."""
        if self.queue and self.queue[0].latency_left == 0:
            self.queue[0].cycles_left -= 1
            self.busy_cycles += 1
        for transfer in self.queue:
            transfer.latency_left = max(0, transfer.latency_left - 1)
