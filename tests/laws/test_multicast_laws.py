"""What sharing reads cannot change, and how little it can cost: random tasks on machines that share more and more."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
from conformance.stepped_pairs import describe_speeds, make_table, make_traffic
from conformance.test_stepped_multicast import draw_shared

from sim.machine.accelerator import Engine, StepTiming, run_step

LISTS = 300
SHARES = (2, 3, 8, 1000)


@cache
def time_list(index: int, multicast: int, has_ports: bool = True) -> StepTiming:
    """Time a drawn list on its machine with so many requests sharing an access."""
    tiles, machine = draw_shared(index)
    machine = replace(machine, multicast=multicast, ports=machine.ports if has_ports else None)
    table = make_table(make_traffic(tiles, machine.pes_per_group))
    return run_step(table, machine.groups, describe_speeds(machine), Engine.COMPILED)


@pytest.mark.parametrize("index", range(0, LISTS, 3))
def test_every_fetch_is_an_access_or_shares_one(index: int) -> None:
    timings = [time_list(index, multicast) for multicast in SHARES]
    assert len({timing.ports_busy_cycles + timing.shared_cycles for timing in timings}) == 1
    assert all(timing.shared_bytes >= 0 for timing in timings)


@pytest.mark.parametrize("index", range(0, LISTS, 3))
def test_where_ports_never_run_out_it_takes_as_long_however_many_share(index: int) -> None:
    timings = [time_list(index, multicast, has_ports=False) for multicast in SHARES]
    assert len({timing.cycles for timing in timings}) == 1
    assert len({timing.spent.tobytes() for timing in timings}) == 1


def test_a_step_seldom_takes_more_cycles_where_more_may_share_and_never_much() -> None:
    # Greedy: a burst that comes earlier may end a task earlier, which then goes to another group.
    pairs = [
        (time_list(index, fewer).cycles, time_list(index, more).cycles)
        for index in range(LISTS)
        for fewer, more in pairwise(SHARES)
    ]
    longer = [(fewer, more) for fewer, more in pairs if more > fewer]
    assert len(longer) < 0.02 * len(pairs)
    assert all(more <= 1.1 * fewer for fewer, more in longer)
    assert sum(more < fewer for fewer, more in pairs) > 5 * len(longer)


def test_the_worst_step_that_was_found_among_three_thousand_takes_a_twelfth_more() -> None:
    assert [time_list(2594, multicast).cycles for multicast in (2, 3)] == [418, 453]


def test_parts_of_a_burst_that_each_round_up_may_cost_more_than_nothing_shared_saves() -> None:
    alone, parted = (time_list(742, multicast) for multicast in (1, 2))
    assert (alone.cycles, parted.cycles) == (51, 59)
    assert parted.ports_busy_cycles + parted.shared_cycles > alone.ports_busy_cycles
