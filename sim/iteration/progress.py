"""How far a run is, weighted by nominal MACs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from sim.step.work import StepRun


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: steps done and to do, weighted by their nominal MACs."""

    layer: str
    step: str
    done_macs: int
    total_macs: int


class Teller:
    """Tells of every step that is done; what has to be done again adds to the total."""

    def __init__(self, total_macs: int, on_progress: Callable[[Progress], None] | None) -> None:
        self._done, self._total, self._on_progress = 0, total_macs, on_progress

    def tell(self, runs: Sequence[StepRun]) -> None:
        """Tell that a step is done on some machines."""
        self._done += sum(run.result.nominal_macs for run in runs)
        if self._on_progress:
            self._on_progress(Progress(runs[0].result.layer, runs[0].result.step, self._done, self._total))

    def expect(self, runs: Sequence[StepRun]) -> None:
        """Note that a step will be done again."""
        self._total += sum(run.result.nominal_macs for run in runs)
