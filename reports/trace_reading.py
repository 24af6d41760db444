"""A trace file as the reports read it: line by line, each event checked, and only what a timeline draws kept."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from sim.architecture import shorten_line
from sim.results.stored_file import name_file, open_stored
from sim.results.trace_events import LANES
from sim.results.trace_file import Window
from workloads.errors import InputError

MOST_SLICES = 3000
SHOWN_LANES = 4
LINE_LIMIT_BYTES = 2**16
SHOWN_CHARACTERS = 200
# A trace shrinks about 15 times; what shrinks far more is no trace, but may be made to never end.
MOST_SHRINKING, FREE_BYTES = 200, 2**22
FIRST_LINE = b'{"displayTimeUnit":"ns","traceEvents":[\n'
LAST_LINE = b'],"otherData":'
NOT_WRITTEN_HERE = "is not a trace of 'sparsetrain simulate --trace'"

Part = TypeVar("Part")
Whole = Annotated[int, Field(ge=0, le=2**53)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Argument = Annotated[int, Field(ge=-(2**53), le=2**53)] | Annotated[float, Field(allow_inf_nan=False)] | Word


class TracePart(BaseModel):
    """A part of a trace: nothing unknown, nothing cast."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Slice(TracePart):
    """What a unit did: `ts` and `dur` in cycles."""

    ph: Literal["X"]
    pid: Whole
    tid: Whole
    ts: Whole
    dur: Whole
    name: Word
    cat: Word = ""
    args: dict[Word, Argument] = {}


class Counter(TracePart):
    """What a counter is from a cycle on."""

    ph: Literal["C"]
    pid: Whole
    ts: Whole
    name: Word
    args: dict[Word, Argument]


class Label(TracePart):
    """The name or the place of a process or a thread."""

    ph: Literal["M"]
    pid: Whole
    tid: Whole = 0
    name: Literal["process_name", "process_sort_index", "thread_name"]
    args: dict[Literal["name", "sort_index"], Argument]


class About(TracePart):
    """What a trace says of itself at its end."""

    producer: Word
    machine: Word
    unit: Word
    slices: Whole
    counters: Whole
    cycles: Whole
    left_out: Whole


EVENT: TypeAdapter[Slice | Counter | Label] = TypeAdapter(Annotated[Slice | Counter | Label, Field(discriminator="ph")])
ABOUT = TypeAdapter(About)


@dataclass(eq=False)
class Excerpt:
    """The slices of a trace that a timeline draws, and how many it leaves out.

    Attributes:
        slices: Pid, tid, track, name, ts, dur, words; by their start.
        outside: Of the window.
        undrawn: On tracks and lanes that are not drawn, or of no length.
        behind: After the most that are drawn.
    """

    about: About
    slices: pd.DataFrame
    outside: int
    undrawn: int
    behind: int


@dataclass(eq=False)
class Gathering:
    """Slices as they are read; the earliest are kept."""

    window: Window
    names: frozenset[str]
    rows: list[tuple[int, int, str, int, int, str]] = field(default_factory=list)
    threads: dict[tuple[int, int], str] = field(default_factory=dict)
    found: int = 0
    counters: int = 0
    outside: int = 0
    undrawn: int = 0
    behind: int = 0

    def add(self, event: Slice | Counter | Label) -> None:
        """Take an event, as far as it is drawn."""
        if isinstance(event, Label):
            if event.name == "thread_name":
                self.threads[event.pid, event.tid] = str(event.args.get("name", ""))
            return
        if isinstance(event, Counter):
            self.counters += 1
            return
        self.found += 1
        end = self.window.end
        if event.ts + event.dur < self.window.start or (end is not None and event.ts >= end):
            self.outside += 1
        elif event.name not in self.names or event.tid % LANES > SHOWN_LANES or event.dur == 0:
            self.undrawn += 1
        else:
            words = escape(", ".join(f"{name} {value}" for name, value in event.args.items()))
            self.rows.append((event.pid, event.tid, event.name, event.ts, event.dur, words))
            if len(self.rows) > 4 * MOST_SLICES:
                self.cut()

    def cut(self) -> None:
        """Keep the earliest slices."""
        self.rows.sort(key=lambda row: row[3])
        self.behind += max(0, len(self.rows) - MOST_SLICES)
        del self.rows[MOST_SLICES:]


def read_excerpt(path: Path, window: Window, names: frozenset[str]) -> Excerpt:
    """Read what a timeline draws of a trace file: slices of these names in a window.

    Raises:
        InputError: it is cut short, damaged, not of the form that is written, or holds fewer events than were written.
    """
    gathering = Gathering(window, names)
    about = None
    try:
        with open_stored(path) as raw, gzip.GzipFile(fileobj=raw, mode="rb") as file:
            for number, line in enumerate(read_lines(path, raw, file), 1):
                if about is not None:
                    raise refuse(path, number, "something follows the end of the events")
                if number == 1:
                    if line != FIRST_LINE:
                        raise InputError(f"{name_file(path)}: {NOT_WRITTEN_HERE}")
                elif line.startswith(LAST_LINE):
                    about = parse_line(path, number, line.rstrip()[len(LAST_LINE) : -1], ABOUT.validate_json)
                else:
                    gathering.add(parse_line(path, number, line.rstrip(b",\n"), EVENT.validate_json))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{name_file(path)}: is not a whole trace of 'sparsetrain simulate --trace' ({error})"
        ) from None
    if about is None:
        raise InputError(f"{name_file(path)}: {NOT_WRITTEN_HERE}")
    for kind, found, written in (
        ("slices", gathering.found, about.slices),
        ("values of counters", gathering.counters, about.counters),
    ):
        if found != written:
            raise InputError(f"{name_file(path)}: holds {found:,} {kind}, but {written:,} were written")
    gathering.cut()
    return Excerpt(about, tabulate(path, gathering), gathering.outside, gathering.undrawn, gathering.behind)


def read_lines(path: Path, raw: BinaryIO, file: gzip.GzipFile) -> Iterator[bytes]:
    """Read line after line.

    Raises:
        InputError: a line is longer than an event, or the text is so much larger than the file as no trace is.
    """
    size = 0
    while line := file.readline(LINE_LIMIT_BYTES):
        size += len(line)
        if len(line) == LINE_LIMIT_BYTES or size > FREE_BYTES + MOST_SHRINKING * raw.tell():
            raise InputError(f"{name_file(path)}: {NOT_WRITTEN_HERE}")
        yield line


def parse_line(path: Path, number: int, line: bytes, parse: Callable[[bytes], Part]) -> Part:
    """Read one event, or the end."""
    try:
        return parse(line)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"] if part not in ("X", "C", "M"))
        words = f"{where}: {fault['msg']}" if where else fault["msg"]
        raise refuse(path, number, shorten_line(words, SHOWN_CHARACTERS)) from None


def refuse(path: Path, number: int, words: str) -> InputError:
    """Say what is wrong with a line."""
    return InputError(f"{name_file(path)}: line {number}: is not an event of a trace ({words})")


def tabulate(path: Path, gathering: Gathering) -> pd.DataFrame:
    """Tabulate the slices that were kept.

    Raises:
        InputError: a slice lies on a track without a name.
    """
    rows = []
    for pid, tid, name, start, cycles, words in gathering.rows:
        track = gathering.threads.get((pid, tid))
        if track is None:
            raise InputError(f"{name_file(path)}: has slices on thread {tid} of process {pid}, which has no name")
        rows.append((pid, tid, track, name, start, cycles, words))
    return pd.DataFrame(rows, columns=["pid", "tid", "track", "name", "ts", "dur", "words"])
