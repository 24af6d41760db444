"""A run's events in the Chrome trace format, which Perfetto opens: one microsecond of the trace is one cycle.

Tracks: the layer steps, their tiles, each PE group's tasks and its states, each PPU, each
buffer port and the DRAM channel. Counters: bytes in the buffer and the bandwidth of ports and DRAM.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from sim.machine.trace import Action, StepTrace, Unit
from sim.version import MODEL_VERSION
from workloads.errors import InputError
from workloads.output_files import replace_file

IntArray = NDArray[np.int64]
MANY_EVENTS = 1_000_000
BANDWIDTH_SAMPLES = 200

PROCESS_NAMES = (
    "layer steps",
    "tiles",
    "PE groups: tasks",
    "PE groups: states",
    "PPUs",
    "buffer ports",
    "DRAM",
    "counters",
)
STEPS_PROCESS, COUNTER_PROCESS = 0, 7
# Viewers take a thread's number for its own in the whole trace, and 0 for none.
LANES = 100_000
LANE_WORDS = {1: "tile", 2: "group", 3: "group", 4: "PPU", 5: "port", 6: "channel"}
ACTION_WORDS = {
    Action.BUSY: "busy",
    Action.WAIT_PPU: "stalled by the PPU",
    Action.WAIT_DRAM: "waiting for DRAM",
    Action.WAIT_OPERANDS: "waiting for operands",
    Action.IDLE: "idle",
    Action.TASK: "task",
    Action.RESULTS: "results",
    Action.PROCESS: "process",
    Action.PPU_TRANSFER: "PPU transfer",
    Action.OPERAND_TRANSFER: "operands",
    Action.LOAD: "load",
    Action.WRITE_BACK: "write-back",
    Action.TILE: "tile",
}
# Of slices on one track, each lies within another or apart from it: states, which run on over tasks, have their own.
PROCESS_OF_ACTION = {
    **dict.fromkeys((Action.BUSY, Action.WAIT_PPU, Action.WAIT_DRAM, Action.WAIT_OPERANDS, Action.IDLE), 3),
    **dict.fromkeys((Action.RESULTS, Action.PROCESS), 4),
    **dict.fromkeys((Action.PPU_TRANSFER, Action.OPERAND_TRANSFER), 5),
    **dict.fromkeys((Action.LOAD, Action.WRITE_BACK), 6),
    Action.TASK: 2,
    Action.TILE: 1,
}
NUMBER_WORDS = {
    Action.PPU_TRANSFER: "group", Action.OPERAND_TRANSFER: "group",
    Action.LOAD: "tile", Action.WRITE_BACK: "tile", Action.TILE: "tile",
}  # fmt: skip
TASK_ACTIONS = (Action.TASK, Action.RESULTS, Action.PROCESS)


@dataclass(frozen=True, slots=True)
class Window:
    """The cycles of an iteration that are traced: slices that touch ``start .. end``; an end of None is the last."""

    start: int = 0
    end: int | None = None

    def choose(self, starts: IntArray, ends: IntArray) -> NDArray[np.bool_]:
        """Flag the slices that touch the window."""
        chosen = ends >= self.start
        return chosen if self.end is None else chosen & (starts < self.end)


WHOLE = Window()


def parse_window(text: str) -> Window:
    """Read ``START:END``, either of which may be left out.

    Raises:
        InputError: it has another form, or ends before it starts.
    """
    parts = text.split(":")
    if len(parts) != 2 or not all(part.strip() == "" or part.strip().isdecimal() for part in parts):
        raise InputError(f"--trace-window {text}: must be START:END in cycles of the iteration, such as 0:50000")
    start, end = (int(part) if part.strip() else None for part in parts)
    if end is not None and end <= (start or 0):
        raise InputError(f"--trace-window {text}: must end after it starts")
    return Window(start or 0, end)


@dataclass(frozen=True, eq=False)
class TracedStep:
    """A step in the iteration: its start in cycles, and the slices that touch the window; None for a pass."""

    layer: str
    step: str
    start: int
    cycles: int
    trace: StepTrace | None


@dataclass(eq=False)
class IterationTrace:
    """The slices of an iteration's steps, one after the other, as far as they touch a window.

    on_many: told once, in a sentence, when there are more than a million events.
    """

    machine: str
    window: Window = field(default_factory=Window)
    on_many: Callable[[str], None] | None = None
    steps: list[TracedStep] = field(default_factory=list)
    cycles: int = 0
    events: int = 0

    def add(self, layer: str, step: str, cycles: int, trace: StepTrace | None) -> None:
        """Add the next step; a pass has no slices of its own."""
        start, end = self.cycles, self.cycles + cycles
        self.cycles = end
        if not self.window.choose(np.array([start]), np.array([end]))[0]:
            return
        kept = None
        if trace is not None:
            slices = trace.slices + np.array([0, 0, 0, start, start, 0, 0])
            slices = slices[self.window.choose(slices[:, 3], slices[:, 4])]
            kept = StepTrace(slices, trace.index_names, trace.indices)
        self.steps.append(TracedStep(layer, step, start, cycles, kept))
        before, self.events = self.events, self.events + 1 + (0 if kept is None else len(kept.slices))
        if self.on_many is not None and before <= MANY_EVENTS < self.events:
            self.on_many(
                f"the trace has more than {MANY_EVENTS:,} events (at cycle {end:,}), which a viewer may be slow "
                "to open; --trace-window START:END bounds it"
            )


def write_trace(path: Path, iteration: IterationTrace) -> None:
    """Write an iteration's events, gzipped; whole or not at all."""
    replace_file(path, lambda temporary: fill_trace(temporary, iteration))


