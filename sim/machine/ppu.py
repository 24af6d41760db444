"""The post-processing unit of a PE group: one task's results in process, and one task's may wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sim.machine.clock import CountingEnvironment, call_after
from sim.machine.ports import PPU, Ports
from sim.machine.trace import Action, TraceRecorder, Unit


@dataclass(frozen=True, slots=True)
class Results:
    """What a task hands over: bytes to read first, elements to process, bytes to write."""

    entry: int
    read_bytes: int
    elements: int
    write_bytes: int


class PostProcessor:
    """Reads what a task's results need, processes their elements, writes them back, each through one port request.

    Attributes:
        elements_per_cycle: None processes any number in no time. on_place is called when a place becomes free,
            on_finish with the entry whose write has ended.
    """

    def __init__(
        self,
        env: CountingEnvironment,
        group: int,
        ports: Ports,
        elements_per_cycle: int | None,
        on_place: Callable[[], None],
        on_finish: Callable[[int], None],
        trace: TraceRecorder | None = None,
    ) -> None:
        self._trace = trace
        self._started = 0
        self._env = env
        self._group = group
        self._ports = ports
        self._elements_per_cycle = elements_per_cycle
        self._on_place = on_place
        self._on_finish = on_finish
        self._in_process: Results | None = None
        self._waiting: Results | None = None
        self.busy_cycles = 0

    @property
    def has_place(self) -> bool:
        """Whether a task's results can be handed over."""
        return self._in_process is None or self._waiting is None

    def take(self, results: Results) -> None:
        """Take a task's results into a free place."""
        if self._in_process is None:
            self._start(results)
        else:
            self._waiting = results

    def _start(self, results: Results) -> None:
        self._started = int(self._env.now)
        self._in_process = results
        if results.read_bytes:
            self._ports.request(PPU, self._group, 0, results.read_bytes, self._process)
        else:
            self._process()

    def _process(self) -> None:
        assert self._in_process is not None
        cycles = 0
        if self._elements_per_cycle is not None:
            cycles = -(-self._in_process.elements // self._elements_per_cycle)
        self.busy_cycles += cycles
        if self._trace is not None:
            now, results = int(self._env.now), self._in_process
            self._trace.note(Unit.PPU, self._group, Action.PROCESS, now, now + cycles, results.entry, results.elements)
        call_after(self._env, cycles, self._write)

    def _write(self) -> None:
        assert self._in_process is not None
        if self._in_process.write_bytes:
            self._ports.request(PPU, self._group, 0, self._in_process.write_bytes, self._finish)
        else:
            self._finish()

    def _finish(self) -> None:
        assert self._in_process is not None
        entry, following = self._in_process.entry, self._waiting
        if self._trace is not None:
            self._trace.note(Unit.PPU, self._group, Action.RESULTS, self._started, int(self._env.now), entry)
        self._in_process = self._waiting = None
        if following is not None:
            self._start(following)
        self._on_finish(entry)
        self._on_place()
