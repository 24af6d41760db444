"""Follow a PE group, its bursts and its PPU, one cycle at a time."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from oracle.stepped_records import Machine, TimedTask, divide_up
from oracle.stepped_transfers import PortRequest, Ports


@dataclass(eq=False)
class Burst:
    """Follow one burst through the operand store; a PE that has not started on it has None cycles left.

    `driver` is (bytes of its driver rows, which these are) where they are requested apart from the others.
    """

    size_bytes: int
    pe_cycles: tuple[int, ...]
    pe_cycles_left: list[int | None]
    driver: tuple[int, Hashable] | None = None
    requests: list[PortRequest] = field(default_factory=list)
    has_arrived: bool = False

    @property
    def parts(self) -> list[tuple[int, Hashable | None]]:
        """List its requests: their bytes, and the driver rows that others may ask for too."""
        if self.driver is None:
            return [(self.size_bytes, None)]
        return [self.driver, (self.size_bytes - self.driver[0], None)]

    @property
    def is_started(self) -> bool:
        """Say whether the first of its PEs has started on it."""
        return self.has_arrived and (not self.pe_cycles or any(left is not None for left in self.pe_cycles_left))

    @property
    def is_ended(self) -> bool:
        """Say whether all PEs have ended it."""
        return self.has_arrived and all(left == 0 for left in self.pe_cycles_left)


@dataclass(eq=False)
class HeldTask:
    """Keep a task with the bursts that its group follows."""

    task: TimedTask
    bursts: list[Burst]

    @property
    def is_on_last_burst(self) -> bool:
        """Say whether a PE has started on the last burst; true without bursts."""
        return not self.bursts or self.bursts[-1].is_started

    @property
    def is_ended(self) -> bool:
        """Say whether every PE has ended every burst."""
        return all(burst.is_ended for burst in self.bursts)

    def start_pes(self) -> bool:
        """Start each PE on its next burst if it may and say whether anything changed."""
        is_changed = False
        for pe in range(len(self.bursts[0].pe_cycles) if self.bursts else 0):
            for burst in self.bursts:
                if burst.pe_cycles_left[pe] is None and burst.has_arrived:
                    burst.pe_cycles_left[pe] = burst.pe_cycles[pe]
                    is_changed = True
                if burst.pe_cycles_left[pe] != 0:
                    break
        return is_changed


@dataclass(eq=False)
class PostProcessor:
    """Follow the results of one task in process and of one that waits."""

    machine: Machine
    group: int
    in_process: TimedTask | None = None
    waiting: TimedTask | None = None
    stage: str = "read"
    request: PortRequest | None = None
    compute_cycles_left: int = 0
    busy_cycles: int = 0
    finished_tasks: int = 0

    @property
    def has_free_place(self) -> bool:
        """Say whether a task's results can be handed over."""
        return self.in_process is None or self.waiting is None

    def take(self, task: TimedTask) -> None:
        """Take a task's results into a free place."""
        if self.in_process is None:
            self.in_process, self.stage = task, "read"
        else:
            self.waiting = task

    def end(self) -> bool:
        """Leave the present stage if it has ended and say whether it has."""
        if self.in_process is None:
            return False
        if self.stage == "read" and self._has_passed_port(self.in_process.ppu_read_bytes):
            self.stage, self.request = "compute", None
            self.compute_cycles_left = divide_up(self.in_process.elements, self.machine.elements_per_cycle)
        elif self.stage == "compute" and self.compute_cycles_left == 0:
            self.stage = "write"
        elif self.stage == "write" and self._has_passed_port(self.in_process.write_bytes):
            self.in_process, self.waiting = self.waiting, None
            self.stage, self.request = "read", None
            self.finished_tasks += 1
        else:
            return False
        return True

    def _has_passed_port(self, size_bytes: int) -> bool:
        return size_bytes == 0 or (self.request is not None and self.request.is_over)

    def queue_requests(self, ports: Ports, border: int) -> bool:
        """Request the port for a read or a write that has come up and say whether there was one."""
        if self.in_process is None or self.request is not None or self.stage == "compute":
            return False
        size_bytes = self.in_process.ppu_read_bytes if self.stage == "read" else self.in_process.write_bytes
        self.request = ports.request((border, 0, self.group, 0, 0), size_bytes)
        return True

    def pass_cycle(self) -> None:
        """Let one cycle pass."""
        if self.in_process is not None and self.stage == "compute":
            self.compute_cycles_left -= 1
            self.busy_cycles += 1


