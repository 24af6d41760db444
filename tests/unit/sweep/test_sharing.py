"""What points share changes none of their results."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from unit.sweep.small_sweeps import count_evaluations, load_text, read_rows

from sim.architecture import load_architecture
from sim.run import simulate
from sim.sweep.evaluation import Evaluator, make_job
from sim.sweep.execution import InlineExecutor
from sim.sweep.identity import Identifier
from sim.sweep.job import Job, Outcome
from sim.sweep.metrics import measure_run
from sim.sweep.sharing import LimitedCache, SharedWork
from sim.sweep.space import Space
from sim.sweep.sweep import SweepOptions, run_sweep
from workloads.workload import load_workload

SWEEP = """\
name: sharing
workloads: [tiny.yaml]
baseline: skipping-off
parameters:
  array.groups: [1, 3]
  buffer.capacity_bytes: [512, 4096]
  dram.bytes_per_cycle: [1, 8]
  buffer.ports: [1, 2]
  clock_mhz: [400, 800]
"""
POINTS, TABLES_APART, TIMINGS_APART = 2**5, 2 * 2, 2 * 2 * 2 * 2
STEPS, MACHINES = 2 * 3, 2


def make_jobs(space: Space, *, shares: bool) -> list[Job]:
    identifier = Identifier(space.form)
    return [
        make_job(design, identifier.key(design), identifier.workload_digest(design.workload), space.form, shares=shares)
        for design in space.designs()
    ]


def without_times(outcome: Outcome) -> Outcome:
    return dataclasses.replace(outcome, seconds=0.0)


def test_results_are_equal_with_sharing_off_and_to_a_run_by_itself(tmp_path: Path) -> None:
    space = load_text(tmp_path, SWEEP)
    evaluate = Evaluator()
    shared = [without_times(evaluate(job)) for job in make_jobs(space, shares=True)]
    assert shared == [without_times(evaluate(job)) for job in make_jobs(space, shares=False)]
    for design, outcome in list(zip(space.designs(), shared, strict=True))[::5]:
        alone = simulate(design.workload, design.machine, verify=False)
        assert outcome.metrics == measure_run(alone)


def test_operands_tables_and_timings_are_made_once_for_what_is_alike(tmp_path: Path) -> None:
    work = SharedWork()
    for design in load_text(tmp_path, SWEEP).designs():
        simulate(design.workload, design.machine, verify=False, work=work)
    steps = STEPS * MACHINES
    assert dataclasses.asdict(work.reuse) == {
        "operands_made": 1,
        "operands_reused": POINTS - 1,
        "tables_made": TABLES_APART * steps,
        "tables_reused": (POINTS - TABLES_APART) * steps,
        "timings_made": TIMINGS_APART * steps,
        "timings_reused": (POINTS - TIMINGS_APART) * steps,
    }


@pytest.mark.parametrize("baseline", ["skipping-off", "natural"])
def test_tables_of_rounded_operands_are_shared_as_others_are_and_with_none_of_another_format(
    tmp_path: Path, baseline: str
) -> None:
    load_text(tmp_path, SWEEP)
    workload, work = load_workload(tmp_path / "tiny.yaml"), SharedWork()
    for form in ("fp16", "bf16", "float32"):
        machines = [
            load_architecture("sparsetrain", (f"storage.values={form}", f"buffer.ports={ports}")) for ports in (2, 8)
        ]
        made = work.reuse.tables_made
        for machine in machines:
            shared = simulate(workload, machine, baseline=baseline, verify=False, work=work)
            assert shared.steps == simulate(workload, machine, baseline=baseline, verify=False).steps
        if baseline == "skipping-off":
            assert work.reuse.tables_made - made == STEPS * MACHINES


def test_rows_of_a_sweep_without_sharing_are_the_same(tmp_path: Path) -> None:
    space = load_text(tmp_path, SWEEP)
    run_sweep(space, tmp_path / "on.sqlite", executor=InlineExecutor(Evaluator()))
    run_sweep(space, tmp_path / "off.sqlite", SweepOptions(shares=False), executor=InlineExecutor(Evaluator()))
    assert read_rows(tmp_path / "on.sqlite") == read_rows(tmp_path / "off.sqlite")
    assert count_evaluations(tmp_path / "on.sqlite") == (POINTS, POINTS)


def test_operands_that_are_too_many_are_opened_again(tmp_path: Path) -> None:
    work = SharedWork(operand_limit_bytes=100)
    designs = list(load_text(tmp_path, SWEEP).designs())[:2]
    for design in designs:
        simulate(design.workload, design.machine, verify=False, work=work)
    assert (work.reuse.operands_made, work.reuse.operands_reused) == (2, 0)


@pytest.mark.parametrize(("sizes", "kept"), [([4, 4], [0, 1]), ([4, 4, 4], [1, 2]), ([4, 11], [0]), ([9, 4], [1])])
def test_a_cache_drops_the_least_recently_used_beyond_its_limit(sizes: list[int], kept: list[int]) -> None:
    cache = LimitedCache(10)
    for place, size in enumerate(sizes):
        cache.put(place, f"value {place}", size)
    assert [place for place in range(len(sizes)) if cache.get(place) is not None] == kept


def test_operands_of_a_file_that_is_edited_are_opened_again(tmp_path: Path) -> None:
    network = (
        "name: one\nbatch: 1\ninput: {channels: 1, height: 4, width: 4}\n"
        "layers:\n  - {name: a, type: conv2d, out_channels: 2, kernel: 3, bias: false}\n"
        "operands: {source: recorded, path: tensors.npz, first_layer_gta: false}\n"
    )
    (tmp_path / "net.yaml").write_text(network)
    work, densities = SharedWork(), []
    for zeros in (0, 0, 8):
        input = np.ones((1, 1, 4, 4), np.float32)
        input.reshape(-1)[:zeros] = 0
        tensors = {"a/input": input, "a/weight": np.ones((2, 1, 3, 3)), "a/grad_output": np.ones((1, 2, 2, 2))}
        np.savez(tmp_path / "tensors.npz", **tensors)
        result = simulate(load_workload(tmp_path / "net.yaml"), "ideal", verify=False, work=work)
        densities.append(result.steps[0].input_density)
    assert densities == [1.0, 1.0, 0.5]
    assert (work.reuse.operands_made, work.reuse.operands_reused) == (2, 1)
