"""The names by which runs that are compared are told apart."""

from __future__ import annotations

from collections.abc import Sequence

from reports.run_files import Run


def label_runs(runs: Sequence[Run]) -> list[str]:
    """Give each run its title, or its directory where titles are the same."""
    titles = [run.title for run in runs]
    labels = [title if titles.count(title) == 1 else str(run.path) for title, run in zip(titles, runs, strict=True)]
    return [f"{label} ({number})" if labels.count(label) > 1 else label for number, label in enumerate(labels, start=1)]
