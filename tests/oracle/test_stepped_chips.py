"""The links that stand for those of all chips give what a model of every chip and every message gives."""

from __future__ import annotations

import random

import pytest
from oracle.stepped_chips import Chips, run_ring, run_tree

from sim.machine.all_reduce import Reduction, run_reductions
from sim.scaling.interconnect import Interconnect, Topology

CASES = 150


@pytest.mark.parametrize("topology", Topology)
def test_sums_of_random_gradients_end_in_the_same_cycles(topology: Topology) -> None:
    run = run_ring if topology is Topology.RING else run_tree
    for seed in range(CASES):
        rng = random.Random(f"{topology}{seed}")
        chips, latency = rng.randint(2, 9), rng.choice([0, 0, 1, 4, 20])
        bandwidth = rng.choice([1.0, 2.0, 3.0, 7.5, 16.0])
        ready = sorted(rng.randint(0, 60) for _ in range(rng.randint(1, 5)))
        sums = [(start, rng.randint(1, 90)) for start in ready]
        links = Interconnect(topology, bandwidth, latency)
        found = run_reductions([Reduction(start, links.list_hops(size, chips)) for start, size in sums])
        assert list(found.ends) == run(Chips(chips, bandwidth, latency), sums), seed