def fill_trace(path: Path, iteration: IterationTrace) -> None:
    """Write an iteration's events, gzipped, into a file."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as file:
        write_events(file, iteration)  # type: ignore[arg-type]


def write_events(file: IO[bytes], iteration: IterationTrace) -> None:
    """Write the events, and behind them how many they are, so that a file cut short can be told."""
    file.write(b'{"displayTimeUnit":"ns","traceEvents":[\n')
    file.write(",\n".join(name_tracks(iteration)).encode())
    for step in iteration.steps:
        lines = [*write_step(step), *write_occupancy(step), *write_bandwidth(step)]
        file.write((",\n" + ",\n".join(lines)).encode())
    about = {
        "producer": f"sparsetrain {MODEL_VERSION}",
        "machine": iteration.machine,
        "unit": "1 us is 1 cycle",
        "slices": iteration.events,
        "cycles": iteration.cycles,
    }
    file.write(f'\n],"otherData":{json.dumps(about)}}}\n'.encode())


def name_tracks(iteration: IterationTrace) -> list[str]:
    """Name the processes and the threads that occur."""
    lines = [write_name("process_name", pid, 0, name) for pid, name in enumerate(PROCESS_NAMES)]
    for pid in range(len(PROCESS_NAMES)):
        lines.append(f'{{"ph":"M","pid":{pid},"name":"process_sort_index","args":{{"sort_index":{pid}}}}}')
    lines.append(write_name("thread_name", STEPS_PROCESS, number_thread(STEPS_PROCESS, 0), "steps"))
    lanes = {
        (PROCESS_OF_ACTION[Action(action)], lane)
        for step in iteration.steps
        if step.trace is not None
        for lane, action in np.unique(step.trace.slices[:, 1:3], axis=0).tolist()
    }
    lines += [
        write_name("thread_name", pid, number_thread(pid, lane), f"{LANE_WORDS[pid]} {lane}")
        for pid, lane in sorted(lanes)
    ]
    return lines


def number_thread(pid: int, lane: int) -> int:
    """Give a lane its number among all threads."""
    return 1 + pid * LANES + lane


def write_name(kind: str, pid: int, tid: int, name: str) -> str:
    """Write a metadata event."""
    return f'{{"ph":"M","pid":{pid},"tid":{tid},"name":"{kind}","args":{{"name":{json.dumps(name)}}}}}'


def write_step(step: TracedStep) -> Iterator[str]:
    """Write the slices of a step."""
    layer, name = json.dumps(step.layer), json.dumps(step.step)
    where = f'"layer":{layer},"step":{name}'
    title = json.dumps(f"{step.layer} {step.step}")
    head = f'{{"ph":"X","pid":{STEPS_PROCESS},"tid":{number_thread(STEPS_PROCESS, 0)}'
    yield f'{head},"ts":{step.start},"dur":{step.cycles},"name":{title},"args":{{{where}}}}}'
    if step.trace is None:
        return
    tasks = [
        ",".join(f"{json.dumps(word)}:{index}" for word, index in zip(step.trace.index_names, line, strict=True))
        for line in step.trace.indices.tolist()
    ]
    heads = [f'{{"ph":"X","pid":{PROCESS_OF_ACTION[action]},"tid":' for action in Action]
    firsts = [number_thread(PROCESS_OF_ACTION[action], 0) for action in Action]
    tails = [describe_action(action, where) for action in Action]
    is_task = [action in TASK_ACTIONS for action in Action]
    # A viewer takes a slice for the parent of those behind it that start with it and end no later.
    slices = step.trace.slices[np.lexsort((-step.trace.slices[:, 4], step.trace.slices[:, 3]))]
    for _, lane, action, start, end, number, amount in slices.tolist():
        rest = tails[action].replace("#", str(number)).replace("@", str(amount))
        if is_task[action]:
            rest = rest.replace("$", tasks[number])
        yield f'{heads[action]}{firsts[action] + lane},"ts":{start},"dur":{end - start},{rest}}}'


def describe_action(action: Action, where: str) -> str:
    """Write what is the same in all slices of an action; # stands for its number, @ for its amount, $ for its task."""
    plain = f'"name":"{ACTION_WORDS[action]}","cat":"{ACTION_WORDS[action]}"'
    if action in TASK_ACTIONS:
        more = ',"elements":@' if action is Action.PROCESS else ""
        return f'{plain},"args":{{{where},"task":#,$' + more + "}"
    if action in NUMBER_WORDS:
        more = "" if action is Action.TILE else ',"bytes":@'
        return f'{plain},"args":{{{where},"{NUMBER_WORDS[action]}":#{more}}}'
    return plain


