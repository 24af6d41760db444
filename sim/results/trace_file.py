"""A run's events in the Chrome trace format, which Perfetto opens: one microsecond of the trace is one cycle.

Tracks: the layer steps, their tiles, each PE group's tasks and its states, each PPU, each
buffer port and the DRAM channel. Counters: bytes in the buffer and the bandwidth of ports and DRAM.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from sim.machine.trace import StepTrace
from sim.results.trace_events import (
    TracedStep,
    list_lanes,
    name_lanes,
    name_processes,
    write_bandwidth,
    write_occupancy,
    write_slices,
)
from sim.version import MODEL_VERSION
from workloads.arrays import IntArray
from workloads.errors import InputError
from workloads.output_files import replace_file

# A browser gives a page about 2 GB, and Perfetto needs 2 to 4 times a trace's size
# (https://perfetto.dev/docs/visualization/large-traces); JSON of 900 MB did not open (google/perfetto, issue 99).
VIEWER_BYTES = 500_000_000
GZIP_FORM = 31
HELD_BACK_BYTES = 2**17
GROWN = 1.5


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


class SpooledText:
    """A gzipped text that grows in a file without a name, which is gone with the process however that ends.

    Attributes:
        path: Where the text will be moved to; the space is taken there, and errors name it. text_bytes, file_bytes:
            before and behind compression.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text_bytes = self.file_bytes = 0
        self._compressor = zlib.compressobj(1, zlib.DEFLATED, GZIP_FORM)
        with self._naming_faults():
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=find_folder(path))  # noqa: SIM115
        weakref.finalize(self, close_quietly, self._file)

    def write(self, text: str) -> None:
        """Append a text."""
        raw = text.encode()
        self.text_bytes += len(raw)
        self._append(self._compressor.compress(raw))

    def finish(self) -> None:
        """Write what the compression has held back; nothing may follow."""
        self._append(self._compressor.flush())

    def fill(self, path: Path) -> None:
        """Copy the finished text into a file."""
        self._file.seek(0)
        with self._naming_faults(), path.open("wb") as file:
            shutil.copyfileobj(self._file, file, 2**20)

    def _append(self, packed: bytes) -> None:
        self.file_bytes += len(packed)
        with self._naming_faults():
            self._file.write(packed)
            self._file.flush()

    @contextmanager
    def _naming_faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None


def find_folder(path: Path) -> Path:
    """Find the folder of a file that will be written, or the nearest one above it that is there."""
    folder = path.absolute().parent
    while not folder.is_dir():
        folder = folder.parent
    return folder


def close_quietly(file: IO[bytes]) -> None:
    """Close a file that nobody reads any more."""
    with suppress(OSError):
        file.close()


