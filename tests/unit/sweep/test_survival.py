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

from sim.sweep.execution import InlineExecutor
from sim.sweep.sweep import run_sweep

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
MOST_BETWEEN_KILLS = POINTS // KILLS - 2


def wait_for_points(store: Path, wanted: int, deadline_s: float = 60) -> int:
    """Wait until a store holds so many evaluations."""
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        if (found := count_when_there(store)) >= wanted:
            return found
        time.sleep(0.002)
    raise AssertionError(f"{store} does not reach {wanted} points")


@pytest.fixture
def undisturbed(tmp_path: Path) -> list[tuple[object, ...]]:
    store = tmp_path / "undisturbed.sqlite"
    run_sweep(load_text(tmp_path, SWEEP), store, executor=InlineExecutor(QuickEvaluator()))
    return read_rows(store)


def test_a_sweep_killed_ten_times_ends_with_the_same_rows_and_evaluates_no_point_twice(
    tmp_path: Path, undisturbed: list[tuple[object, ...]]
) -> None:
    store, draw = tmp_path / "killed.sqlite", np.random.default_rng(7)
    ended = 0
    for _ in range(KILLS):
        child = start_child(tmp_path, SWEEP, store)
        ended = wait_for_points(store, ended + int(draw.integers(1, MOST_BETWEEN_KILLS)))
        time.sleep(float(draw.uniform(0, 0.02)))
        child.kill()
        child.join()
        assert 0 < count_evaluations(store)[0] < POINTS
    run_sweep(load_text(tmp_path, SWEEP), store, executor=InlineExecutor(QuickEvaluator()))
    assert count_evaluations(store) == (POINTS, POINTS)
    assert read_rows(store) == undisturbed


def test_two_processes_on_one_store_of_which_one_is_killed_share_the_points(
    tmp_path: Path, undisturbed: list[tuple[object, ...]]
) -> None:
    store = tmp_path / "shared.sqlite"
    children = [start_child(tmp_path, SWEEP, store) for _ in range(3)]
    wait_for_points(store, POINTS // 4)
    children[0].kill()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [-9, 0, 0]
    assert count_evaluations(store) == (POINTS, POINTS)
    assert read_rows(store) == undisturbed


def test_a_finished_sweep_evaluates_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    first = run_sweep(load_text(tmp_path, SWEEP), store, executor=InlineExecutor(QuickEvaluator()))
    second = run_sweep(load_text(tmp_path, SWEEP), store, executor=InlineExecutor(QuickEvaluator()))
    assert (first.done, first.found) == (POINTS, 0)
    assert (second.done, second.found) == (0, POINTS)
