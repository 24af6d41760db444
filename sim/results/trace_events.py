"""The lines of a trace: a step's slices and counters as events of the Chrome trace format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.machine.trace import Action, StepTrace, Unit
from workloads.arrays import IntArray

BANDWIDTH_SAMPLES = 200
LINES_AT_A_TIME = 8192
UNTOLD = "%.0s"

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


@dataclass(frozen=True, eq=False)
class TracedStep:
    """A step in the iteration: its start in cycles, and the slices that touch the window; None for a pass."""

    layer: str
    step: str
    start: int
    cycles: int
    trace: StepTrace | None


def name_processes() -> list[str]:
    """Name the processes, in their order."""
    return [
        *(write_name("process_name", pid, 0, name) for pid, name in enumerate(PROCESS_NAMES)),
        *(
            f'{{"ph":"M","pid":{pid},"name":"process_sort_index","args":{{"sort_index":{pid}}}}}'
            for pid in range(len(PROCESS_NAMES))
        ),
        write_name("thread_name", STEPS_PROCESS, number_thread(STEPS_PROCESS, 0), "steps"),
    ]


def list_lanes(trace: StepTrace | None) -> set[tuple[int, int]]:
    """List the process and the lane of every track that a step has slices on."""
    if trace is None:
        return set()
    # One number for both: finding distinct rows would sort copies of them.
    marks = np.unique(trace.slices[:, 1] * len(Action) + trace.slices[:, 2]).tolist()
    return {(PROCESS_OF_ACTION[Action(mark % len(Action))], mark // len(Action)) for mark in marks}


def name_lanes(lanes: Iterable[tuple[int, int]]) -> list[str]:
    """Name the threads of lanes."""
    return [
        write_name("thread_name", pid, number_thread(pid, lane), f"{LANE_WORDS[pid]} {lane}")
        for pid, lane in sorted(lanes)
    ]


def number_thread(pid: int, lane: int) -> int:
    """Give a lane its number among all threads."""
    return 1 + pid * LANES + lane


def write_name(kind: str, pid: int, tid: int, name: str) -> str:
    """Write a metadata event."""
    return f'{{"ph":"M","pid":{pid},"tid":{tid},"name":"{kind}","args":{{"name":{json.dumps(name)}}}}}'


def write_slices(step: TracedStep) -> Iterator[str]:
    """Write the slices of a step, some thousands of lines at a time."""
    layer, name = json.dumps(step.layer), json.dumps(step.step)
    where = f'"layer":{layer},"step":{name}'
    title = json.dumps(f"{step.layer} {step.step}")
    head = f'{{"ph":"X","pid":{STEPS_PROCESS},"tid":{number_thread(STEPS_PROCESS, 0)}'
    yield f'{head},"ts":{step.start},"dur":{step.cycles},"name":{title},"args":{{{where}}}}}'
    if step.trace is None:
        return
    indices = ",".join(f"{json.dumps(word).replace('%', '%%')}:%d" for word in step.trace.index_names)
    tasks = [indices % tuple(line) for line in step.trace.indices.tolist()]
    templates = [describe_action(action, where.replace("%", "%%")) for action in Action]
    firsts = [number_thread(PROCESS_OF_ACTION[action], 0) for action in Action]
    is_task = [action in TASK_ACTIONS for action in Action]
    slices = step.trace.slices
    # A viewer takes a slice for the parent of those behind it that start with it and end no later.
    order = np.lexsort((-slices[:, 4], slices[:, 3]))
    for first in range(0, len(order), LINES_AT_A_TIME):
        rows = slices[order[first : first + LINES_AT_A_TIME], 1:].tolist()
        yield ",\n".join([
            templates[action] % (firsts[action] + lane, start, end - start, number, amount, tasks[number])
            if is_task[action]
            else templates[action] % (firsts[action] + lane, start, end - start, number, amount)
            for lane, action, start, end, number, amount in rows
        ])  # fmt: skip


def describe_action(action: Action, where: str) -> str:
    """Make the template of an action's lines: thread, start, length, number, amount, and the indices of a task."""
    head = f'{{"ph":"X","pid":{PROCESS_OF_ACTION[action]},"tid":%d,"ts":%d,"dur":%d'
    plain = f'{head},"name":"{ACTION_WORDS[action]}","cat":"{ACTION_WORDS[action]}"'
    if action in TASK_ACTIONS:
        # A conversion of precision 0 writes nothing of its text: what the line does not tell is passed over.
        more = ',"elements":%d' if action is Action.PROCESS else UNTOLD
        return f'{plain},"args":{{{where},"task":%d{more},%s}}}}'
    if action in NUMBER_WORDS:
        more = UNTOLD if action is Action.TILE else ',"bytes":%d'
        return f'{plain},"args":{{{where},"{NUMBER_WORDS[action]}":%d{more}}}}}'
    return f"{plain}{UNTOLD}{UNTOLD}}}"


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
