"""Sums of gradients over several chips: each reduction passes over links hop by hop, first come first served.

All chips work alike and at the same time, so that the links of one chip stand for those of all: a ring has one from
each chip to the next, a tree one up and one down at each of its levels.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

from simpy.events import Event

from sim.machine.clock import CountingEnvironment, Phase, call_at, run_to_end


@dataclass(frozen=True, slots=True)
class Hop:
    """A transfer over a link: it holds the link for some cycles, and what it carries arrives a latency later."""

    link: int
    cycles: int
    latency_cycles: int


@dataclass(frozen=True, slots=True)
class Reduction:
    """The sum of one layer's gradients: the cycle from which it may begin, and its hops, one behind the other."""

    ready: int
    hops: tuple[Hop, ...]


@dataclass(frozen=True, slots=True)
class ReductionTiming:
    """When each reduction ended, in the order given, and for how long the busiest link was held."""

    ends: tuple[int, ...]
    busy_cycles: int


class _Link:
    """A link: whoever asked first is served first; of those that ask in the same cycle, the reduction given first."""

    def __init__(self, env: CountingEnvironment) -> None:
        self._env = env
        self._waiting: list[tuple[int, int, int, Event]] = []
        self._is_held = False
        self.busy_cycles = 0

    def carry(self, number: int, cycles: int) -> Event:
        """Ask for the link; the event fires when it is free again."""
        done = self._env.event()
        heappush(self._waiting, (int(self._env.now), number, cycles, done))
        call_at(self._env, Phase.GRANTS, self._grant)
        return done

    def _grant(self) -> None:
        if self._is_held or not self._waiting:
            return
        _, _, cycles, done = heappop(self._waiting)
        self._is_held = True
        self.busy_cycles += cycles
        self._env.process(self._hold(cycles, done))

    def _hold(self, cycles: int, done: Event) -> Generator[Event, Any, None]:
        yield self._env.timeout(cycles)
        self._is_held = False
        done.succeed()
        call_at(self._env, Phase.GRANTS, self._grant)


def run_reductions(reductions: Sequence[Reduction]) -> ReductionTiming:
    """Carry out reductions over the links that their hops name."""
    env = CountingEnvironment()
    links: dict[int, _Link] = {}
    ends = [0] * len(reductions)

    def reduce(number: int, reduction: Reduction) -> Generator[Event, Any, None]:
        yield env.timeout(reduction.ready)
        for hop in reduction.hops:
            link = links.setdefault(hop.link, _Link(env))
            yield link.carry(number, hop.cycles)
            yield env.timeout(hop.latency_cycles)
        ends[number] = int(env.now)

    if reductions:
        run_to_end(env, [env.process(reduce(number, one)) for number, one in enumerate(reductions)])
    return ReductionTiming(tuple(ends), max((link.busy_cycles for link in links.values()), default=0))
