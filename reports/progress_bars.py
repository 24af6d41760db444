"""Progress of runs, sweeps and pages: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from reports.progress_lines import Stage, format_seconds, start_lines

if TYPE_CHECKING:
    from sim.iteration.progress import Progress as RunProgress
    from sim.sweep.progress import SweepProgress


class BarOrLines:
    """A bar on a terminal, lines in a pipe; both on stderr, while the block runs."""

    def __init__(self, bar: Progress, words: str, *, is_terminal: bool) -> None:
        self._bar, self._is_terminal = bar, is_terminal
        self._lines, self._ticker = start_lines(Stage(words))

    def __enter__(self) -> Self:
        self._bar.start() if self._is_terminal else self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bar away, or end the lines."""
        self._bar.stop() if self._is_terminal else self._ticker.stop()


class WorkBar(BarOrLines):
    """How much of some work is done."""

    def __init__(self, words: str, *last: ProgressColumn) -> None:
        console = Console(stderr=True)
        bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), *last,
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        super().__init__(bar, words, is_terminal=console.is_terminal)
        self._task = bar.add_task(words, total=None, words="")

    def show(self, words: str, done: float, total: float, *, left: str = "", more: str = "") -> None:
        """Show how much of the total is done.

        Args:
            left: Words behind the bar, the last of them in lines too.
            more: Words behind the bar, the last of them in lines too.
        """
        behind = "; ".join(filter(None, (left, more)))
        self._bar.update(self._task, description=words, completed=done, total=total, words=behind)
        self._lines.update(Stage("; ".join(filter(None, (words, more))), done / total if total else None))


class RunBar(WorkBar):
    """Layer, step and remaining time of a run."""

    def __init__(self) -> None:
        super().__init__("preparing operands", TimeRemainingColumn())

    def update(self, progress: RunProgress) -> None:
        """Show that one more step is done."""
        self.show(f"{progress.layer} {progress.step}", progress.done_macs, progress.total_macs)


class PageBar(WorkBar):
    """The stages of making a page."""

    def __init__(self, stages: int) -> None:
        super().__init__("starting", TimeRemainingColumn())
        self._stages, self._done = stages, 0

    def begin(self, words: str) -> None:
        """Show that the next stage begins."""
        self.show(words, min(self._done, self._stages), self._stages)
        self._done += 1


class SweepBar(WorkBar):
    """Points done, running, failed, the best so far and the remaining time."""

    def __init__(self, jobs: int) -> None:
        super().__init__("checking the space", TextColumn("{task.fields[words]}"))
        self._jobs = jobs

    def update(self, progress: SweepProgress) -> None:
        """Show how far the sweep is."""
        counts = f"{progress.ended}/{progress.total} points, {progress.running} running, {progress.failed} failed"
        left = best = ""
        if progress.evaluated:
            seconds = (progress.total - progress.ended) * progress.seconds / progress.evaluated / self._jobs
            left = f"{format_seconds(max(0.0, seconds))} left"
        if progress.best is not None:
            best = f"best {progress.best[0]:,.6g} at {progress.best[1]}"
        self.show(counts, progress.ended, progress.total, left=left, more=best)
