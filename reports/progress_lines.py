"""What long work says where there is no terminal: a line soon, then one at most every 30 seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from reports.terminal import say

FIRST_S, INTERVAL_S, LOOK_S = 10.0, 30.0, 1.0


@dataclass(frozen=True)
class Stage:
    """What is done now: words of it, and the share of the whole that is done, None while that is not known."""

    words: str
    share: float | None = None


class ProgressLines:
    """Tells stage, share done and remaining time when a line is due; the clock counts seconds."""

    def __init__(self, clock: Callable[[], float], write: Callable[[str], None], stage: Stage) -> None:
        self._clock, self._write, self._stage = clock, write, stage
        self._started = clock()
        self._due = self._started + FIRST_S
        self._first: tuple[float, float] | None = None
        self._last = self._started
        self._lock = threading.Lock()

    def update(self, stage: Stage) -> None:
        """Note how far the work is."""
        with self._lock:
            self._stage, self._last = stage, self._clock()
            if self._first is None and stage.share is not None:
                self._first = self._last, stage.share

    def tell(self) -> None:
        """Write a line if one is due."""
        with self._lock:
            now = self._clock()
            if now < self._due:
                return
            self._due = now + INTERVAL_S
            words = self._describe(now)
        self._write(words)

    def postpone(self) -> None:
        """Count a line that somebody else has written."""
        with self._lock:
            self._due = self._clock() + INTERVAL_S

    def _describe(self, now: float) -> str:
        parts = [self._stage.words]
        share = self._stage.share
        if share is not None:
            parts.append(f"{min(1.0, share):.0%} done")
        parts.append(f"{round_seconds(now - self._started)} so far")
        left = self._seconds_left(now)
        if left is not None:
            parts.append(f"about {round_seconds(left)} left")
        return f"sparsetrain: {', '.join(parts)}"

    def _seconds_left(self, now: float) -> float | None:
        """Go by the pace since the first share was told; by that of the whole work while there is but one."""
        share = self._stage.share
        if share is None or share <= 0 or self._first is None:
            return None
        begun, from_share = self._first
        if share > from_share and self._last > begun:
            pace = (self._last - begun) / (share - from_share)
        else:
            pace = (self._last - self._started) / share
        return max(0.0, (1 - share) * pace - (now - self._last))


class Ticker:
    """Has lines told from a thread of its own, while the work goes on.

    Attributes:
        wait: Until a time is over or the end is set.
    """

    def __init__(
        self, lines: ProgressLines, wait: Callable[[threading.Event, float], bool] = threading.Event.wait
    ) -> None:
        self._lines, self._wait = lines, wait
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress lines", daemon=True)

    def start(self) -> None:
        """Begin to look whether a line is due."""
        self._thread.start()

    def stop(self) -> None:
        """End; no line is written after."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._wait(self._ended, LOOK_S):
            self._lines.tell()


def start_lines(stage: Stage) -> tuple[ProgressLines, Ticker]:
    """Make lines on stderr and what has them told."""
    lines = ProgressLines(time.monotonic, write_line, stage)
    return lines, Ticker(lines)


def write_line(words: str) -> None:
    """Write a line on stderr; work goes on where nobody reads it any more."""
    try:
        say(words, err=True)
    except (OSError, ValueError):
        return


def format_seconds(seconds: float) -> str:
    """Write a time as people say it."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def round_seconds(seconds: float) -> str:
    """Write a time without tenths of a second."""
    return f"{seconds:.0f} s" if seconds < 90 else format_seconds(seconds)