class IterationTrace:
    """The events of an iteration's steps, one after the other, as far as they touch a window; written as they come.

    Attributes:
        path: The file that they are for.
        total_macs: Of all steps that will come; 0 if unknown, and then nothing is foretold.
        on_notice: Told after the first step what the whole will take, and before its end if that gets to be more than a
            viewer opens.
    """

    def __init__(
        self,
        machine: str,
        path: Path,
        window: Window = WHOLE,
        on_notice: Callable[[str], None] | None = None,
        total_macs: int = 0,
    ) -> None:
        self.machine, self.window = machine, window
        self.cycles = self.events = self.counters = self.left_out = 0
        self._text = SpooledText(path)
        self._on_notice = on_notice
        self._total_macs, self._done_macs = total_macs, 0
        self._lanes: set[tuple[int, int]] = set()
        self._has_warned = self._is_finished = False
        self._foretold = 0.0
        self._text.write('{"displayTimeUnit":"ns","traceEvents":[\n' + ",\n".join(name_processes()))

    def add(self, layer: str, step: str, cycles: int, trace: StepTrace | None, macs: int = 0) -> None:
        """Write the events of the next step, whose slices are taken over and change; a pass has none of its own."""
        start, end = self.cycles, self.cycles + cycles
        self.cycles = end
        slices = np.zeros((0, 7), dtype=np.int64) if trace is None else trace.slices
        made = 1 + len(slices)
        if self.window.choose(np.array([start]), np.array([end]))[0]:
            slices[:, 3:5] += start
            if self.window != WHOLE:
                slices = slices[self.window.choose(slices[:, 3], slices[:, 4])]
            kept = None if trace is None else StepTrace(slices, trace.index_names, trace.indices)
            self._write_step(TracedStep(layer, step, start, cycles, kept))
            made -= 1 + len(slices)
        self.left_out += made
        self._tell_size(f"{layer} {step}", macs)

    def finish(self) -> SpooledText:
        """Write, behind the events, how many they are, so that a file cut short can be told; give the whole text.

        What they take is told as well, and how many lie outside the window.
        """
        if not self._is_finished:
            self._is_finished = True
            about = {
                "producer": f"sparsetrain {MODEL_VERSION}",
                "machine": self.machine,
                "unit": "1 us is 1 cycle",
                "slices": self.events,
                "counters": self.counters,
                "cycles": self.cycles,
                "left_out": self.left_out,
            }
            self._text.write(f'\n],"otherData":{json.dumps(about)}}}\n')
            self._text.finish()
            self._tell_end()
        return self._text

    def _write_step(self, step: TracedStep) -> None:
        self.events += 1 + (0 if step.trace is None else len(step.trace.slices))
        fresh = list_lanes(step.trace) - self._lanes
        self._lanes |= fresh
        self._write_lines(name_lanes(fresh))
        for lines in write_slices(step):
            self._text.write(",\n" + lines)
        counters = [*write_occupancy(step), *write_bandwidth(step)]
        self.counters += len(counters)
        self._write_lines(counters)

    def _write_lines(self, lines: Iterable[str]) -> None:
        if text := ",\n".join(lines):
            self._text.write(",\n" + text)

    def _tell_size(self, last: str, macs: int) -> None:
        """Tell what the whole will take after the first step, and again when that grows by half or past VIEWER_BYTES.

        Events are taken to be as many for each nominal multiplication as in the steps before.
        """
        is_first, self._done_macs = self._done_macs == 0, self._done_macs + macs
        is_foretold = self.window == WHOLE and 0 < self._done_macs < self._total_macs
        share = self._done_macs / self._total_macs if is_foretold else 1.0
        is_large = self._text.text_bytes / share > VIEWER_BYTES
        has_grown = is_foretold and self.events / share > GROWN * self._foretold
        if self._on_notice is None or self._has_warned or not (is_large or has_grown):
            return
        self._foretold = self.events / share
        self._has_warned = is_large
        sizes = self._describe_sizes(share)
        if is_foretold:
            going_by = f"{last} takes" if is_first else f"the steps up to {last} take"
            words = f"the trace will have about {sizes}, going by what {going_by}"
        else:
            words = f"the trace has {sizes} up to cycle {self.cycles:,}"
        self._on_notice(f"{words}{WARNING if is_large else ''}; --trace-window START:END bounds it")

    def _tell_end(self) -> None:
        if self._on_notice is not None:
            beside = f"; {self.left_out:,} events outside the window are left out" if self.left_out else ""
            self._on_notice(f"the trace has {self._describe_sizes(1)}{beside}")

    def _describe_sizes(self, share: float) -> str:
        """Write events, and their sizes before and behind compression, of the whole if this is such a share of it."""
        text, file = (write_bytes(size / share) for size in (self._text.text_bytes, self._text.file_bytes))
        # The compression holds back what it has not seen enough of: of a short text all of it.
        beside = f" in a file of {file}" if self._is_finished or self._text.file_bytes > HELD_BACK_BYTES else ""
        return f"{self.events / share:,.0f} events, {text} of JSON{beside}"


WARNING = (
    f", and Perfetto's page opens about {VIEWER_BYTES / 1e6:,.0f} MB of JSON (more with 'trace_processor --httpd FILE')"
)


def write_bytes(size: float) -> str:
    """Write a size in MB, or kB where it is small."""
    return f"{size / 1e6:,.0f} MB" if size >= 1e7 else f"{size / 1e3:,.0f} kB"


def write_trace(path: Path, iteration: IterationTrace) -> None:
    """Put an iteration's events in place, gzipped; whole or not at all."""
    replace_file(path, lambda temporary: fill_trace(temporary, iteration))


def fill_trace(path: Path, iteration: IterationTrace) -> None:
    """Write an iteration's events into a file, gzipped."""
    iteration.finish().fill(path)
