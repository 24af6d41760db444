"""A sweep that is killed loses nothing that was finished, and does nothing twice."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from unit.sweep.small_sweeps import (
    QuickEvaluator,
    count_evaluations,
    count_when_there,
    load_text,
    read_rows,
    start_child,
)
from waiting import wait_for

from sim.sweep.execution import InlineExecutor
from sim.sweep.sweep import BATCH_POINTS, run_sweep

SWEEP = """\
name: killed
workloads: [tiny.yaml]
parameters:
  array.groups: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
  array.multipliers_per_pe: [1, 2, 3, 4]
  dram.bytes_per_cycle: [4, 8, 16]
"""
POINTS = 10 * 4 * 3
KILLS = 10
# One process evaluates so many points before it stores them, and one that is to be killed hangs among the next.
ANSWERS = BATCH_POINTS + 3
assert KILLS * BATCH_POINTS < POINTS


def wait_for_points(store: Path, wanted: int) -> int:
    """Wait until a store holds so many evaluations."""
    wait_for(lambda: count_when_there(store) >= wanted, f"{wanted} points in {store}")
    return count_when_there(store)


@pytest.fixture
def undisturbed(tmp_path: Path) -> list[tuple[object, ...]]:
    store = tmp_path / "undisturbed.sqlite"
    run_sweep(load_text(tmp_path, SWEEP), store, executor=InlineExecutor(QuickEvaluator()))
    return read_rows(store)


def test_a_sweep_killed_ten_times_ends_with_the_same_rows_and_evaluates_no_point_twice(
    tmp_path: Path, undisturbed: list[tuple[object, ...]]
) -> None:
    store, draw = tmp_path / "killed.sqlite", np.random.default_rng(7)
    for kill in range(KILLS):
        child = start_child(tmp_path, SWEEP, store, ANSWERS)
        wait_for_points(store, kill * BATCH_POINTS + 1)
        # A kill at any moment must do; this one comes while the next points are evaluated, or while one hangs.
        time.sleep(float(draw.uniform(0, 0.04)))
        child.kill()
        child.join()
        assert count_evaluations(store)[0] == (kill + 1) * BATCH_POINTS
    run_sweep(load_text(tmp_path, SWEEP), store, executor=InlineExecutor(QuickEvaluator()))
    assert count_evaluations(store) == (POINTS, POINTS)
    assert read_rows(store) == undisturbed


def test_processes_on_one_store_of_which_one_is_killed_share_the_points(
    tmp_path: Path, undisturbed: list[tuple[object, ...]]
) -> None:
    store = tmp_path / "shared.sqlite"
    victim = start_child(tmp_path, SWEEP, store, ANSWERS)
    wait_for_points(store, 1)
    others = [start_child(tmp_path, SWEEP, store, POINTS) for _ in range(2)]
    wait_for_points(store, POINTS // 4)
    victim.kill()
    for child in (victim, *others):
        child.join()
    assert [child.exitcode for child in (victim, *others)] == [-9, 0, 0]
    assert count_evaluations(store) == (POINTS, POINTS)
    assert read_rows(store) == undisturbed


def test_a_finished_sweep_evaluates_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    first = run_sweep(load_text(tmp_path, SWEEP), store, executor=InlineExecutor(QuickEvaluator()))
    second = run_sweep(load_text(tmp_path, SWEEP), store, executor=InlineExecutor(QuickEvaluator()))
    assert (first.done, first.found) == (POINTS, 0)
    assert (second.done, second.found) == (0, POINTS)
