"""The ideal machine in two calls: a step's tasks, and their execution on PE groups alone."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.array import PEArray
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import TaskTable
from dataflows.sparsetrain.dataflow import RowConvolution
from sim.machine import accelerator
from sim.machine.accelerator import StepTiming, run_step
from sim.machine.controller import Controller
from workloads.operands import Operands
from workloads.shapes import Step

DATAFLOW = RowConvolution()


def lower(operands: Operands, step: Step, array: PEArray) -> TaskTable:
    """Cut a step into tasks for a machine whose memory takes no time."""
    return DATAFLOW.lower(StepProblem(operands, step, array))


def run_tasks(table: TaskTable, groups: int) -> StepTiming:
    """Execute tasks on groups that nothing but their own work holds up."""
    return run_step(table, groups)


def deal_tasks(table: TaskTable, groups: int) -> tuple[StepTiming, NDArray[np.int64]]:
    """Execute tasks and note which group was handed each: int64 ``(tasks,)``."""
    dealt_to = np.full(len(table), -1, dtype=np.int64)

    class NotingController(Controller):
        def offer(self, group: int, take: object) -> None:
            def note(entry: int) -> None:
                assert dealt_to[entry] == -1, f"task {entry} was dealt twice"
                dealt_to[entry] = group
                take(entry)  # type: ignore[operator]

            super().offer(group, note)

    with patch.object(accelerator, "Controller", NotingController):
        timing = run_tasks(table, groups)
    return timing, dealt_to
