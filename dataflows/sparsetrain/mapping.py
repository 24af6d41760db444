"""What a mapping answers: how the steps of one kind become tasks, tiles, bursts and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepCounts, StepValues
from dataflows.contract.tile_plan import TilePlan
from workloads.arrays import BoolArray, IntArray


class Mapping(Protocol):
    """One way of cutting a step; the dataflow has a mapping for each shape of layers and each step."""

    def list_tasks(self, problem: StepProblem) -> tuple[tuple[str, ...], IntArray]:
        """Name the indices of the step's tasks and list them in the order of dispatch: int64 ``(tasks, indices)``."""
        ...

    def measure_tasks(self, problem: StepProblem) -> IntArray:
        """Give the cycles of every task on each PE where memory takes no time: int64 ``(tasks, PEs)``."""
        ...

    def count(self, problem: StepProblem) -> StepCounts:
        """Count what the PEs do in the step, without cutting it."""
        ...

    def cut(self, problem: StepProblem) -> tuple[Traffic, IntArray]:
        """Cut the step into tiles and its tasks into bursts; also give the task of each dispatch entry."""
        ...

    def recount(self, problem: StepProblem, counts: StepCounts, pe_cycles: IntArray, traffic: Traffic) -> StepCounts:
        """Add to the counts of the uncut step what its cutting added to the PEs' cycles ``(tasks, PEs)``."""
        ...

    def plan_tiles(self, problem: StepProblem, images: IntArray) -> TilePlan:
        """Cut the step of a batch for which some images stand, as `SampledDataflow.plan_tiles` does."""
        ...

    def pack_tiles(self, problem: StepProblem, plan: TilePlan, images: Sequence[int], tiles: IntArray) -> Traffic:
        """Give the traffic of some tiles, as `SampledDataflow.pack_tiles` does."""
        ...

    def execute(self, problem: StepProblem, executed: BoolArray) -> StepValues:
        """Compute the values of the executed tasks ``(tasks,)``."""
        ...
