"""Integer time and the order of what happens at one border between cycles."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import simpy
from simpy.events import Event


class Phase(IntEnum):
    """The order within a border: everything that ends does so first, then results, tasks and port grants follow.

    SimPy's own events (time-outs and the resumption of processes) end work: their priorities are 0 and 1. Requests
    are queued as they come up: they are granted in the order of their keys, after everything else at the border.
    """

    RESULTS = 2
    TASKS = 3
    GRANTS = 4


class CountingEnvironment(simpy.Environment):
    """SimPy's environment from cycle 0 on; counts the events of the machine."""

    def __init__(self) -> None:
        super().__init__(initial_time=0)
        self.events = 0


class DeadlockError(RuntimeError):
    """The machine stopped with work left: units wait for one another."""


def call_at(env: CountingEnvironment, phase: Phase, call: Callable[[], None]) -> None:
    """Call at this border, once every earlier phase has nothing left to do."""
    env.events += 1
    event = Event(env)
    event._ok = True
    event._value = None
    event.callbacks = [lambda _: call()]
    env.schedule(event, priority=int(phase))  # type: ignore[arg-type]


def call_after(env: CountingEnvironment, cycles: int, call: Callable[[], None]) -> None:
    """Call when so many cycles have passed, among the things that end."""
    env.events += 1
    env.timeout(cycles).callbacks.append(lambda _: call())


def run_to_end(env: simpy.Environment, processes: list[Any]) -> int:
    """Run until all processes have ended and return the time in cycles.

    Raises:
        DeadlockError: nothing is scheduled while a process still waits.
    """
    try:
        env.run(until=env.all_of(processes))
    except RuntimeError as error:
        if "until" not in str(error):
            raise
        waiting = sum(process.is_alive for process in processes)
        raise DeadlockError(
            f"deadlock at cycle {env.now}: {waiting} of {len(processes)} units wait for ever"
        ) from error
    return int(env.now)
