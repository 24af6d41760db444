"""Sums of gradients over links, whose cycles are those of closed formulas."""

from __future__ import annotations

from math import ceil

import pytest

from sim.machine.all_reduce import Hop, Reduction, run_reductions
from sim.scaling.interconnect import Interconnect, Topology

READY, SIZE, BANDWIDTH, LATENCY = 100, 1000, 7, 13


@pytest.mark.parametrize("chips", [1, 2, 3, 4, 7, 16, 64])
def test_one_sum_on_a_ring_passes_parts_on_twice_chips_less_one_times(chips: int) -> None:
    hops = Interconnect(Topology.RING, BANDWIDTH, LATENCY).list_hops(SIZE, chips)
    part = ceil(ceil(SIZE / chips) / BANDWIDTH)
    found = run_reductions([Reduction(READY, hops)])
    assert found.ends == (READY + 2 * (chips - 1) * (part + LATENCY),)
    assert found.busy_cycles == 2 * (chips - 1) * part


@pytest.mark.parametrize(("chips", "levels"), [(1, 0), (2, 1), (3, 1), (4, 2), (7, 2), (8, 3), (64, 6)])
def test_one_sum_on_a_tree_goes_up_and_down_its_levels(chips: int, levels: int) -> None:
    hops = Interconnect(Topology.TREE, BANDWIDTH, LATENCY).list_hops(SIZE, chips)
    whole = ceil(SIZE / BANDWIDTH)
    found = run_reductions([Reduction(READY, hops)])
    assert found.ends == (READY + 2 * levels * (whole + LATENCY),)
    assert found.busy_cycles == (whole if levels else 0)


def test_sums_that_meet_without_latency_take_the_time_of_both_and_the_first_is_not_disturbed_by_a_later_one() -> None:
    first, second = Hop(0, 10, 0), Hop(0, 4, 0)
    assert run_reductions([Reduction(0, (first, first)), Reduction(0, (second,))]).ends == (24, 14)
    assert run_reductions([Reduction(0, (first, first)), Reduction(25, (second,))]).ends == (20, 29)


def test_a_link_is_free_for_others_while_a_part_is_under_way() -> None:
    first, second = Hop(0, 10, 5), Hop(0, 3, 5)
    # The second sum's part is sent in the first one's latency: not ready at 10, ready at 15.
    assert run_reductions([Reduction(0, (first, first)), Reduction(4, (second,))]).ends == (30, 18)
    # It holds the link until 17, and the first sum's second part waits for it from 15 on.
    assert run_reductions([Reduction(0, (first, first)), Reduction(14, (second,))]).ends == (32, 22)


def test_of_sums_that_ask_in_one_cycle_the_layer_that_was_done_first_is_served_first() -> None:
    slow, quick = Hop(0, 6, 0), Hop(0, 2, 0)
    assert run_reductions([Reduction(3, (slow,)), Reduction(3, (quick,))]).ends == (9, 11)
    assert run_reductions([Reduction(3, (quick,)), Reduction(3, (slow,))]).ends == (5, 11)


def test_the_levels_of_a_tree_work_at_the_same_time() -> None:
    hops = Interconnect(Topology.TREE, 1, 0).list_hops(10, 4)
    # The second sum follows the first by one transfer at each of the four links.
    assert run_reductions([Reduction(0, hops), Reduction(0, hops)]).ends == (40, 50)


def test_nothing_to_sum_takes_no_time() -> None:
    assert run_reductions([]).ends == ()
    assert run_reductions([Reduction(7, ())]).ends == (7,)
    assert Interconnect().list_hops(0, 8) == ()
