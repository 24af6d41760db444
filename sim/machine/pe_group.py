"""A PE group: fetches its tasks' operand bursts into two halves, and works them PE by PE."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from dataflows.contract.memory import Traffic
from sim.machine.clock import CountingEnvironment, Phase, call_after, call_at
from sim.machine.controller import Controller
from sim.machine.ledger import Ledger, State
from sim.machine.ports import OPERANDS, Ports
from sim.machine.ppu import PostProcessor, Results
from sim.machine.trace import Action, TraceRecorder, Unit


@dataclass(eq=False, slots=True)
class HeldTask:
    """A task that a group was handed: the PEs' progress through its bursts.

    Attributes:
        ready: When each PE has ended the burst before.
        started: Bursts that the PEs have been put on.
    """

    entry: int
    bursts: int
    ready: list[int]
    started: int = 0
    arrived: deque[tuple[int, int]] = field(default_factory=deque)


@dataclass(frozen=True, slots=True, eq=False)
class GroupSurroundings:
    """What all PE groups of a machine share.

    Attributes:
        on_task_end: Told of each task of which no PE has work left.
    """

    env: CountingEnvironment
    traffic: Traffic
    ports: Ports
    controller: Controller
    ledger: Ledger
    prefetches: bool
    shares_reads: bool
    on_task_end: Callable[[], None]
    trace: TraceRecorder | None = None


class PEGroup:
    """Works one task after the other; with look-ahead, the next task's bursts follow in the same sequence of halves."""

    def __init__(self, index: int, shared: GroupSurroundings, on_finish: Callable[[int], None]) -> None:
        self._trace = shared.trace
        self._began = 0
        self._env = shared.env
        self._index = index
        self._traffic = shared.traffic
        self._ports = shared.ports
        self._controller = shared.controller
        self._ledger = shared.ledger
        self._prefetches = shared.prefetches
        self._shares_reads = shared.shares_reads
        self._on_task_end = shared.on_task_end
        self._on_finish = on_finish
        self._passes_ppu = shared.traffic.passes_ppu
        self._present: HeldTask | None = None
        self._following: HeldTask | None = None
        self._is_offered = False
        self._is_ended = False
        # Bursts by their number in the group's whole sequence: taken, requested, ended, and those here out of turn.
        self._sequence: list[tuple[HeldTask, int]] = []
        self._requested = 0
        self._ended = 0
        self._here: set[int] = set()
        self._missing: dict[int, int] = {}
        self._next_arrival = 0
        self.ppu: PostProcessor

    def start(self) -> None:
        """Ask for the first task."""
        self._offer()

    def _offer(self) -> None:
        if not self._is_offered:
            self._is_offered = True
            self._controller.offer(self._index, self._take)

    def _take(self, entry: int) -> None:
        self._is_offered = False
        first, end = int(self._traffic.burst_first[entry]), int(self._traffic.burst_first[entry + 1])
        task = HeldTask(entry, end - first, [0] * int(self._traffic.pes[entry]))
        self._sequence += [(task, burst) for burst in range(first, end)]
        if self._present is None:
            self._begin(task)
        else:
            self._following = task
        self._request_bursts()

    def _begin(self, task: HeldTask) -> None:
        """Make a task the present one: its PEs may start on what has arrived."""
        now = int(self._env.now)
        self._ledger.attribute(self._index, State.IDLE, now)
        self._began = now
        self._present = task
        self._is_ended = False
        task.ready = [now] * len(task.ready)
        if task.bursts == 0:
            self._end_task()
        self._work()

    def _request_bursts(self) -> None:
        """Request every next burst whose half is free."""
        while self._requested < len(self._sequence) and self._requested - 2 < self._ended:
            number = self._requested
            self._requested += 1
            size_bytes = int(self._traffic.burst_bytes[self._sequence[number][1]])
            if self._shares_reads:
                self._request_parts(number, size_bytes)
            elif size_bytes:
                self._ports.request(OPERANDS, self._index, number, size_bytes, partial(self._arrive, number))
            else:
                self._arrive(number)

    def _request_parts(self, number: int, size_bytes: int) -> None:
        """Request the driver rows of a burst, and its other rows; it arrives with the later of the two."""
        burst, traffic = self._sequence[number][1], self._traffic
        assert traffic.driver_bytes is not None
        assert traffic.driver_rows is not None
        driver_bytes, rows = int(traffic.driver_bytes[burst]), int(traffic.driver_rows[burst])
        sizes = driver_bytes, size_bytes - driver_bytes
        self._missing[number] = sum(size > 0 for size in sizes)
        if not size_bytes:
            self._arrive(number)
        for part, size in enumerate(sizes):
            if size:
                arrive = partial(self._arrive_part, number)
                self._ports.request(OPERANDS, self._index, number, size, arrive, part, None if part else rows)

    def _arrive_part(self, number: int) -> None:
        """Note that a part of a burst is here."""
        self._missing[number] -= 1
        if not self._missing[number]:
            self._arrive(number)

    def _arrive(self, number: int) -> None:
        """Note that a burst is here; PEs take bursts in their order."""
        self._here.add(number)
        while self._next_arrival in self._here:
            self._here.remove(self._next_arrival)
            task, burst = self._sequence[self._next_arrival]
            task.arrived.append((self._next_arrival, burst))
            self._next_arrival += 1
        self._work()

    def _work(self) -> None:
        """Put the PEs of the present task on the bursts that are here: when they start and end follows from that."""
        task, now = self._present, int(self._env.now)
        while task is not None and task.arrived:
            _, burst = task.arrived.popleft()
            task.started += 1
            starts = [max(now, ready) for ready in task.ready]
            cycles = self._traffic.burst_cycles[burst]
            task.ready = [start + int(cycles[pe]) for pe, start in enumerate(starts)]
            self._attribute(sorted(zip(starts, task.ready, strict=True)))
            if task.started == task.bursts:
                if self._prefetches:
                    call_after(self._env, min(starts) - now, self._offer)
                call_after(self._env, max(task.ready) - now, self._end_last_burst)
            else:
                call_after(self._env, max(task.ready) - now, self._end_burst)

    def _attribute(self, runs: list[tuple[int, int]]) -> None:
        """Attribute the union of PE runs as busy, and the gap before it as waiting for operands."""
        for start, end in runs:
            if end > start:
                if start > self._ledger.until(self._index):
                    self._ledger.attribute(self._index, State.WAIT_OPERANDS, start)
                if end > self._ledger.until(self._index):
                    self._ledger.attribute(self._index, State.BUSY, end)

    def _end_burst(self) -> None:
        self._ended += 1
        self._request_bursts()

    def _end_last_burst(self) -> None:
        self._end_burst()
        self._end_task()

    def _end_task(self) -> None:
        now = int(self._env.now)
        if now > self._ledger.until(self._index):
            self._ledger.attribute(self._index, State.WAIT_OPERANDS, now)
        self._is_ended = True
        if self._trace is not None and self._present is not None:
            self._trace.note(Unit.GROUP, self._index, Action.TASK, self._began, now, self._present.entry)
        self._on_task_end()
        if self._present is not None and self._present.bursts == 0 and self._prefetches:
            self._offer()
        call_at(self._env, Phase.RESULTS, self.hand_over)

    def on_place(self) -> None:
        """Hand over results that wait for a place in the PPU."""
        if self._is_ended:
            call_at(self._env, Phase.RESULTS, self.hand_over)

    def hand_over(self) -> None:
        """Hand an ended task's results to the PPU if it has a place, and go on with the next task.

        A task whose results must be zero hands nothing over and needs no place.
        """
        task = self._present
        if task is None or not self._is_ended:
            return
        passes_ppu = bool(self._passes_ppu[task.entry])
        if passes_ppu and not self.ppu.has_place:
            return
        self._ledger.attribute(self._index, State.WAIT_PPU, int(self._env.now))
        traffic, entry = self._traffic, task.entry
        self._present, self._is_ended = None, False
        if passes_ppu:
            self.ppu.take(
                Results(
                    entry,
                    int(traffic.ppu_read_bytes[entry]),
                    int(traffic.ppu_elements[entry]),
                    int(traffic.ppu_write_bytes[entry]),
                )
            )
        else:
            self._on_finish(entry)
        following, self._following = self._following, None
        if following is not None:
            self._begin(following)
        else:
            self._offer()
