"""What a run found, as Python is given it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.architecture import Architecture
from sim.iteration.result_words import describe_result
from sim.results.notebook import make_compact_html
from sim.results.rows import StepResult, make_frame
from workloads.arrays import Float32Array
from workloads.workload import Workload

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, eq=False)
class RunResult:
    """What a run found.

    Attributes:
        outputs: The machine's values, ``<layer>/<step>`` to array, where they were asked for.
        directory: Where the results lie, or None.
        failures: One sentence for each step that is not the reference's.
        notices: What should be known of the figures, such as layers in which nothing is trained; `record` names these.
    """

    workload: Workload
    machines: tuple[Architecture, ...]
    operand_source: str
    steps: tuple[StepResult, ...]
    failures: tuple[str, ...]
    notices: tuple[str, ...]
    outputs: dict[str, Float32Array]
    directory: Path | None
    record: dict[str, Any]

    def __repr__(self) -> str:
        return describe_result(self)

    @property
    def frame(self) -> pd.DataFrame:
        """The rows of ``steps.csv``."""
        return make_frame(self.steps)

    @property
    def totals(self) -> dict[str, Any]:
        """Totals of every machine and speed-ups, as in ``run.json``."""
        totals: dict[str, Any] = self.record["totals"]
        return totals

    def _repr_html_(self) -> str:
        return make_compact_html(self.frame, f"{self.workload.name} on {self.machines[0].name}")

    @property
    def is_correct(self) -> bool:
        """Whether no compared step differs from the reference."""
        return not self.failures
