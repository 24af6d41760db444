"""Operand bursts: two halves, PEs that go on by themselves, and the look-ahead to the next task."""

from __future__ import annotations

import pytest
from oracle.stepped_records import TimedTask
from timing.machine_runs import run, spent, task

from sim.machine.ledger import State

WIDTH = 8
PORT = {"ports": 1, "bytes_per_port_cycle": WIDTH}


@pytest.mark.parametrize("work", [4, 5, 6])
def test_the_second_half_is_filled_while_the_first_is_worked(work: int) -> None:
    fetch, bursts = 5, 6
    timing = run(task(*[(fetch * WIDTH, work)] * bursts), **PORT)
    assert timing.cycles == fetch + (bursts - 1) * max(fetch, work) + work
    assert spent(timing, State.WAIT_OPERANDS) == [fetch + (bursts - 1) * max(0, fetch - work)]


def test_the_third_burst_waits_for_the_first_half_to_be_free() -> None:
    fetch, long = 2, 50
    timing = run(task((fetch * WIDTH, long), (fetch * WIDTH, 1), (fetch * WIDTH, 1)), **PORT)
    # Requested at fetch + long; the second burst's one cycle hides one cycle of its transfer.
    assert timing.cycles == fetch + long + fetch + 1


def test_a_half_is_free_only_when_all_pes_have_ended_its_burst() -> None:
    fetch, long = 2, 50
    bursts = ((fetch * WIDTH, (1, long)), (fetch * WIDTH, (1, 1)), (fetch * WIDTH, (9, 1)))
    timing = run(TimedTask(bursts, 0, 0, 0), **PORT)
    assert timing.cycles == fetch + long + fetch + 9


def test_a_pe_goes_on_to_the_next_burst_before_its_neighbours_have_ended() -> None:
    fetch, long, short = 2, 30, 10
    bursts = ((fetch * WIDTH, (long, short)), (fetch * WIDTH, (short, long)))
    timing = run(TimedTask(bursts, 0, 0, 0), **PORT)
    assert timing.cycles == fetch + long + short
    assert spent(timing, State.BUSY) == [long + short]


def test_without_look_ahead_every_task_waits_for_its_first_burst() -> None:
    fetch, work, tasks = 5, 20, 4
    timing = run(*[task((fetch * WIDTH, work))] * tasks, **PORT, prefetches_next_task=False)
    assert timing.cycles == tasks * (fetch + work)
    assert spent(timing, State.WAIT_OPERANDS) == [tasks * fetch]


@pytest.mark.parametrize("work", [4, 5, 6, 20])
def test_with_look_ahead_the_next_tasks_burst_is_fetched_during_the_present_one(work: int) -> None:
    fetch, tasks = 5, 4
    timing = run(*[task((fetch * WIDTH, work))] * tasks, **PORT, prefetches_next_task=True)
    assert timing.cycles == fetch + (tasks - 1) * max(fetch, work) + work


def test_look_ahead_begins_when_the_first_pe_starts_on_the_last_burst() -> None:
    fetch, work = 5, 8
    timing = run(task((fetch * WIDTH, work), (fetch * WIDTH, 1)), task((fetch * WIDTH, 1)), **PORT,
                 prefetches_next_task=True)  # fmt: skip
    # The last burst is started at fetch + work, when the first half is free for the next task's burst.
    assert timing.cycles == fetch + work + fetch + 1


def test_no_pe_starts_on_the_next_task_before_the_present_ones_results_are_handed_over() -> None:
    elements, work = 40, 1
    timing = run(*[task((WIDTH, work), elements=elements)] * 4, **PORT, elements_per_cycle=1,
                 prefetches_next_task=True)  # fmt: skip
    # The first burst takes a cycle; from then on the unit never rests.
    assert timing.cycles == 1 + work + 4 * elements


@pytest.mark.parametrize("prefetches", [False, True])
def test_look_ahead_changes_nothing_where_operands_take_no_time(prefetches: bool) -> None:
    timing = run(*[task((0, 7), (0, 2))] * 3, prefetches_next_task=prefetches)
    assert timing.cycles == 3 * (7 + 2)
