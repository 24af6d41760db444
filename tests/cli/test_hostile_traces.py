"""Trace files that were changed by hand, cut short or made to never end: refused in one sentence by the report."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.command import run_command, write_small
from cli.refusals import find_flaw

from reports.timeline import read_timeline
from reports.trace_reading import MOST_SLICES
from sim.results.trace_file import WHOLE, Window
from workloads.errors import InputError

VALUES: tuple[Any, ...] = (
    None, True, -1, 0.5, 2**63, 10**30, float("nan"), float("inf"), "", "x", "a\x1b[31m", [], {}, [[{}]], "y" * 5000,
)  # fmt: skip
NOT_A_TRACE = "is not a trace of 'sparsetrain simulate --trace'"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traces")
    command = ("simulate", write_small(folder), "--out", "run", "--trace", "t.json.gz", "--no-verify")
    assert run_command(folder, *command).exit_code == 0
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


def read_lines(path: Path) -> list[bytes]:
    """Read the lines of a trace."""
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


def write_lines(path: Path, lines: list[bytes]) -> None:
    """Write a trace of these lines."""
    path.write_bytes(gzip.compress(b"".join(lines), 1))


def mutate_events(lines: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Replace each field of one event of each kind, and of the end, by every value in turn."""
    kinds: dict[bytes, int] = {}
    for place, line in enumerate(lines[1:-1], 1):
        event = json.loads(line.rstrip(b",\n"))
        kinds.setdefault(f"{event['ph']}{event['name']}{sorted(event.get('args', {}))}".encode(), place)
    turn = 0
    for place in kinds.values():
        event = json.loads(lines[place].rstrip(b",\n"))
        for field in event:
            value = VALUES[turn % len(VALUES)]
            turn += 1
            changed = json.dumps({**event, field: value}).encode() + b",\n"
            yield f"{event['ph']}.{field}={str(value)[:9]!r}", [*lines[:place], changed, *lines[place + 1 :]]
        less = {name: value for name, value in event.items() if name != "pid"}
        yield f"{event['ph']} without pid", [*lines[:place], json.dumps(less).encode() + b",\n", *lines[place + 1 :]]
    about = json.loads(lines[-1][1:].join([b'{"x":0', b""]))["otherData"]
    for field in about:
        for value in VALUES[:: 2 if turn % 2 else 3]:
            end = b'],"otherData":' + json.dumps({**about, field: value}).encode() + b"}\n"
            yield f"end.{field}={str(value)[:9]!r}", [*lines[:-1], end]


def is_harmless(name: str) -> bool:
    """Tell whether a change leaves an event that could have been: another name, category, place or argument of it."""
    field, _, value = name.partition("=")
    kind, _, place = field.partition(".")
    if place in ("name", "cat", "producer", "unit", "machine"):
        return value in ("'x'", "'yyyyyyyyy'", "''")
    return place == "args" and value == "'{}'" and kind in "XCM"


def test_every_event_that_is_never_written_is_refused_in_a_sentence(folder: Path) -> None:
    path = folder / "t.json.gz"
    lines = read_lines(path)
    flaws, tried, accepted = [], 0, 0
    for name, changed in mutate_events(lines):
        write_lines(path, changed)
        tried += 1
        try:
            read_timeline(path)
            accepted += 1
            if not is_harmless(name):
                flaws.append((name, "accepted"))
        except InputError as error:
            words = str(error)
            if not words.startswith(f"{path}: ") or not words.isprintable() or len(words) > len(str(path)) + 400:
                flaws.append((name, words))
    assert flaws == []
    assert tried >= 120
    assert accepted <= tried // 6


