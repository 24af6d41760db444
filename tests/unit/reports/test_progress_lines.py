"""Long work without a terminal says how far it is; the clock is the test's."""

from __future__ import annotations

import io
import threading

import pytest

from reports import progress_lines
from reports.progress_bars import PageBar, RunBar, SweepBar, WorkBar
from reports.progress_lines import ProgressLines, Stage, Ticker
from sim.iteration.progress import Progress
from sim.sweep.progress import SweepProgress


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress_lines.time, "monotonic", made)
    return made


def look_every_second(lines: ProgressLines, clock: Clock, seconds: int) -> None:
    for _ in range(seconds):
        clock.now += 1
        lines.tell()


def test_short_work_says_nothing_and_long_work_speaks_after_10_seconds_and_every_30() -> None:
    clock, said = Clock(), list[str]()
    lines = ProgressLines(clock, said.append, Stage("preparing operands"))
    look_every_second(lines, clock, 9)
    assert said == []
    look_every_second(lines, clock, 61)
    assert said == [f"sparsetrain: preparing operands, {seconds} s so far" for seconds in (10, 40, 70)]


def test_a_line_tells_step_share_and_remaining_time() -> None:
    clock, said = Clock(), list[str]()
    lines = ProgressLines(clock, said.append, Stage("preparing operands"))
    clock.now += 20
    lines.update(Stage("conv1 forward", 0.25))
    lines.tell()
    # One share alone is judged by all of the time: 20 s for a quarter.
    assert said.pop() == "sparsetrain: conv1 forward, 25% done, 20 s so far, about 60 s left"
    clock.now += 20
    lines.update(Stage("conv1 gtw", 0.5))
    clock.now += 10
    lines.tell()
    # 20 s for a quarter, half is left, and 10 s have passed since.
    assert said.pop() == "sparsetrain: conv1 gtw, 50% done, 50 s so far, about 30 s left"


def test_a_step_that_takes_longer_than_was_thought_is_never_promised_in_the_past() -> None:
    clock, said = Clock(), list[str]()
    lines = ProgressLines(clock, said.append, Stage("x"))
    clock.now += 5
    lines.update(Stage("conv1 gtw", 0.5))
    clock.now += 600
    lines.tell()
    assert said == ["sparsetrain: conv1 gtw, 50% done, 10 min so far, about 0 s left"]


def test_the_thread_tells_lines_until_it_is_stopped() -> None:
    clock, said, looks = Clock(), list[str](), threading.Semaphore(0)

    def wait(ended: threading.Event, _: float) -> bool:
        clock.now += 30
        if len(said) == 3:
            looks.release()
            return ended.wait()
        return False

    ticker = Ticker(ProgressLines(clock, said.append, Stage("x")), wait)
    ticker.start()
    assert looks.acquire()
    ticker.stop()
    assert said == [f"sparsetrain: x, {words} so far" for words in ("30 s", "60 s", "2 min")]


def tell_now(bar: WorkBar, clock: Clock, capsys: pytest.CaptureFixture[str]) -> str:
    clock.now += 40
    bar._lines.tell()
    return capsys.readouterr().err


def test_every_kind_of_long_work_has_lines_in_a_pipe(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    run, sweep, page = RunBar(), SweepBar(jobs=1), PageBar(stages=4)
    assert tell_now(run, clock, capsys) == "sparsetrain: preparing operands, 40 s so far\n"
    run.update(Progress("conv1", "gtw", 1, 2))
    assert tell_now(run, clock, capsys) == "sparsetrain: conv1 gtw, 50% done, 80 s so far, about 0 s left\n"
    sweep.update(SweepProgress(8, done=2, running=1, seconds=80.0, best=(1234.0, "array.groups=4")))
    assert tell_now(sweep, clock, capsys) == (
        "sparsetrain: 2/8 points, 1 running, 0 failed; best 1,234 at array.groups=4, 25% done, 2 min so far, "
        "about 3 min left\n"
    )
    page.begin("reading a")
    page.begin("drawing the charts")
    assert tell_now(page, clock, capsys).startswith("sparsetrain: drawing the charts, 25% done, ")


def test_a_closed_stderr_does_not_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stderr", closed)
    progress_lines.write_line("words")
