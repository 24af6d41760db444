"""The check that any dataflow may be given to: the built-in one keeps the laws, and one that lies is told so."""

from __future__ import annotations

import dataclasses

import numpy as np
from conformance.stepped_pairs import make_table, make_traffic
from oracle.stepped_records import TimedTask, TimedTile

from dataflows.contract.check import check_dataflow
from dataflows.contract.memory import MemoryShare
from dataflows.contract.options import make_options
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import TaskTable
from dataflows.contract.traffic_laws import check_range, check_traffic
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


def test_told_driver_rows_are_part_of_their_bursts_and_equal_ones_take_equal_bytes() -> None:
    share = MemoryShare(shares_reads=True)
    traffic = make_traffic(
        [TimedTile((TimedTask(((9, (1,)), (7, (2,))), 0, 0, 0, drivers=((5, "a"), (5, "a"))),), 0, 0)] * 2, 1
    )

    def find(**changes: list[int] | None) -> list[str]:
        arrays = {name: None if one is None else np.array(one, dtype=np.int64) for name, one in changes.items()}
        return list(check_traffic(make_table(dataclasses.replace(traffic, **arrays)), 1, share, masked=False))

    assert find() == []
    assert find(driver_bytes=[5, 5, 6, 6]) == []
    assert find(driver_bytes=[5, 4, 5, 5]) == [
        "bursts of a tile fetch the same driver rows in different numbers of bytes"
    ]
    assert find(driver_bytes=[5, 4, 5, 5], driver_rows=[0, 1, 0, 0]) == []
    assert find(driver_bytes=[5, 0, 5, 5]) == []
    assert find(driver_bytes=[5, 8, 5, 5], driver_rows=[0, 1, 0, 0]) == ["a burst has fewer bytes than its driver rows"]
    assert find(driver_bytes=None) == ["groups may share reads, but the driver rows of the bursts are not told"]
    assert find(driver_rows=[0, 1]) == ["driver_rows is int64 (2,), not int64 (4,)"]
