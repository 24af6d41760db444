"""A search finds the front of a space that is small enough to be enumerated."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from unit.sweep.small_sweeps import count_evaluations, load_text, read_rows

from sim.sweep.analysis import make_costs, measure_hypervolume
from sim.sweep.evaluation import evaluate_safely
from sim.sweep.execution import InlineExecutor
from sim.sweep.job import Job, Outcome
from sim.sweep.metrics import METRICS
from sim.sweep.reading import load_sweep
from sim.sweep.sweep import run_sweep

PARAMETERS = """\
workloads: [tiny.yaml]
parameters:
  array.groups: [1, 2, 4, 8, 16, 32]
  array.pes_per_group: [1, 2, 3, 4]
  dram.bytes_per_cycle: [2, 4, 8, 16]
  buffer.ports: [2, 8]
"""
GRID = f"name: whole\n{PARAMETERS}"
POINTS = 6 * 4 * 4 * 2
TRIALS = POINTS // 4
SEEDS = 20
WANTED = 0.95
OBJECTIVES = ("cycles", "energy_pj")


def write_search(seed: int, sampler: str = "nsga2", trials: int = TRIALS) -> str:
    return f"""\
name: search
{PARAMETERS}
search: {{sampler: {sampler}, trials: {trials}, objectives: [cycles, energy_pj], seed: {seed}}}
"""


def measure_roofline(job: Job) -> dict[str, Any]:
    """Stand in for the machine: the slower of computing and moving, and energy that grows with what is there."""
    array, dram, buffer = job.machine["array"], job.machine["dram"], job.machine["buffer"]
    pes = array["groups"] * array["pes_per_group"]
    ports = buffer["ports"]
    cycles = max(100_000 // pes, 40_000 // dram["bytes_per_cycle"], 30_000 // ports) + 50 * array["pes_per_group"]
    energy = 1000.0 + 40 * array["groups"] ** 1.2 + 90 * dram["bytes_per_cycle"] + 25 * ports + cycles * 0.05 * pes**0.5
    return {metric.name: {"cycles": cycles, "energy_pj": energy}.get(metric.name) for metric in METRICS}


def evaluate(job: Job) -> Outcome:
    return evaluate_safely(measure_roofline, job)


def find_costs(store: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.log(make_costs(load_sweep(store), OBJECTIVES))


def test_nsga2_finds_the_front_with_a_quarter_of_the_points(tmp_path: Path) -> None:
    run_sweep(load_text(tmp_path, GRID), tmp_path / "whole.sqlite", executor=InlineExecutor(evaluate))
    whole = find_costs(tmp_path / "whole.sqlite")
    reference = whole.max(axis=0) + 1e-9
    best = measure_hypervolume(whole, reference)
    shares = []
    for seed in range(SEEDS):
        store = tmp_path / f"{seed}.sqlite"
        run_sweep(load_text(tmp_path, write_search(seed)), store, executor=InlineExecutor(evaluate))
        assert count_evaluations(store)[0] <= TRIALS
        shares.append(measure_hypervolume(find_costs(store), reference) / best)
    assert median(shares) >= WANTED


@pytest.mark.parametrize("sampler", ["nsga2", "tpe", "random"])
def test_a_search_that_is_started_again_goes_on_as_if_it_had_not_stopped(sampler: str, tmp_path: Path) -> None:
    space = load_text(tmp_path, write_search(3, sampler, trials=24))
    run_sweep(space, tmp_path / "whole.sqlite", executor=InlineExecutor(evaluate))
    asked = []

    def evaluate_ten(job: Job) -> Outcome:
        asked.append(job.key)
        if len(asked) > 10:
            raise KeyboardInterrupt
        return evaluate(job)

    with pytest.raises(KeyboardInterrupt):
        run_sweep(space, tmp_path / "cut.sqlite", executor=InlineExecutor(evaluate_ten))
    run_sweep(space, tmp_path / "cut.sqlite", executor=InlineExecutor(evaluate))
    assert count_evaluations(tmp_path / "cut.sqlite") == (24, 24)
    assert read_rows(tmp_path / "cut.sqlite") == read_rows(tmp_path / "whole.sqlite")


def test_two_seeds_search_differently(tmp_path: Path) -> None:
    for seed in (1, 2):
        space = load_text(tmp_path, write_search(seed, "random", trials=8))
        run_sweep(space, tmp_path / f"{seed}.sqlite", executor=InlineExecutor(evaluate))
    assert read_rows(tmp_path / "1.sqlite") != read_rows(tmp_path / "2.sqlite")


def test_a_search_keeps_to_the_constraints(tmp_path: Path) -> None:
    text = write_search(1, trials=20) + "constraints: [array.groups * array.pes_per_group <= 8]\n"
    run_sweep(load_text(tmp_path, text), tmp_path / "store.sqlite", executor=InlineExecutor(evaluate))
    frame = load_sweep(tmp_path / "store.sqlite")
    assert len(frame) == 20
    assert (frame["array.groups"] * frame["array.pes_per_group"]).max() <= 8


def test_a_search_of_more_trials_than_there_are_points_ends_with_all_of_them(tmp_path: Path) -> None:
    text = "name: few\nworkloads: [tiny.yaml]\nparameters: {array.groups: [1, 2, 3]}\n"
    text += "search: {sampler: nsga2, trials: 50, objectives: [cycles]}\n"
    run_sweep(load_text(tmp_path, text), tmp_path / "store.sqlite", executor=InlineExecutor(evaluate))
    assert sorted(load_sweep(tmp_path / "store.sqlite")["array.groups"]) == [1, 2, 3]