def bomb(chunk: bytes, times: int) -> bytes:
    """Compress a chunk many times over, as small as it gets."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([packer.compress(chunk) for _ in range(times)]) + packer.flush()


def test_a_file_that_is_no_whole_trace_is_refused_in_a_sentence(folder: Path) -> None:
    path = folder / "t.json.gz"
    whole = path.read_bytes()
    lines = read_lines(path)
    first = next(number for number, line in enumerate(lines) if b'"ph":"X"' in line)
    start, event = lines[0], lines[first]
    texts = {
        "empty": b"",
        "not gzip": b"".join(lines),
        "half": whole[: len(whole) // 2],
        "all but the end": whole[:-9],
        "wrong sum": whole[:-8] + bytes(4) + whole[-4:],
        "noise inside": whole[:2000] + b"\xff" * 64 + whole[2064:],
        "more behind": whole + b"more",
        "twice": whole + whole,
        "empty text": gzip.compress(b""),
        "another trace": gzip.compress(b'{"traceEvents": []}'),
        "zeros without end": bomb(bytes(2**20), 512),
        "one line without end": bomb(b" " * 2**20, 64),
        "brackets without end": bomb(b"[" * 2**20, 16),
        "events without end": gzip.compress(start) + bomb(event * 4096, 256),
        "a slice less": gzip.compress(b"".join([line for number, line in enumerate(lines) if number != first])),
        "a counter less": gzip.compress(b"".join(lines[:-9]).rstrip(b",\n") + b"\n" + lines[-1]),
        "no end": gzip.compress(b"".join(lines[:-1])),
        "two ends": gzip.compress(b"".join([*lines, lines[-1]])),
        "deep": gzip.compress(b"".join([start, b'{"ph":"X","args":' + b"[" * 50_000 + b"\n", *lines[1:]])),
        "not utf-8": gzip.compress(b"".join([start, b'{"ph":"\xff"},\n', *lines[1:]])),
    }
    for name, raw in texts.items():
        path.write_bytes(raw)
        outcome = run_command(folder, "report", "run", "--trace", "t.json.gz", "-o", "page.html")
        assert find_flaw(outcome, "t.json.gz") is None, name
    assert not (folder / "page.html").exists()


@pytest.mark.parametrize(("make", "words"), [(os.mkfifo, "a pipe"), (Path.mkdir, "a directory")])
def test_what_is_no_file_is_not_waited_for(folder: Path, make: Any, words: str) -> None:
    (folder / "t.json.gz").unlink()
    make(folder / "t.json.gz")
    assert run_command(folder, "report", "run", "--trace", "t.json.gz", "-o", "page.html").stderr == (
        f"sparsetrain: t.json.gz: is {words}; a regular file is needed\n"
    )


def test_the_trace_of_another_run_is_refused(folder: Path) -> None:
    command = ("simulate", "small.yaml", "--set", "dram.latency_cycles=900", "--out", "other", "--no-verify")
    assert run_command(folder, *command).exit_code == 0
    outcome = run_command(folder, "report", "other", "--trace", "t.json.gz", "-o", "page.html")
    assert find_flaw(outcome, "t.json.gz: is the trace of another run: of sparsetrain with ") is None


def test_an_event_is_refused_with_its_line(folder: Path) -> None:
    path = folder / "t.json.gz"
    lines = read_lines(path)
    place = next(number for number, line in enumerate(lines) if b'"dur":' in line)
    lines[place] = lines[place].replace(b'"dur":', b'"dur":-')
    write_lines(path, lines)
    assert run_command(folder, "report", "run", "--trace", "t.json.gz", "-o", "page.html").stderr == (
        f"sparsetrain: t.json.gz: line {place + 1}: is not an event of a trace (dur: Input should be greater than or "
        "equal to 0)\n"
    )


def test_a_timeline_counts_what_it_leaves_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_timeline(folder / "t.json.gz")
    assert len(whole.slices) + whole.undrawn == whole.about.slices
    assert (whole.outside, whole.behind) == (0, 0)
    part = read_timeline(folder / "t.json.gz", Window(0, 100))
    assert part.outside > 0
    assert len(part.slices) + part.undrawn + part.outside == part.about.slices
    monkeypatch.setattr("reports.trace_reading.MOST_SLICES", 20)
    few = read_timeline(folder / "t.json.gz", WHOLE)
    assert few.behind == len(whole.slices) - 20
    # Slices that start at one time may be drawn in either order.
    assert few.slices["ts"].tolist() == sorted(whole.slices["ts"].tolist())[:20]
    assert len(whole.slices) < MOST_SLICES
