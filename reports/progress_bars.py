"""Progress on a terminal, of runs and of sweeps; nothing in a pipe."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from sim.run import Progress as RunProgress
    from sim.sweep.progress import SweepProgress


class RunBar:
    """Layer, step and remaining time on a terminal; nothing in a pipe."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("preparing operands", total=None)

    def __enter__(self) -> RunBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def update(self, progress: RunProgress) -> None:
        """Show that one more step is done."""
        self._bar.update(
            self._task, description=f"{progress.layer} {progress.step}",
            completed=progress.done_macs, total=progress.total_macs,
        )  # fmt: skip


def format_seconds(seconds: float) -> str:
    """Write a time as people say it."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


class SweepBar:
    """Points done, running, failed, the best so far and the remaining time, on a terminal; nothing in a pipe."""

    def __init__(self, jobs: int) -> None:
        console = Console(stderr=True)
        self._jobs = jobs
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[words]}"),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("checking the space", total=None, words="")

    def __enter__(self) -> SweepBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def update(self, progress: SweepProgress) -> None:
        """Show how far the sweep is."""
        counts = f"{progress.ended}/{progress.total} points, {progress.running} running, {progress.failed} failed"
        words = []
        if progress.evaluated:
            left = (progress.total - progress.ended) * progress.seconds / progress.evaluated / self._jobs
            words.append(f"{format_seconds(max(0.0, left))} left")
        if progress.best is not None:
            words.append(f"best {progress.best[0]:,.6g} at {progress.best[1]}")
        self._bar.update(
            self._task, description=counts, completed=progress.ended, total=progress.total, words="; ".join(words)
        )  # fmt: skip
