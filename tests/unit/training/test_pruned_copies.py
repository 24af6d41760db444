"""A training that prunes for GTA alone, and the machine in its loop."""

from __future__ import annotations

import dataclasses

from trainings import plan_tiny

from sim.iteration.policies import choose_contenders
from sim.training.observation import AS_TRAINED, MachineObserver
from workloads.settings import GradientPruning
from workloads.training.hosts.numpy_host import NumpyHost

FILLED = 3


def test_a_machine_executes_iterations_of_a_training_that_prunes_for_gta_alone() -> None:
    workload, plan = plan_tiny()
    pruning = GradientPruning(rate=0.9, fifo_depth=2, warmup_batches=2, **{"for": "gta"})  # type: ignore[arg-type]
    plan = dataclasses.replace(plan, pruning=pruning)
    opened = NumpyHost().open(plan, plan.begin())
    outcomes = [opened.train_batch(plan.load_batch(number)) for number in range(FILLED)]
    assert [set(one.sites) for one in outcomes] == [{"conv2", "conv3"}] * FILLED
    assert [[site.threshold > 0 for site in one.sites.values()] for one in outcomes] == [[False] * 2] * 2 + [[True] * 2]
    assert outcomes[-1].densities["conv3", "grad_output_for_gta"] < outcomes[-1].densities["conv3", "grad_output"]
    observer = MachineObserver(plan, workload, choose_contenders("sparsetrain", "skipping-off", ()))
    found = observer.observe(opened.state, plan.load_batch(FILLED))
    assert found["failures"] == []
    assert all(one["verified"] for one in found["machines"])
    told = found["densities"][AS_TRAINED]
    assert [layer for layer, densities in told.items() if "grad_output_for_gta" in densities] == ["conv2", "conv3"]
    kinds = {one["policy"]: [row["kind"] for row in one["rows"]].count("gradient_pruning") for one in found["machines"]}
    assert kinds == {"pruned": 2, "dense": 0, "mask": 0, "natural": 0}
