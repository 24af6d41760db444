"""Follow transfers over the operand ports and the DRAM channel, one cycle at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

from oracle.stepped_records import Machine, divide_up


@dataclass(eq=False)
class PortRequest:
    """Follow one request for a port; the key is (border, 0 for a PPU or 1 for operands, group, burst)."""

    key: tuple[int, int, int, int]
    cycles_left: int
    is_over: bool = False


@dataclass(eq=False)
class Ports:
    """Grant ports in the order of the requests' keys."""

    machine: Machine
    queue: list[PortRequest] = field(default_factory=list)
    granted: list[PortRequest] = field(default_factory=list)
    busy_cycles: int = 0

    def request(self, key: tuple[int, int, int, int], size_bytes: int) -> PortRequest:
        """Queue a request of more than 0 bytes."""
        made = PortRequest(key, divide_up(size_bytes, self.machine.bytes_per_port_cycle))
        self.queue.append(made)
        return made

    def end(self) -> bool:
        """End the transfers that have no cycle left and say whether there were any."""
        ended = [request for request in self.granted if request.cycles_left == 0]
        for request in ended:
            request.is_over = True
        self.granted = [request for request in self.granted if not request.is_over]
        return bool(ended)

    def grant(self) -> bool:
        """Give free ports to the first requests in the queue and say whether any was given."""
        self.queue.sort(key=lambda request: request.key)
        limit = self.machine.ports
        free_ports = len(self.queue) if limit is None else limit - len(self.granted)
        self.granted += self.queue[:free_ports]
        is_changed = bool(self.queue[:free_ports])
        self.queue = self.queue[free_ports:]
        return is_changed

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

    def request(self, size_bytes: int) -> DramTransfer:
        """Queue a transfer unless it has no bytes."""
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
