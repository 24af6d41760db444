"""The controller: hands tasks, in their order, to the group that is free earliest; it takes no cycles."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from sim.machine.clock import CountingEnvironment, Phase, call_at


class Controller:
    """Deals the entries of one tile at a time; of groups that may take a task at one border, the lowest comes first."""

    def __init__(self, env: CountingEnvironment) -> None:
        self._env = env
        self._waiting: list[tuple[int, Callable[[int], None]]] = []
        self._next = 0
        self._end = 0
        self._is_scheduled = False

    def open_tile(self, first: int, end: int) -> None:
        """Let the entries ``first .. end`` be dealt."""
        self._next, self._end = first, end
        self._schedule()

    def offer(self, group: int, take: Callable[[int], None]) -> None:
        """Note that a group may take a task; `take` is called with its entry."""
        heapq.heappush(self._waiting, (group, take))
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled and self._waiting and self._next < self._end:
            self._is_scheduled = True
            call_at(self._env, Phase.TASKS, self._deal)

    def _deal(self) -> None:
        # One task at a time: what it ends at this border is followed up before the next one is dealt.
        self._is_scheduled = False
        _, take = heapq.heappop(self._waiting)
        entry = self._next
        self._next += 1
        take(entry)
        self._schedule()
