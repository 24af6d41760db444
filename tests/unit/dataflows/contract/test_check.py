"""The check that any dataflow may be given to: the built-in one keeps the laws, and one that lies is told so."""

from __future__ import annotations

import dataclasses

import numpy as np

from dataflows.contract.check import check_dataflow
from dataflows.contract.options import make_options
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import TaskTable
from dataflows.contract.traffic_laws import check_range
from dataflows.sparsetrain.dataflow import RowConvolution
from workloads.shapes import ConvShape

SHAPES = (ConvShape(1, 2, 4, 4, 2, 3, 3, padding=(1, 1, 1, 1)),)


class Overstating(RowConvolution):
    """Tells of a row operation that nobody does."""

    def lower(self, problem: StepProblem) -> TaskTable:
        table = super().lower(problem)
        counts = dataclasses.replace(table.counts, row_ops=table.counts.row_ops + 1)
        return dataclasses.replace(table, counts=counts)


@dataclasses.dataclass(frozen=True)
class Choices:
    """One option."""

    width: int = 4


def test_the_built_in_dataflow_keeps_the_laws_and_one_that_overstates_does_not() -> None:
    assert check_dataflow(RowConvolution(), SHAPES) == []
    found = check_dataflow(Overstating(), SHAPES)
    assert any("row operations" in words or "row_ops" in words for words in found), found


def test_a_dispatch_names_tasks_that_are_there() -> None:
    assert check_range(np.array([0, 1, 1], dtype=np.int64), 2)
    assert not check_range(np.array([0, 2], dtype=np.int64), 2)


def test_options_are_filled_with_their_defaults() -> None:
    assert make_options("mine", Choices, {"width": 8}) == Choices(8)
    assert make_options("mine", Choices, {}) == Choices(4)
