"""When tasks start and end on PE groups, worked out by hand."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from ideal_machine import deal_tasks, run_tasks
from timing.step_tables import tasks_of

from dataflows.contract.tasks import TaskTable
from sim.machine.accelerator import StepTiming
from sim.machine.ledger import State

LONG, SHORT = 10, 3


def busy_of(timing: StepTiming) -> list[int]:
    """Give the busy cycles of each group."""
    cycles: list[int] = timing.spent[:, State.BUSY].tolist()
    return cycles


def dealt(table: TaskTable, groups: int) -> list[int]:
    """Give the group that each task was dealt to."""
    dealt_to: list[int] = deal_tasks(table, groups)[1].tolist()
    return dealt_to


def test_one_task_takes_its_cycles() -> None:
    assert run_tasks(tasks_of(LONG), 1).cycles == LONG


def test_a_task_computes_for_as_long_as_its_slowest_pe() -> None:
    assert run_tasks(tasks_of([SHORT, LONG, 1]), 1).cycles == LONG


def test_one_group_works_its_tasks_one_after_the_other() -> None:
    timing = run_tasks(tasks_of([LONG, 1], [1, SHORT], [SHORT, SHORT]), 1)
    assert timing.cycles == LONG + SHORT + SHORT


def test_as_many_groups_as_tasks_work_them_at_once() -> None:
    timing = run_tasks(tasks_of(LONG, SHORT, 1), 3)
    assert timing.cycles == LONG
    assert busy_of(timing) == [LONG, SHORT, 1]
    assert timing.spent[:, State.IDLE].tolist() == [0, LONG - SHORT, LONG - 1]


def test_tasks_are_dealt_in_their_order() -> None:
    assert dealt(tasks_of(1, 2, 3, 4), 4) == [0, 1, 2, 3]


def test_the_lowest_of_the_groups_that_are_free_at_once_comes_first() -> None:
    assert dealt(tasks_of(*[SHORT] * 7), 3) == [0, 1, 2, 0, 1, 2, 0]


def test_a_group_that_is_free_a_cycle_earlier_comes_before_a_lower_one() -> None:
    assert dealt(tasks_of(SHORT, SHORT - 1, 1), 2) == [0, 1, 1]
    assert dealt(tasks_of(SHORT, SHORT, 1), 2) == [0, 1, 0]
    assert dealt(tasks_of(SHORT, SHORT + 1, 1), 2) == [0, 1, 0]


def test_a_task_without_cycles_takes_its_turn_and_no_time() -> None:
    timing = run_tasks(tasks_of(0, 0, 0), 2)
    assert timing.cycles == 0
    assert timing.executed.all()


def test_a_group_with_a_task_of_no_cycles_is_free_before_the_next_task_is_dealt() -> None:
    assert dealt(tasks_of(0, 0, LONG, SHORT), 2) == [0, 0, 0, 1]


def test_a_task_of_no_cycles_goes_to_the_lowest_free_group_in_the_middle_of_a_step_too() -> None:
    timing, dealt_to = deal_tasks(tasks_of(SHORT, SHORT, 0, 0, LONG, LONG), 2)
    assert dealt_to.tolist() == [0, 1, 0, 0, 0, 1]
    assert timing.cycles == SHORT + LONG


def test_the_end_of_the_step_is_the_end_of_its_last_task_not_of_its_last_dealt_one() -> None:
    assert run_tasks(tasks_of(LONG, 1, 1), 2).cycles == LONG


def test_a_step_without_tasks_takes_no_cycles() -> None:
    timing = run_tasks(tasks_of(), 3)
    assert timing.cycles == 0
    assert timing.spent.tolist() == [[0] * len(State)] * 3


def test_groups_without_a_task_are_idle_throughout() -> None:
    timing = run_tasks(tasks_of(LONG), 4)
    assert timing.spent[1:, State.IDLE].tolist() == [LONG] * 3
    assert timing.spent[1:].sum() == 3 * LONG
    assert timing.total(State.IDLE) == 3 * LONG


@pytest.mark.parametrize("groups", [1, 2, 3, 56])
@pytest.mark.parametrize("tasks", [1, 55, 56, 57, 200])
def test_equal_tasks_take_as_many_rounds_as_the_groups_need(tasks: int, groups: int) -> None:
    assert run_tasks(tasks_of(*[SHORT] * tasks), groups).cycles == SHORT * -(-tasks // groups)


@pytest.mark.parametrize("seed", range(20))
def test_random_tasks_are_dealt_to_the_group_that_is_free_earliest(seed: int) -> None:
    rng = np.random.default_rng([41, seed])
    cycles = rng.integers(0, 6, int(rng.integers(1, 60))).tolist()
    groups = int(rng.integers(1, 9))
    free = [(0, group) for group in range(groups)]
    expected = []
    for task in cycles:
        start, group = heapq.heappop(free)
        heapq.heappush(free, (start + task, group))
        expected.append(group)
    timing, dealt_to = deal_tasks(tasks_of(*cycles), groups)
    assert dealt_to.tolist() == expected
    assert timing.cycles == max(free)[0]
