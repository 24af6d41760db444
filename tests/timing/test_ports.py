"""Ports of the global buffer: how long requests take, and who comes first."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from timing.machine_runs import run, spent, task

from sim.machine.clock import CountingEnvironment, call_after
from sim.machine.ledger import State
from sim.machine.ports import OPERANDS, PPU, Ports
from sim.machine.surroundings import Surroundings

WIDTH = 16


@pytest.mark.parametrize("size_bytes", [1, WIDTH - 1, WIDTH, WIDTH + 1, 7 * WIDTH])
def test_a_burst_occupies_a_port_for_its_bytes_over_the_width_rounded_up(size_bytes: int) -> None:
    cycles = -(-size_bytes // WIDTH)
    timing = run(task((size_bytes, 5)), ports=1, bytes_per_port_cycle=WIDTH)
    assert timing.cycles == cycles + 5
    assert timing.ports_busy_cycles == cycles
    assert spent(timing, State.WAIT_OPERANDS) == [cycles]


@pytest.mark.parametrize("ports", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("requests", [1, 2, 7, 8])
def test_n_requests_on_p_ports_end_after_n_over_p_rounds(ports: int, requests: int) -> None:
    size_bytes, cycles = 3 * WIDTH, 3
    work = [task((size_bytes, 0)) for _ in range(requests)]
    timing = run(*work, groups=requests, ports=ports, bytes_per_port_cycle=WIDTH)
    assert timing.cycles == cycles * -(-requests // ports)
    assert timing.ports_busy_cycles == cycles * requests


def test_a_burst_of_no_bytes_asks_for_no_port() -> None:
    timing = run(task((0, 4)), task((0, 4)), ports=1, bytes_per_port_cycle=1)
    assert (timing.cycles, timing.ports_busy_cycles) == (8, 0)


def test_an_unlimited_width_takes_no_time_and_an_unlimited_number_no_turn() -> None:
    work = [task((100, 4)) for _ in range(5)]
    assert run(*work, groups=5, ports=1).cycles == 4
    assert run(*work, groups=5, bytes_per_port_cycle=1).cycles == 100 + 4


def order_of_grants(*requests: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
    """Request (cycle, kind, group, burst) in the given order on one port, and give the order of their ends."""
    env = CountingEnvironment()
    ports = Ports(env, Surroundings(ports=1, bytes_per_port_cycle=WIDTH))
    ended: list[tuple[int, int, int, int]] = []

    def ask(request: tuple[int, int, int, int]) -> Callable[[], None]:
        return lambda: ports.request(*request[1:], WIDTH, lambda: ended.append(request))

    for request in requests:
        call_after(env, request[0], ask(request))
    env.run()
    assert int(env.now) == len(requests)
    return ended


def test_ports_are_granted_in_order_of_request_whatever_the_kind() -> None:
    requests = [(0, OPERANDS, 3, 9), (0, OPERANDS, 4, 0), (1, PPU, 0, 0)]
    assert order_of_grants(*requests) == requests


def test_at_the_same_cycle_ppu_requests_go_first_then_the_lower_group_then_the_lower_burst() -> None:
    sorted_requests = [
        (0, PPU, 1, 0), (0, PPU, 2, 0), (0, OPERANDS, 0, 4), (0, OPERANDS, 0, 5), (0, OPERANDS, 1, 0),
        (0, OPERANDS, 10, 1),
    ]  # fmt: skip
    assert order_of_grants(*reversed(sorted_requests)) == sorted_requests
    assert order_of_grants(*sorted_requests) == sorted_requests


def test_of_two_groups_that_wait_for_one_port_the_lower_starts_first() -> None:
    cycles, work = 4, 10
    timing = run(task((cycles * WIDTH, work)), task((cycles * WIDTH, work)), groups=2, ports=1,
                 bytes_per_port_cycle=WIDTH)  # fmt: skip
    assert spent(timing, State.WAIT_OPERANDS) == [cycles, 2 * cycles]
    assert timing.cycles == 2 * cycles + work


def test_a_write_goes_before_an_operand_fetch_of_the_same_cycle() -> None:
    # Group 0 ends its first task at `first` and asks for its next operands; its PPU asks to write at that cycle too.
    first, fetch, write, work = 3, 5, 2, 7
    timing = run(
        task((0, first), write_bytes=write * WIDTH), task((fetch * WIDTH, work)), ports=1, bytes_per_port_cycle=WIDTH
    )
    assert timing.cycles == first + write + fetch + work
    assert spent(timing, State.WAIT_OPERANDS) == [write + fetch]
