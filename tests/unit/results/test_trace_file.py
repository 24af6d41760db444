from __future__ import annotations

import errno
import gzip
import json
import os
import re
import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.machine.trace import Action, StepTrace, TraceRecorder, Unit
from sim.results import trace_events, trace_file
from sim.results.trace_events import LANES
from sim.results.trace_file import WHOLE, IterationTrace, Window, parse_window, write_trace
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
    iteration = IterationTrace("machine", tmp_path / "t.json.gz")
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
    iteration = IterationTrace("machine", tmp_path / "t.json.gz")
    iteration.add('a"b', "gta", 100, make_trace(TASK))
    write_trace(tmp_path / "t.json.gz", iteration)
    task = next(event for event in read(tmp_path / "t.json.gz")["traceEvents"] if event["name"] == "task")
    assert task["args"] == {"layer": 'a"b', "step": "gta", "task": 0, "image": 1, "row": 2}


def test_only_slices_that_touch_the_window_are_written(tmp_path: Path) -> None:
    iteration = IterationTrace("machine", tmp_path / "t.json.gz", Window(120, 160))
    for layer in ("one", "two", "three"):
        iteration.add(layer, "forward", 100, make_trace(TASK, (int(Unit.GROUP), 4, int(Action.BUSY), 50, 70, -1, -1)))
    write_trace(tmp_path / "t.json.gz", iteration)
    assert list_slices(read(tmp_path / "t.json.gz")) == [
        ("two forward", 100, 100),
        ("task", 110, 20),
        ("busy", 150, 20),
    ]
    assert count_events(read(tmp_path / "t.json.gz")) == (3, 6)


def count_events(trace: dict[str, Any]) -> tuple[int, int]:
    """Give the numbers of events that a trace says are in it, and left out of it."""
    return trace["otherData"]["slices"], trace["otherData"]["left_out"]


def test_events_and_sizes_are_told_after_the_first_step_and_at_the_end(tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "t.json.gz"
    iteration = IterationTrace("machine", path, WHOLE, told.append, total_macs=100)
    iteration.add("one", "forward", 100, make_trace(TASK, TASK), macs=10)
    assert re.sub(r"[0-9]+ kB", "# kB", " ".join(told)) == (
        "the trace will have about 30 events, # kB of JSON, going by what one forward takes; "
        "--trace-window START:END bounds it"
    )
    iteration.add("two", "forward", 100, make_trace(TASK), macs=10)
    assert len(told) == 1
    iteration.add("three", "forward", 100, make_trace(*[TASK] * 15), macs=20)
    assert told.pop().startswith("the trace will have about 52 events, ")
    iteration.add("four", "forward", 100, make_trace(TASK), macs=60)
    assert len(told) == 1
    write_trace(path, iteration)
    size = len(gzip.decompress(path.read_bytes()))
    assert told[1:] == [
        f"the trace has 23 events, {size / 1e3:,.0f} kB of JSON in a file of {path.stat().st_size / 1e3:,.0f} kB"
    ]


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (WHOLE, "the trace will have about 40 events, # kB of JSON, going by what the steps up to "
                "two forward take"),
        (Window(0, 999), "the trace has 4 events, # kB of JSON up to cycle 200"),
    ],
)  # fmt: skip
def test_what_is_more_than_a_viewer_opens_is_told_once_and_before_the_end(
    window: Window, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    iteration = IterationTrace("machine", tmp_path / "t.json.gz", window, told.append, total_macs=10_000)
    iteration.add("one", "forward", 100, make_trace(TASK), macs=999)
    del told[:]
    monkeypatch.setattr(trace_file, "VIEWER_BYTES", 1000)
    iteration.add("two", "forward", 100, make_trace(TASK), macs=1)
    iteration.add("three", "forward", 100, make_trace(TASK), macs=1)
    assert [re.sub(r"[0-9]+ kB", "# kB", one) for one in told] == [
        f"{words}, and Perfetto's page opens about 500 MB of JSON (more with 'trace_processor --httpd FILE'); "
        "--trace-window START:END bounds it"
    ]


def test_events_are_written_as_they_come_and_held_no_longer(tmp_path: Path) -> None:
    iteration = IterationTrace("machine", tmp_path / "t.json.gz")
    steps = [make_trace(*[TASK] * 100) for _ in range(3)]
    kept = [weakref.ref(step.slices) for step in steps]
    sizes = []
    while steps:
        iteration.add("one", "forward", 100, steps.pop(0))
        sizes.append(iteration.finish().text_bytes if not steps else iteration._text.text_bytes)
    assert [found() for found in kept] == [None] * 3
    assert sizes == sorted(set(sizes))
    assert list(tmp_path.iterdir()) == []
    write_trace(tmp_path / "t.json.gz", iteration)
    assert [path.name for path in tmp_path.iterdir()] == ["t.json.gz"]


def test_a_streamed_trace_is_the_document_of_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = (int(Unit.DRAM), 0, int(Action.LOAD), 0, 9, 0, 96)
    tile = (int(Unit.TILES), 0, int(Action.TILE), 9, 30, 0, -1)
    results = (int(Unit.PPU), 4, int(Action.PROCESS), 30, 34, 0, 12)
    documents = []
    for lines in (1, 8192):
        monkeypatch.setattr(trace_events, "LINES_AT_A_TIME", lines)
        iteration = IterationTrace("machine", tmp_path / "t.json.gz")
        iteration.add("100%s", "gta", 40, make_trace(results, load, tile, TASK))
        write_trace(tmp_path / "t.json.gz", iteration)
        documents.append(read(tmp_path / "t.json.gz"))
    assert documents[0] == documents[1]
    where = {"layer": "100%s", "step": "gta"}
    task = {"task": 0, "image": 1, "row": 2}
    found = [
        (event["name"], event["pid"], event["tid"] % LANES, event["ts"], event["dur"], event["args"])
        for event in documents[0]["traceEvents"]
        if event["ph"] == "X"
    ]
    assert found == [
        ("100%s gta", 0, 1, 0, 40, where),
        ("load", 6, 1, 0, 9, {**where, "tile": 0, "bytes": 96}),
        ("tile", 1, 1, 9, 21, {**where, "tile": 0}),
        ("task", 2, 5, 10, 20, {**where, **task}),
        ("process", 4, 5, 30, 4, {**where, "task": 0, "elements": 12, "image": 1, "row": 2}),
    ]
    assert count_events(documents[0]) == (5, 0)


def test_a_full_disk_names_the_trace_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.json.gz"
    iteration = IterationTrace("machine", path)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfileobj", fail)
    with pytest.raises(InputError) as caught:
        write_trace(path, iteration)
    assert str(caught.value) == f"{path}: cannot be written in {tmp_path}: No space left on device"
    assert list(tmp_path.iterdir()) == []


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
    iteration = IterationTrace("machine", tmp_path / "t.json.gz")
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
