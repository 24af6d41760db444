"""Does a stranger's dataflow keep the contract: the built-in one does, and every planted fault is found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dataflows.contract.check import check_dataflow
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepValues, TaskTable
from dataflows.sparsetrain.dataflow import RowConvolution
from workloads.arrays import BoolArray
from workloads.shapes import LayerShape, LinearShape

SMALL: tuple[LayerShape, ...] = (LinearShape(batch=2, in_features=5, out_features=4),)


def test_the_built_in_dataflow_keeps_every_law() -> None:
    assert check_dataflow(RowConvolution()) == []


class Faulty:
    """The built-in dataflow with something changed in what it lowers or executes."""

    def __init__(self, lowered: Callable[[TaskTable], TaskTable], executed: Callable[[StepValues], StepValues]) -> None:
        self._lowered, self._executed = lowered, executed

    def lower(self, problem: StepProblem) -> TaskTable:
        """Lower, then change the table."""
        return self._lowered(RowConvolution().lower(problem))

    def execute(self, problem: StepProblem, executed: BoolArray) -> StepValues:
        """Execute, then change the values."""
        return self._executed(RowConvolution().execute(problem, executed))


def change_traffic(table: TaskTable, **changes: object) -> TaskTable:
    """Replace arrays of a table's traffic, where there is one."""
    if table.traffic is None:
        return table
    return dataclasses.replace(table, traffic=dataclasses.replace(table.traffic, **changes))  # type: ignore[arg-type]


def name_first_task(table: TaskTable) -> TaskTable:
    """Dispatch the first task in the place of every one."""
    return table if table.dispatch is None else dataclasses.replace(table, dispatch=np.zeros_like(table.dispatch))


def keep(given: Any) -> Any:
    """Change nothing."""
    return given


FAULTS: list[tuple[Callable[[TaskTable], TaskTable], Callable[[StepValues], StepValues], str]] = [
    (keep, lambda values: dataclasses.replace(values, output=values.output + np.float32(1)), "not the reference's"),
    (keep, lambda values: dataclasses.replace(values, output=np.nan_to_num(values.output)), "not executed are there"),
    (keep, lambda values: dataclasses.replace(values, multiplications=values.multiplications + 1), "in `execute`"),
    (
        lambda table: dataclasses.replace(table, counts=dataclasses.replace(table.counts, dense_macs=0)),
        keep,
        "none may exceed the next",
    ),
    (lambda table: dataclasses.replace(table, pe_cycles=table.pe_cycles * 0), keep, "do not fit the PEs' cycles"),
    (lambda table: dataclasses.replace(table, pe_cycles=table.pe_cycles + 1), keep, "do not sum to pe_cycles"),
    (lambda table: change_traffic(table, footprint_bytes=2**40), keep, "the footprint is"),
    (lambda table: change_traffic(table, tile_first=np.zeros(2, np.int64)), keep, "tile_first does not run"),
    (name_first_task, keep, "are never dispatched"),
]


@pytest.mark.parametrize(("lowered", "executed", "words"), FAULTS, ids=[words for _, _, words in FAULTS])
def test_a_planted_fault_is_found(
    lowered: Callable[[TaskTable], TaskTable], executed: Callable[[StepValues], StepValues], words: str
) -> None:
    findings = check_dataflow(Faulty(lowered, executed), SMALL)
    assert any(words in finding for finding in findings)


class Raising(RowConvolution):
    """Refuses layers in words that are not those of the contract."""

    def lower(self, problem: StepProblem) -> TaskTable:
        """Refuse."""
        raise KeyError(problem.operands.layer)


def test_a_refusal_by_another_error_is_a_finding() -> None:
    findings = check_dataflow(Raising(), SMALL)
    assert findings[0] == "LinearShape 0, step forward, skipping, no memory: raised KeyError: 'checked'"
    assert findings[-1] == "no step of any of the layers is mapped, so nothing was checked"
