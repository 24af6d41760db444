"""The order of what happens at one border, and the end of a machine that cannot go on."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
import simpy
from ideal_machine import run_tasks
from timing.step_tables import tasks_of

from sim.machine import accelerator
from sim.machine.clock import CountingEnvironment, DeadlockError, Phase, call_after, call_at, run_to_end
from sim.machine.controller import Controller


def test_at_a_border_work_ends_then_come_results_then_tasks_then_grants() -> None:
    env = CountingEnvironment()
    order: list[tuple[str, int]] = []

    def note(name: str) -> Callable[[], None]:
        return lambda: order.append((name, int(env.now)))

    def start() -> None:
        for phase in (Phase.GRANTS, Phase.TASKS, Phase.RESULTS):
            call_at(env, phase, note(phase.name))
        call_after(env, 0, note("END"))

    call_after(env, 5, start)
    env.run()
    assert order == [("END", 5), ("RESULTS", 5), ("TASKS", 5), ("GRANTS", 5)]


def test_work_of_no_cycles_that_a_handover_starts_ends_before_the_next_handover() -> None:
    env = CountingEnvironment()
    order: list[str] = []

    def hand_over() -> None:
        order.append("handover")
        call_after(env, 0, lambda: order.append("end"))

    call_at(env, Phase.TASKS, hand_over)
    call_at(env, Phase.TASKS, hand_over)
    env.run()
    assert order == ["handover", "end", "handover", "end"]


def test_phases_are_in_the_order_of_the_definition_and_after_all_of_simpys_own() -> None:
    simpy_priorities = [int(simpy.events.URGENT), int(simpy.events.NORMAL)]
    assert max(simpy_priorities) < Phase.RESULTS < Phase.TASKS < Phase.GRANTS


def test_the_end_of_a_run_is_that_of_its_last_process() -> None:
    env = CountingEnvironment()

    def work(cycles: int) -> Generator[Any, Any, None]:
        yield env.timeout(cycles)

    assert run_to_end(env, [env.process(work(cycles)) for cycles in (4, 9, 2)]) == 9


def test_processes_that_wait_for_ever_are_a_deadlock() -> None:
    env = CountingEnvironment()

    def work(cycles: int, *, stalls: bool) -> Generator[Any, Any, None]:
        yield env.timeout(cycles)
        if stalls:
            yield env.event()

    processes = [env.process(work(cycles, stalls=cycles > 3)) for cycles in (3, 5, 7)]
    with pytest.raises(DeadlockError) as caught:
        run_to_end(env, processes)
    assert str(caught.value) == "deadlock at cycle 7: 2 of 3 units wait for ever"


def test_an_error_inside_a_process_is_not_taken_for_a_deadlock() -> None:
    env = CountingEnvironment()

    def work() -> Generator[Any, Any, None]:
        yield env.timeout(1)
        raise RuntimeError("the unit broke")

    with pytest.raises(RuntimeError) as caught:
        run_to_end(env, [env.process(work())])
    assert (type(caught.value), str(caught.value)) == (RuntimeError, "the unit broke")


class StuckController(Controller):
    """Deals nothing after its third task."""

    def _deal(self) -> None:
        if self._next < 3:
            super()._deal()


def test_a_machine_whose_controller_stops_dealing_is_a_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "Controller", StuckController)
    with pytest.raises(DeadlockError) as caught:
        run_tasks(tasks_of(4, 6, 8, 1, 1), 3)
    assert str(caught.value) == "deadlock at cycle 8: 1 of 1 units wait for ever"
