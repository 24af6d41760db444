"""How far a sweep is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from sim.sweep.job import Outcome, Status


@dataclasses.dataclass(slots=True)
class SweepProgress:
    """Points of a sweep by what became of them.

    Attributes:
        found: Finished by earlier starts, or by other processes.
        repeated: The same machine and workload as another point of this sweep, and so not run again.
        best: The least first objective (or cycles) of this start, and the point in words.
        seconds: Of all evaluations of this start, over all processes.
    """

    total: int
    found: int = 0
    repeated: int = 0
    done: int = 0
    infeasible: int = 0
    failed: int = 0
    running: int = 0
    seconds: float = 0.0
    best: tuple[float, str] | None = None

    @property
    def ended(self) -> int:
        """Points that need no more work."""
        return self.found + self.repeated + self.done + self.infeasible + self.failed

    @property
    def evaluated(self) -> int:
        """Points evaluated by this start."""
        return self.done + self.infeasible + self.failed

    def count(self, outcome: Outcome, objective: str, words: str, *, is_maximized: bool) -> None:
        """Count an outcome."""
        name = {Status.DONE: "done", Status.INFEASIBLE: "infeasible", Status.FAILED: "failed"}[outcome.status]
        setattr(self, name, getattr(self, name) + 1)
        self.seconds += outcome.seconds
        value: Any = (outcome.metrics or {}).get(objective)
        if value is None:
            return
        if self.best is None or (value > self.best[0] if is_maximized else value < self.best[0]):
            self.best = (value, words)


OnProgress = Callable[[SweepProgress], None]
