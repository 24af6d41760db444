"""Progress of a run counts what is done again."""

from __future__ import annotations

import pytest
from compiled_kernels import compile_kernels

from sim.iteration.progress import Progress
from sim.run import simulate
from workloads.operand_choice import choose_operands
from workloads.workload import load_workload


def test_steps_that_are_estimated_again_add_to_the_total_before_they_are_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compile_kernels()
    monkeypatch.setattr("sim.iteration.estimation.find_bounds", lambda _: {("conv2", "gtw"): 0.5})
    seen: list[Progress] = []
    workload = choose_operands(load_workload("lenet5"), operands="synthetic")
    result = simulate(workload, "sparsetrain", baseline=None, sample="auto", on_progress=seen.append)
    macs = {(step.layer, step.step): step.nominal_macs for step in result.steps}
    assert seen[0].total_macs == sum(macs.values())
    assert (seen[-1].layer, seen[-1].step) == ("conv2", "gtw")
    assert seen[-1].done_macs == seen[-1].total_macs == seen[0].total_macs + macs["conv2", "gtw"]
