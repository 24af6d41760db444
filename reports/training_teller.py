"""Progress of trainings: a bar and a line for each that runs on a terminal, a line for each epoch elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from reports.progress_bars import BarOrLines
from reports.progress_lines import Stage, format_seconds, round_seconds, write_line
from reports.terminal import escape_lines

if TYPE_CHECKING:
    from workloads.training.loop import TrainingProgress
    from workloads.training.record import BatchOutcome, EpochRecord

PREPARING = "preparing the training"
# What a narrow terminal goes without, the first of them first.
LESS_WANTED = ("test", "train")
GRADIENT = "grad_output"
# Below these seconds the tenths are told too.
SHORT_S = 10.0


@dataclass(frozen=True, slots=True)
class Scores:
    """What is said of an epoch: means over it, as far as it is; None for what is not known."""

    loss: float | None = None
    train: float | None = None
    test: float | None = None
    density: float | None = None

    def write(self) -> dict[str, str]:
        """Write what is known, by what it is."""
        words = {} if self.loss is None else {"loss": f"loss {self.loss:.3g}"}
        for name, share in (("train", self.train), ("test", self.test), ("density", self.density)):
            if share is not None:
                words[name] = f"{name} {share:.1%}".replace("%", " %")
        return words


@dataclass
class RunningMean:
    """A mean of what comes one by one."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float | None) -> None:
        """Count one more, where it is known."""
        if value is not None:
            self.total, self.count = self.total + value, self.count + 1

    @property
    def value(self) -> float | None:
        """The mean so far; None of nothing."""
        return self.total / self.count if self.count else None


@dataclass
class EpochTally:
    """The iterations of an epoch, as far as it is."""

    loss: RunningMean = field(default_factory=RunningMean)
    accuracy: RunningMean = field(default_factory=RunningMean)
    density: RunningMean = field(default_factory=RunningMean)

    def add(self, outcome: BatchOutcome) -> None:
        """Count an iteration."""
        self.loss.add(outcome.loss)
        self.accuracy.add(outcome.accuracy)
        for (_, tensor), density in outcome.densities.items():
            self.density.add(density if tensor == GRADIENT else None)

    def read(self, test: float | None) -> Scores:
        """Give the means so far.

        Args:
            test: The accuracy on the test images behind the epoch before.
        """
        return Scores(self.loss.value, self.accuracy.value, test, self.density.value)


class Course:
    """One training as it goes on.

    Attributes:
        first: Iterations that were done before it was first told of.
        scores: Of the epoch that runs; of the last where none has begun since.
    """

    def __init__(self, name: str, started: float, first: int, total: int) -> None:
        self.name, self.first, self.done, self.total = name, first, first, total
        self.epoch, self.epochs = 1, 1
        self.scores = Scores()
        self._epoch_started = started
        self._tally = EpochTally()

    @property
    def is_ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.done >= self.total

    @property
    def label(self) -> str:
        """Its name, where it has one, and its epoch."""
        return f"{f'{self.name}: ' if self.name else ''}epoch {self.epoch}/{self.epochs}"

    def note(self, progress: TrainingProgress) -> None:
        """Note an iteration, or the end of an epoch."""
        if progress.epoch != self.epoch:
            self._tally = EpochTally()
        self.epoch, self.epochs, self.done = progress.epoch, progress.epochs, progress.iterations
        if progress.outcome is not None:
            self._tally.add(progress.outcome)
            self.scores = self._tally.read(self.scores.test)
        if progress.record is not None:
            self.scores = read_scores(progress.record)

    def end_epoch(self, now: float) -> float:
        """Begin the time of the next epoch; give the seconds of the last."""
        seconds, self._epoch_started = now - self._epoch_started, now
        return seconds


def read_scores(record: EpochRecord) -> Scores:
    """Read what is said of an epoch that has ended."""
    test = None if record.test is None else record.test.accuracy
    return Scores(record.loss, record.accuracy, test, record.gradient_density)


