"""The DRAM channel: first come first served, latency side by side, transfers one after the other."""

from __future__ import annotations

import pytest

from sim.machine.clock import CountingEnvironment, call_after
from sim.machine.dram import Dram

BANDWIDTH, LATENCY = 32, 100


def ends_of(*requests: tuple[int, int], latency: int = LATENCY, bandwidth: int | None = BANDWIDTH) -> list[int]:
    """Request transfers of (cycle, bytes) and give the cycles at which they end; the channel's counts are checked."""
    env = CountingEnvironment()
    dram = Dram(env, bandwidth, latency)
    ends = [-1] * len(requests)

    def ask(number: int, size_bytes: int) -> None:
        def note(_: object) -> None:
            ends[number] = int(env.now)

        dram.transfer(size_bytes).callbacks.append(note)  # type: ignore[union-attr]

    for number, (cycle, size_bytes) in enumerate(requests):
        call_after(env, cycle, lambda number=number, size_bytes=size_bytes: ask(number, size_bytes))  # type: ignore[misc]
    env.run()
    assert dram.transferred_bytes == sum(size for _, size in requests)
    busy = 0 if bandwidth is None else sum(-(-size // bandwidth) for _, size in requests)
    assert dram.busy_cycles == busy
    return ends


@pytest.mark.parametrize("size_bytes", [1, BANDWIDTH, BANDWIDTH + 1, 10 * BANDWIDTH])
def test_a_transfer_takes_its_latency_and_its_bytes_over_the_bandwidth(size_bytes: int) -> None:
    assert ends_of((7, size_bytes)) == [7 + LATENCY + -(-size_bytes // BANDWIDTH)]


def test_back_to_back_transfers_hide_the_latency_of_all_but_the_first() -> None:
    cycles = 10
    assert ends_of(*[(0, cycles * BANDWIDTH)] * 4) == [LATENCY + cycles * (number + 1) for number in range(4)]


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_a_request_hides_its_latency_just_if_it_comes_that_early(late: int) -> None:
    first_end = LATENCY + 150
    asked = first_end - LATENCY + late
    assert ends_of((0, 150 * BANDWIDTH), (asked, BANDWIDTH)) == [first_end, first_end + max(late, 0) + 1]


def test_the_first_to_come_is_served_first_however_long() -> None:
    assert ends_of((0, 1000 * BANDWIDTH), (1, 1)) == [LATENCY + 1000, LATENCY + 1000 + 1]


def test_a_transfer_of_no_bytes_ends_at_once_and_delays_none() -> None:
    assert ends_of((3, 0), (3, BANDWIDTH)) == [3, 3 + LATENCY + 1]


def test_an_unlimited_bandwidth_leaves_the_latency() -> None:
    assert ends_of((5, 10**9), bandwidth=None) == [5 + LATENCY]
    assert ends_of((5, 10**9), bandwidth=None, latency=0) == [5]
