from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim import trace_file
from sim.machine.trace import Action, StepTrace, TraceRecorder, Unit
from sim.trace_file import WHOLE, IterationTrace, Window, parse_window, write_trace
from workloads.errors import InputError


def make_trace(*slices: tuple[int, int, int, int, int, int, int]) -> StepTrace:
    """A trace of one task, the third of image 1."""
    return StepTrace(np.array(slices, dtype=np.int64).reshape(-1, 7), ("image", "row"), np.array([[1, 2]]))


def read(path: Path) -> dict[str, Any]:
    """Read a trace file."""
    trace: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return trace


def list_slices(trace: dict[str, Any]) -> list[tuple[str, int, int]]:
    """List name, start and length of the slices."""
    return [(event["name"], event["ts"], event["dur"]) for event in trace["traceEvents"] if event["ph"] == "X"]


TASK = (int(Unit.GROUP), 4, int(Action.TASK), 10, 30, 0, -1)


def test_a_step_starts_where_the_one_before_it_ended(tmp_path: Path) -> None:
    iteration = IterationTrace("machine")
    iteration.add("one", "forward", 100, make_trace(TASK))
    iteration.add("two", "forward", 50, None)
    iteration.add("one", "gtw", 70, make_trace(TASK))
    write_trace(tmp_path / "t.json.gz", iteration)
    trace = read(tmp_path / "t.json.gz")
    assert list_slices(trace) == [
        ("one forward", 0, 100), ("task", 10, 20), ("two forward", 100, 50), ("one gtw", 150, 70), ("task", 160, 20),
    ]  # fmt: skip
    assert (trace["otherData"]["slices"], trace["otherData"]["cycles"]) == (5, 220)


def test_a_task_tells_layer_step_and_indices(tmp_path: Path) -> None:
    iteration = IterationTrace("machine")
    iteration.add('a"b', "gta", 100, make_trace(TASK))
    write_trace(tmp_path / "t.json.gz", iteration)
    task = next(event for event in read(tmp_path / "t.json.gz")["traceEvents"] if event["name"] == "task")
    assert task["args"] == {"layer": 'a"b', "step": "gta", "task": 0, "image": 1, "row": 2}


def test_only_slices_that_touch_the_window_are_written(tmp_path: Path) -> None:
    iteration = IterationTrace("machine", Window(120, 160))
    for layer in ("one", "two", "three"):
        iteration.add(layer, "forward", 100, make_trace(TASK, (int(Unit.GROUP), 4, int(Action.BUSY), 50, 70, -1, -1)))
    write_trace(tmp_path / "t.json.gz", iteration)
    assert list_slices(read(tmp_path / "t.json.gz")) == [
        ("two forward", 100, 100),
        ("task", 110, 20),
        ("busy", 150, 20),
    ]


def test_more_than_a_million_events_are_told_once_and_before_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_file, "MANY_EVENTS", 3)
    told: list[str] = []
    iteration = IterationTrace("machine", WHOLE, told.append)
    iteration.add("one", "forward", 100, make_trace(TASK, TASK))
    assert told == []
    iteration.add("two", "forward", 100, make_trace(TASK))
    iteration.add("three", "forward", 100, make_trace(TASK))
    assert told == [
        "the trace has more than 3 events (at cycle 200), which a viewer may be slow to open; "
        "--trace-window START:END bounds it"
    ]


def test_adjoining_times_in_one_state_are_one_slice() -> None:
    recorder = TraceRecorder()
    recorder.note_state(0, Action.BUSY, 0, 5)
    recorder.note_state(0, Action.BUSY, 5, 5)
    recorder.note_state(1, Action.BUSY, 2, 4)
    recorder.note_state(0, Action.BUSY, 5, 9)
    recorder.note_state(0, Action.IDLE, 9, 11)
    found = recorder.finish((), np.zeros((0, 0), dtype=np.int64), None).slices[:, 1:5].tolist()
    assert found == [[0, Action.BUSY, 0, 9], [1, Action.BUSY, 2, 4], [0, Action.IDLE, 9, 11]]


def test_transfers_take_the_lowest_port_that_is_free() -> None:
    recorder = TraceRecorder()
    for start, end in ((0, 10), (0, 4), (4, 6), (5, 7), (10, 12)):
        recorder.note_transfer(Action.OPERAND_TRANSFER, 3, start, end, 16)
    ports = recorder.finish((), np.zeros((0, 0), dtype=np.int64), None).slices[:, 1].tolist()
    assert ports == [0, 1, 1, 2, 0]


def test_bytes_are_spread_over_the_cycles_of_their_transfers(tmp_path: Path) -> None:
    iteration = IterationTrace("machine")
    load = (int(Unit.DRAM), 0, int(Action.LOAD), 1, 4, 0, 96)
    iteration.add("one", "forward", 5, make_trace(load))
    write_trace(tmp_path / "t.json.gz", iteration)
    rates = [
        event["args"]["bytes per cycle"]
        for event in read(tmp_path / "t.json.gz")["traceEvents"]
        if event["name"] == "DRAM bytes per cycle"
    ]
    assert rates == [0, 32, 32, 32, 0]


@pytest.mark.parametrize("words", ["5", "a:b", "1:2:3", "-1:5"])
def test_a_window_of_another_form_is_refused(words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_window(words)
    assert str(caught.value) == (
        f"--trace-window {words}: must be START:END in cycles of the iteration, such as 0:50000"
    )


def test_a_window_that_ends_before_it_starts_is_refused() -> None:
    assert parse_window(":") == WHOLE
    assert parse_window("5:") == Window(5, None)
    with pytest.raises(InputError) as caught:
        parse_window("5:5")
    assert str(caught.value) == "--trace-window 5:5: must end after it starts"