class TrainingTeller(BarOrLines):
    """Tells on stderr how far trainings are.

    Args:
        trainings: How many are to be run, one behind another or at the same time.
    """

    def __init__(self, trainings: int = 1) -> None:
        console = Console(stderr=True)
        self._trainings = trainings
        self._courses: dict[str, Course] = {}
        self._started = self._idle_since = time.monotonic()
        self._course_bar = CourseBar(console, self._courses)
        super().__init__(self._course_bar, PREPARING, is_terminal=console.is_terminal)

    def update(self, progress: TrainingProgress, name: str = "") -> None:
        """Show that an iteration, or an epoch, of a training has ended.

        Args:
            name: Of the training, where there are several.
        """
        now = time.monotonic()
        if name not in self._courses:
            self._courses[name] = self._begin(progress, name, now)
        course = self._courses[name]
        course.note(progress)
        if progress.record is not None:
            self._end_epoch(course, now)
        words = course.label if progress.outcome is None else f"{course.label}, iteration {describe_place(progress)}"
        self._lines.update(Stage(words, self.share))
        self._course_bar.show(self._describe_all(), self.share, self._describe_left(now))

    @property
    def share(self) -> float:
        """The share of all iterations of all trainings that is done."""
        total = sum(course.total for course in self._courses.values()) / max(1, len(self._courses)) * self._trainings
        return min(1.0, sum(course.done for course in self._courses.values()) / total) if total else 0.0

    def seconds_left(self, now: float) -> float | None:
        """Judge by the pace since the beginning; None before there is one."""
        courses = self._courses.values()
        run = sum(course.done - course.first for course in courses)
        if not run:
            return None
        done = sum(course.done for course in courses)
        return max(0.0, (done / self.share - done) * (now - self._started) / run)

    def _begin(self, progress: TrainingProgress, name: str, now: float) -> Course:
        ended = 0 if progress.record is None else progress.total // progress.epochs
        ended = ended if progress.outcome is None else 1
        started = now if any(not one.is_ended for one in self._courses.values()) else self._idle_since
        return Course(name, started, max(0, progress.iterations - ended), progress.total)

    def _end_epoch(self, course: Course, now: float) -> None:
        seconds = course.end_epoch(now)
        if course.is_ended:
            self._idle_since = now
        if not self._is_terminal:
            write_line(describe_epoch(course, seconds, self._describe_left(now)))
            self._lines.postpone()

    def _describe_left(self, now: float) -> str:
        left = self.seconds_left(now)
        return "" if left is None else f"{round_seconds(left)} left"

    def _describe_all(self) -> str:
        if self._trainings == 1:
            return "training"
        return f"{sum(course.is_ended for course in self._courses.values())} of {self._trainings} trainings done"


def describe_place(progress: TrainingProgress) -> str:
    """Say which iteration of its epoch the last one was."""
    length = progress.total // progress.epochs
    return f"{(progress.iterations - 1) % length + 1}/{length}"


def describe_epoch(course: Course, seconds: float, left: str) -> str:
    """Write the line of an epoch that has ended."""
    took = f"took {format_seconds(seconds) if seconds < SHORT_S else round_seconds(seconds)}"
    return "  ".join(filter(None, (course.label, *course.scores.write().values(), took, left)))


class CourseBar(Progress):
    """A bar of all trainings, and below it a line for each that runs."""

    def __init__(self, console: Console, courses: dict[str, Course]) -> None:
        self._courses, self._screen = courses, console
        super().__init__(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[left]}"),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._all = self.add_task(PREPARING, total=None, left="")

    def show(self, words: str, share: float, left: str) -> None:
        """Show how much of everything is done."""
        self.update(self._all, description=words, completed=share, total=1.0, left=left)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Give the bar and the lines."""
        yield from super().get_renderables()
        for course in list(self._courses.values()):
            if not course.is_ended:
                yield Text(fit_course(course, self._screen.width), no_wrap=True, overflow="ellipsis")


def fit_course(course: Course, width: int) -> str:
    """Write a training in a line, without what a narrow terminal has no room for."""
    words = course.scores.write()
    for name in (*LESS_WANTED, ""):
        line = escape_lines("  ".join((course.label, *words.values())))
        if len(line) <= width:
            break
        words.pop(name, "")
    return line
