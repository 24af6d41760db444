"""Shared reads: a burst's driver rows and its other rows are two requests, and equal driver rows one access."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import pytest
from oracle.stepped_records import TimedTask
from timing.machine_runs import run, spent, task, tile

from sim.machine.accelerator import Engine, StepTiming
from sim.machine.ledger import State
from workloads.errors import InputError

WIDTH = 16


def with_drivers(one: TimedTask, *drivers: tuple[int, Hashable]) -> TimedTask:
    """Tell the driver rows of a task's bursts."""
    return replace(one, drivers=drivers)


def run_both(*work: object, groups: int, multicast: int, ports: int = 1, **speeds: object) -> StepTiming:
    """Run on both engines, which agree, with ports of WIDTH."""
    timings = [
        run(*work, groups=groups, engine=engine, ports=ports, bytes_per_port_cycle=WIDTH, multicast=multicast, **speeds)  # type: ignore[arg-type]
        for engine in Engine
    ]
    assert timings[0].cycles == timings[1].cycles
    assert timings[0].spent.tolist() == timings[1].spent.tolist()
    assert (timings[0].shared_bytes, timings[0].events) == (timings[1].shared_bytes, timings[1].events)
    return timings[0]


@pytest.mark.parametrize("multicast", [2, 3, 4, 7, 8])
@pytest.mark.parametrize("groups", [1, 2, 7, 8])
def test_n_equal_requests_of_which_m_share_one_access_end_after_n_over_m_accesses(groups: int, multicast: int) -> None:
    cycles, work = 3, 5
    one = with_drivers(task((cycles * WIDTH, work)), (cycles * WIDTH, "rows"))
    timing = run_both(*[one] * groups, groups=groups, multicast=multicast)
    accesses = -(-groups // multicast)
    assert timing.cycles == accesses * cycles + work
    assert timing.ports_busy_cycles == accesses * cycles
    assert timing.shared_cycles == (groups - accesses) * cycles
    assert timing.shared_bytes == (groups - accesses) * cycles * WIDTH
    assert spent(timing, State.WAIT_OPERANDS) == [(group // multicast + 1) * cycles for group in range(groups)]


def test_with_multicast_1_the_burst_is_one_request_and_nothing_is_shared() -> None:
    one = with_drivers(task((2 * WIDTH + 2, 5)), (WIDTH + 1, "rows"))
    timing = run_both(one, one, groups=2, multicast=1)
    # 2 WIDTH + 2 bytes are three cycles; apart, its parts would be two and two.
    assert timing.cycles == 3 + 3 + 5
    assert (timing.ports_busy_cycles, timing.shared_bytes, timing.shared_cycles) == (6, 0, 0)


def test_a_burst_arrives_with_the_later_of_its_driver_rows_and_its_other_rows() -> None:
    drivers, others, work = 2, 7, 5
    one = with_drivers(task(((drivers + others) * WIDTH, work)), (drivers * WIDTH, "rows"))
    assert run_both(one, groups=1, multicast=2, ports=1).cycles == drivers + others + work
    assert run_both(one, groups=1, multicast=2, ports=2).cycles == max(drivers, others) + work
    swapped = with_drivers(task(((drivers + others) * WIDTH, work)), (others * WIDTH, "rows"))
    assert run_both(swapped, groups=1, multicast=2, ports=2).cycles == max(drivers, others) + work


def test_each_part_is_rounded_up_to_a_cycle_of_its_own() -> None:
    one = with_drivers(task((2 * WIDTH + 2, 5)), (WIDTH + 1, "rows"))
    timing = run_both(one, groups=1, multicast=2)
    assert timing.cycles == 2 + 2 + 5


def test_an_access_takes_the_place_of_its_first_request_before_the_other_rows_of_the_same_burst() -> None:
    drivers, others, work = 4, 3, 1
    one = with_drivers(task(((drivers + others) * WIDTH, work)), (drivers * WIDTH, "rows"))
    timing = run_both(one, one, groups=2, multicast=2)
    # One port: driver rows of both until 4, others of group 0 until 7, of group 1 until 10.
    assert spent(timing, State.WAIT_OPERANDS) == [drivers + others, drivers + 2 * others]


def test_other_rows_and_other_driver_rows_are_read_by_each_group() -> None:
    drivers, work = 4, 1
    first = with_drivers(task((drivers * WIDTH, work)), (drivers * WIDTH, "rows"))
    second = with_drivers(task((drivers * WIDTH, work)), (drivers * WIDTH, "others"))
    timing = run_both(first, second, first, groups=3, multicast=3)
    # Group 2 comes along with group 0, and goes before group 1.
    assert spent(timing, State.WAIT_OPERANDS) == [drivers, 2 * drivers, drivers]
    untold = with_drivers(task((drivers * WIDTH, work)), (0, "rows"))
    assert run_both(untold, untold, groups=2, multicast=2).shared_bytes == 0


def test_requests_of_different_cycles_share_nothing_though_both_wait() -> None:
    long, drivers = 20, 4
    # Group 0 holds the port until 20. The groups 1 and 2 ask at 0 and, after a first burst without bytes, at 3.
    first = task((long * WIDTH, 1))
    second = with_drivers(task((drivers * WIDTH, 1)), (drivers * WIDTH, "rows"))
    third = with_drivers(
        task((0, 3), (0, 1), (drivers * WIDTH, 1)), (0, "none"), (0, "none"), (drivers * WIDTH, "rows")
    )
    timing = run_both(with_drivers(first, (0, "none")), second, third, groups=3, multicast=3)
    assert timing.shared_bytes == 0
    assert timing.cycles == long + drivers + drivers + 1
    together = run_both(with_drivers(first, (0, "none")), second, second, groups=3, multicast=3)
    assert together.shared_bytes == drivers * WIDTH
    assert together.cycles == long + drivers + 1


def test_two_bursts_of_one_group_for_the_same_rows_count_as_two_that_share() -> None:
    drivers, work = 4, 6
    one = with_drivers(task(*[(drivers * WIDTH, work)] * 2), *[(drivers * WIDTH, "rows")] * 2)
    alone = run_both(one, groups=1, multicast=2)
    assert alone.cycles == drivers + 2 * work
    assert alone.shared_bytes == drivers * WIDTH
    both = run_both(one, one, groups=2, multicast=3)
    # The three first of four requests are one access; the second burst of group 1 is read after it.
    assert both.ports_busy_cycles == 2 * drivers
    assert spent(both, State.WAIT_OPERANDS) == [drivers, drivers]


def test_equal_tiles_are_worked_alike_and_tiles_that_share_otherwise_are_not() -> None:
    drivers, work = 4, 1
    rows = [with_drivers(task((drivers * WIDTH, work)), (drivers * WIDTH, name)) for name in "abcd"]
    alike = run_both(tile(rows[0], rows[0]), tile(rows[1], rows[1]), groups=2, multicast=2)
    assert alike.cycles == 2 * (drivers + work)
    assert alike.shared_bytes == 2 * drivers * WIDTH
    apart = run_both(tile(rows[0], rows[0]), tile(rows[2], rows[3]), groups=2, multicast=2)
    assert apart.cycles == drivers + work + 2 * drivers + work
    assert apart.shared_bytes == drivers * WIDTH


def test_what_groups_fetch_is_not_known_to_be_equal_where_it_is_not_told() -> None:
    for engine in Engine:
        with pytest.raises(
            InputError,
            match=r"^buffer\.multicast is 2, but the dataflow does not tell the driver rows of its bursts "
            r"\(driver_bytes and driver_rows of its traffic\); set buffer\.multicast to 1$",
        ):
            run(task((WIDTH, 1)), groups=1, engine=engine, multicast=2)
