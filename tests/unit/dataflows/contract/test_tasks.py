"""A task table refuses arrays that do not belong together; its cycles are those of its tasks' bursts."""

from __future__ import annotations

import numpy as np
import pytest
from random_layers import draw_operands

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepCounts, TaskTable
from dataflows.sparsetrain import dataflow
from workloads.shapes import ConvShape, Step

COUNTS = StepCounts(0, 0, 0, 0, 0, 0, 0)


def test_a_table_is_as_long_as_its_tasks() -> None:
    assert len(TaskTable(np.zeros((4, 3), np.int64), ("image",), np.zeros((4, 1), np.int64), COUNTS)) == 4


def test_indices_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="task table") as caught:
        TaskTable(np.zeros((4, 3), np.int64), ("image", "row"), np.zeros((3, 2), np.int64), COUNTS)
    assert str(caught.value) == (
        "a task table needs pe_cycles (tasks, PEs) and indices (tasks, 2), got (4, 3) and (3, 2)"
    )


def test_negative_cycles_are_refused() -> None:
    with pytest.raises(ValueError, match="negative") as caught:
        TaskTable(np.array([[2, -1]]), ("image",), np.zeros((1, 1), np.int64), COUNTS)
    assert str(caught.value) == "pe_cycles must not be negative, got -1"


def test_cycles_of_tasks_are_the_same_however_many_entries_are_summed_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    operands = draw_operands(rng, ConvShape(2, 6, 5, 5, 4, 3, 3, padding=(1, 1, 1, 1)))
    memory = MemoryShare(capacity_bytes=400, operand_store_bytes=64)
    tables = []
    for entries in (2**18, 7):
        monkeypatch.setattr(dataflow, "SUMMED_ENTRIES", entries)
        tables.append(dataflow.RowConvolution().lower(StepProblem(operands, Step.FORWARD, PEArray(), memory)))
    first, second = tables
    assert first.dispatch is not None
    assert len(first.dispatch) > 5 * 7
    np.testing.assert_array_equal(first.pe_cycles, second.pe_cycles)
    assert first.pe_cycles.sum() > 0
