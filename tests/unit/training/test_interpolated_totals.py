"""The interval of a training's cycles and energy holds the truth: every iteration is executed, and a few are told."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import fsum
from typing import Any

import pytest
from drawn_cases import exhaustive
from trainings import plan_tiny

from sim.iteration.policies import choose_contenders
from sim.training.interpolation import Estimate, interpolate
from sim.training.observation import MachineObserver
from workloads.training.batches import Batch
from workloads.training.hosts.numpy_host import NumpyHost
from workloads.training.loop import Training
from workloads.training.record import EpochRecord
from workloads.training.state import TrainingState

SEEDS, LEAST = 30, 26
FIFO_DEPTH = 5
# A machine that the network keeps busy, so that what it takes follows from the values.
SMALL = {
    "ideal": ("array.groups=4",),
    "sparsetrain": ("array.groups=4", "buffer.ports=4", "buffer.bytes_per_port_cycle=8", "dram.bytes_per_cycle=8"),
}


class EveryIteration:
    """Executes every iteration of a training, whichever the machine in the loop wants."""

    def __init__(self, observer: MachineObserver) -> None:
        self.observer = observer

    def wants(self, _iteration: int) -> bool:
        return True

    def observe(self, state: TrainingState, batch: Batch) -> Mapping[str, Any]:
        return {**self.observer.observe(state, batch), "is_wanted": self.observer.wants(state.iteration)}


def execute_all(seed: int, arch: str) -> list[EpochRecord]:
    """Train a tiny network and execute all of its iterations; densities are counted in every third."""
    workload, plan = plan_tiny(
        seed=seed, images=48, epochs=5, record_every=3, simulate_at={"every_epochs": 1, "images": 8}
    )
    observer = MachineObserver(plan, workload, choose_contenders(arch, "skipping-off", SMALL[arch]), verifies=False)
    return list(Training(plan, NumpyHost(), observer=EveryIteration(observer)).run().records)


def tell_wanted(records: Sequence[EpochRecord]) -> list[EpochRecord]:
    """Leave out what the machine in the loop would not have executed."""
    return [
        dataclasses.replace(record, observations=tuple(one for one in record.observations if one["is_wanted"]))
        for record in records
    ]


def sum_all(records: Sequence[EpochRecord], policy: str, scope: str, figure: str) -> float:
    """Sum what a machine took for every iteration."""
    return fsum(
        told[scope][figure]
        for record in records
        for one in record.observations
        for told in one["machines"]
        if told["policy"] == policy
    )


def compare(seeds: Sequence[int], arch: str) -> dict[tuple[str, str, str], list[tuple[Estimate, float]]]:
    """Give the interpolated totals beside the true ones, by policy, scope and figure, a pair for each seed."""
    found: dict[tuple[str, str, str], list[tuple[Estimate, float]]] = defaultdict(list)
    for seed in seeds:
        records = execute_all(seed, arch)
        for one in interpolate(tell_wanted(records), record_every=3, fifo_depth=FIFO_DEPTH):
            for scope in ("network", "convolutions"):
                figures = getattr(one.whole, scope)
                for figure in ("cycles", "energy_pj"):
                    if (estimate := getattr(figures, figure)) is not None:
                        truth = sum_all(records, one.policy, scope, figure)
                        found[one.policy, scope, figure].append((estimate, truth))
    return found


def test_the_totals_of_three_trainings_lie_in_their_intervals() -> None:
    found = compare(range(1, 4), "ideal")
    assert {policy for policy, _, _ in found} == {"dense", "natural", "mask", "pruned"}
    for (policy, _, _), pairs in found.items():
        assert sum(estimate.holds(truth) for estimate, truth in pairs) >= 2
        for estimate, truth in pairs:
            assert estimate.value == pytest.approx(truth, rel=1e-12 if policy == "dense" else 0.1)
            assert estimate.half_width is not None
            assert estimate.half_width < 0.2 * estimate.value


@exhaustive
@pytest.mark.parametrize("arch", ["ideal", "sparsetrain"])
def test_the_totals_of_26_of_30_trainings_lie_in_their_intervals(arch: str) -> None:
    for key, pairs in compare(range(1, SEEDS + 1), arch).items():
        widths = fsum((estimate.half_width or 0.0) / estimate.value for estimate, _ in pairs) / len(pairs)
        assert sum(estimate.holds(truth) for estimate, truth in pairs) >= LEAST, key
        assert widths < 0.1, key
