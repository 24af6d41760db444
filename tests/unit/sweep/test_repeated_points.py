"""Points with different settings that are one machine are run once, however the values combine."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.command import run_command
from unit.sweep.small_sweeps import QuickEvaluator, count_evaluations, load_text

from sim.sweep.execution import InlineExecutor
from sim.sweep.job import Job, Outcome, Status
from sim.sweep.reading import load_sweep
from sim.sweep.sweep import SweepOptions, run_sweep

HEAD = "name: s\nworkloads: [tiny.yaml]\n"
DENSITIES = "operands.density.input: [1, 1.0, 0, 0.0]"
KINDS = {
    "grid": (f"parameters: {{{DENSITIES}, array.groups: [1, 2, 3]}}\n", 12, 6),
    "zip": (f"combine: zip\nparameters: {{{DENSITIES}}}\n", 4, 2),
    "list": ("combine: list\npoints: [{array.groups: 1}, {array.groups: 2}, {array.groups: 1}, {array.groups: 1}, "
             "{array.groups: 2, batch: 1}, {array.groups: 2}, {array.groups: 1}, {array.groups: 2}]\n", 8, 2),
    "random": ("combine: random\nsamples: 12\nparameters: {array.groups: {from: 1, to: 3}}\n", 12, 3),
}  # fmt: skip


@pytest.mark.parametrize(("text", "points", "machines"), KINDS.values(), ids=KINDS)
def test_a_machine_that_several_points_are_is_run_once(text: str, points: int, machines: int, tmp_path: Path) -> None:
    space, store = load_text(tmp_path, HEAD + text), tmp_path / "store.sqlite"
    first = run_sweep(space, store, executor=InlineExecutor(QuickEvaluator()))
    assert (first.total, first.done, first.repeated, first.found) == (points, machines, points - machines, 0)
    assert count_evaluations(store) == (machines, machines)
    again = run_sweep(space, store, executor=InlineExecutor(QuickEvaluator()))
    assert (again.done, again.repeated, again.found, again.ended) == (0, points - machines, machines, points)
    assert len(load_sweep(store)) == machines


def test_a_search_that_proposes_a_machine_twice_runs_it_once(tmp_path: Path) -> None:
    text = HEAD + f"parameters: {{{DENSITIES}}}\nsearch: {{sampler: random, trials: 4, objectives: [cycles]}}\n"
    store = tmp_path / "store.sqlite"
    progress = run_sweep(load_text(tmp_path, text), store, executor=InlineExecutor(QuickEvaluator()))
    assert (progress.done, progress.repeated) == (2, 2)
    assert count_evaluations(store) == (2, 2)


def test_a_failed_machine_that_several_points_are_is_tried_once_a_start(tmp_path: Path) -> None:
    space, store = load_text(tmp_path, HEAD + KINDS["list"][0]), tmp_path / "store.sqlite"

    def fail(job: Job) -> Outcome:
        return Outcome(job.key, Status.FAILED, "it broke")

    for start in (1, 2):
        progress = run_sweep(space, store, SweepOptions(retries_failed=True), executor=InlineExecutor(fail))
        assert (progress.failed, progress.repeated) == (2, 6)
        assert count_evaluations(store) == (2 * start, 2)


def test_the_command_says_how_many_points_are_the_same_as_others(tmp_path: Path) -> None:
    load_text(tmp_path)
    (tmp_path / "sweep.yaml").write_text(HEAD + KINDS["random"][0])
    outcome = run_command(tmp_path, "sweep", "sweep.yaml")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert outcome.stdout.splitlines()[0] == "Points: 3 done, 0 infeasible, 0 failed; 9 the same as others"