@dataclass(eq=False)
class Group:
    """Follow a PE group: its present task, the one handed over ahead and its sequence of bursts."""

    machine: Machine
    ppu: PostProcessor
    present: HeldTask | None = None
    following: HeldTask | None = None
    live_bursts: dict[int, Burst] = field(default_factory=dict)
    taken_bursts: int = 0
    void_tasks: int = 0
    waits: dict[str, int] = field(default_factory=dict)

    @property
    def may_take_task(self) -> bool:
        """Say whether the next task can be handed over."""
        if self.present is None:
            return True
        return self.machine.prefetch_next_task and self.following is None and self.present.is_on_last_burst

    @property
    def has_running_pe(self) -> bool:
        """Say whether any PE runs a row operation in the coming cycle."""
        if self.present is None:
            return False
        return any(left for burst in self.present.bursts for left in burst.pe_cycles_left)

    def take(self, task: TimedTask) -> None:
        """Accept a task behind the present one."""
        drivers = task.drivers if self.machine.multicast > 1 else (None,) * len(task.bursts)
        bursts = [
            Burst(size_bytes, pes, [None] * len(pes), driver)
            for (size_bytes, pes), driver in zip(task.bursts, drivers, strict=True)
        ]
        for burst in bursts:
            self.live_bursts[self.taken_bursts] = burst
            self.taken_bursts += 1
        held = HeldTask(task, bursts)
        if self.present is None:
            self.present = held
        else:
            self.following = held

    def _has_free_half(self, number: int) -> bool:
        return number - 2 not in self.live_bursts or self.live_bursts[number - 2].is_ended

    def end(self) -> bool:
        """Let bursts arrive and PEs go on, and say whether anything changed."""
        is_changed = False
        for number, burst in self.live_bursts.items():
            is_requested = bool(burst.requests) or (burst.size_bytes == 0 and self._has_free_half(number))
            is_here = is_requested and all(request.is_over for request in burst.requests)
            if is_here and not burst.has_arrived:
                burst.has_arrived = is_changed = True
        return (self.present is not None and self.present.start_pes()) or is_changed

    def hand_over_results(self) -> bool:
        """Hand an ended task's results to the PPU if it has a place, or drop it if it has none; say whether it went."""
        if self.present is None or not self.present.is_ended:
            return False
        if not self.present.task.passes_ppu:
            self.void_tasks += 1
        elif self.ppu.has_free_place:
            self.ppu.take(self.present.task)
        else:
            return False
        self.present, self.following = self.following, None
        return True

    def queue_requests(self, ports: Ports, border: int) -> bool:
        """Request the bursts whose half has become free and say whether there were any."""
        is_changed = False
        for number, burst in self.live_bursts.items():
            if not burst.requests and burst.size_bytes and self._has_free_half(number):
                burst.requests = [
                    ports.request((border, 1, self.ppu.group, number, part), size_bytes, rows)
                    for part, (size_bytes, rows) in enumerate(burst.parts)
                    if size_bytes
                ]
                is_changed = True
        return is_changed

    def pass_cycle(self, waits_for_tile: bool) -> None:
        """Let one cycle pass and attribute it."""
        if self.has_running_pe:
            reason = "busy"
        elif self.present is not None and self.present.is_ended:
            reason = "ppu"
        elif waits_for_tile:
            reason = "dram"
        else:
            reason = "idle" if self.present is None else "operands"
        self.waits[reason] = self.waits.get(reason, 0) + 1
        for burst in self.present.bursts if self.present else []:
            burst.pe_cycles_left = [left - 1 if left else left for left in burst.pe_cycles_left]
        self.live_bursts = {number: burst for number, burst in self.live_bursts.items() if not burst.is_ended}