def write_occupancy(step: TracedStep) -> Iterator[str]:
    """Write the bytes in the buffer: operand tiles from the end of their load, output tiles until written back.

    An output tile counts from the end of its tile on; the operands of a tile leave with it.
    """
    if step.trace is None:
        return
    slices = step.trace.slices
    loads, tiles = (slices[slices[:, 2] == action] for action in (Action.LOAD, Action.TILE))
    outputs = slices[slices[:, 2] == Action.WRITE_BACK]
    ends = dict(tiles[:, [5, 4]].tolist())
    sizes = [(end, size, 0) for end, tile, size in loads[:, [4, 5, 6]].tolist() if tile in ends]
    sizes += [(ends[tile], -size, 0) for tile, size in loads[:, [5, 6]].tolist() if tile in ends]
    sizes += [(ends[tile], 0, size) for tile, size in outputs[:, [5, 6]].tolist() if tile in ends]
    sizes += [(end, 0, -size) for tile, end, size in outputs[:, [5, 4, 6]].tolist() if tile in ends]
    operands = results = 0
    for time, operand_bytes, result_bytes in sorted(sizes):
        operands, results = operands + operand_bytes, results + result_bytes
        yield (
            f'{{"ph":"C","pid":{COUNTER_PROCESS},"ts":{time},"name":"buffer bytes",'
            f'"args":{{"operand tiles":{operands},"output tiles":{results}}}}}'
        )


def write_bandwidth(step: TracedStep) -> Iterator[str]:
    """Write the mean bytes a cycle through ports and DRAM, in a step's equal parts."""
    if step.trace is None or step.cycles == 0:
        return
    parts = min(BANDWIDTH_SAMPLES, step.cycles)
    borders = step.start + np.arange(parts + 1) * step.cycles // parts
    for name, unit in (("port bytes per cycle", Unit.PORT), ("DRAM bytes per cycle", Unit.DRAM)):
        slices = step.trace.slices[step.trace.slices[:, 0] == unit]
        places = np.clip(np.searchsorted(borders, slices[:, 3], side="right") - 1, 0, parts - 1)
        spread = spread_bytes(slices, borders, places)
        for time, rate in zip(borders[:-1].tolist(), (spread / np.diff(borders)).tolist(), strict=True):
            yield (
                f'{{"ph":"C","pid":{COUNTER_PROCESS},"ts":{time},"name":"{name}",'
                f'"args":{{"bytes per cycle":{rate:.6g}}}}}'
            )


def spread_bytes(slices: IntArray, borders: IntArray, places: IntArray) -> NDArray[np.float64]:
    """Spread the bytes of each slice evenly over its cycles: float64 ``(parts,)``, summed by part."""
    starts, ends, sizes = slices[:, 3], slices[:, 4], slices[:, 6].astype(np.float64)
    instant = starts == ends
    total = np.bincount(places[instant], weights=sizes[instant], minlength=len(borders) - 1)
    starts, ends, sizes = starts[~instant], ends[~instant], sizes[~instant]
    # The bytes moved up to a border are those of all slices, each cut at the border.
    order_starts, order_ends = np.argsort(starts), np.argsort(ends)
    rates = sizes / (ends - starts)
    moved = sum_before(borders, starts[order_starts], rates[order_starts])
    moved -= sum_before(borders, ends[order_ends], rates[order_ends])
    spread: NDArray[np.float64] = total + np.diff(moved)
    return spread


def sum_before(borders: IntArray, times: IntArray, rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum ``rate x (border - time)`` over the sorted times before each border: float64 ``(borders,)``."""
    counts = np.searchsorted(times, borders)
    sums = np.concatenate(([0.0], np.cumsum(rates)))
    moments = np.concatenate(([0.0], np.cumsum(rates * times)))
    result: NDArray[np.float64] = borders.astype(np.float64) * sums[counts] - moments[counts]
    return result
