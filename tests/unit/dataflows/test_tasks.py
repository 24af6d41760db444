"""A task table refuses arrays that do not belong together."""

from __future__ import annotations

import numpy as np
import pytest

from dataflows.contract.tasks import StepCounts, TaskTable

COUNTS = StepCounts(0, 0, 0, 0, 0, 0, 0, 0)


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
