"""Task tables with given cycles, for timing tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dataflows.contract.tasks import StepCounts, TaskTable

NO_COUNTS = StepCounts(0, 0, 0, 0, 0, 0, 0)


def tasks_of(*cycles: int | Sequence[int]) -> TaskTable:
    """Make a table of tasks, each given by the cycles of its one PE or of its PEs."""
    rows = [[task] if isinstance(task, int) else list(task) for task in cycles]
    width = max((len(row) for row in rows), default=1)
    pe_cycles = np.array([row + [0] * (width - len(row)) for row in rows], dtype=np.int64).reshape(-1, width)
    return TaskTable(pe_cycles, ("task",), np.arange(len(rows))[:, None], NO_COUNTS)
