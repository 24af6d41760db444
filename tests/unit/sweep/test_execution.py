from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from unit.sweep.small_sweeps import (
    GROWN_MB,
    SWEEP,
    QuickEvaluator,
    count_evaluations,
    count_when_there,
    load_text,
    read_rows,
)
from waiting import hearing_interrupts

from sim.sweep.execution import InlineExecutor, LocalExecutor
from sim.sweep.point_process import PointLimits
from sim.sweep.reading import load_sweep
from sim.sweep.store import Store
from sim.sweep.sweep import SweepOptions, run_sweep

HERE = "unit.sweep.small_sweeps"
MISBEHAVES = f"{HERE}:MisbehavingEvaluator"
MISBEHAVING = """\
name: misbehaving
workloads: [tiny.yaml]
parameters:
  array.groups: [1, 2, 3, 4, 5]
"""


def test_a_point_that_hangs_is_stopped_at_its_limit(tmp_path: Path) -> None:
    store, space = tmp_path / "store.sqlite", load_text(tmp_path, MISBEHAVING.replace("[1, 2, 3, 4, 5]", "[1]"))
    progress = run_sweep(space, store, executor=LocalExecutor(1, PointLimits(timeout_s=0.2), MISBEHAVES))
    assert (progress.done, progress.failed) == (0, 1)
    assert list(load_sweep(store)["reason"]) == ["the point took longer than its limit of 0.2 s"]


def test_points_that_grow_die_or_raise_are_recorded_and_run_again_only_when_asked_for(tmp_path: Path) -> None:
    store, space = tmp_path / "store.sqlite", load_text(tmp_path, MISBEHAVING.replace("[1, ", "["))
    executor = LocalExecutor(2, PointLimits(memory_mb=GROWN_MB), MISBEHAVES)
    progress = run_sweep(space, store, executor=executor)
    assert (progress.done, progress.failed) == (1, 3)
    frame = load_sweep(store)
    assert dict(zip(frame["array.groups"], frame["reason"], strict=True)) == {
        2: f"the point took more memory than its limit of {GROWN_MB} MB",
        3: "the worker process ended by signal SIGSEGV",
        4: "ZeroDivisionError: nothing to divide by",
        5: "",
    }
    kept = run_sweep(space, store, executor=InlineExecutor(QuickEvaluator()))
    assert (kept.found, kept.done) == (4, 0)
    again = run_sweep(space, store, SweepOptions(retries_failed=True), executor=InlineExecutor(QuickEvaluator()))
    assert (again.found, again.done) == (1, 3)
    assert set(load_sweep(store)["status"]) == {"done"}


def test_local_processes_give_the_rows_that_one_process_gives(tmp_path: Path) -> None:
    one, many = tmp_path / "one.sqlite", tmp_path / "many.sqlite"
    space = load_text(tmp_path)
    run_sweep(space, one, executor=InlineExecutor(QuickEvaluator()))
    run_sweep(space, many, executor=LocalExecutor(2, PointLimits(), f"{HERE}:QuickEvaluator"))
    assert read_rows(one) == read_rows(many)


def count_claims(store: Path) -> int:
    """Count the points under way, 0 while the store is being made."""
    if not store.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as opened:
            return int(opened.execute("SELECT COUNT(*) FROM claims").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@contextmanager
def meanwhile(condition: Callable[[], bool], act: Callable[[], None]) -> Iterator[None]:
    """Act once when a condition is met, from a thread that does not outlive the block."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            if condition():
                act()
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_sweep_that_is_interrupted_leaves_a_store_that_goes_on(tmp_path: Path) -> None:
    store, space = tmp_path / "store.sqlite", load_text(tmp_path, MISBEHAVING)
    executor = LocalExecutor(1, PointLimits(), MISBEHAVES)
    with (
        hearing_interrupts(),
        pytest.raises(KeyboardInterrupt),
        meanwhile(lambda: count_claims(store) > 0, lambda: os.kill(os.getpid(), signal.SIGINT)),
    ):
        run_sweep(space, store, executor=executor)
    with Store.open(store) as opened:
        assert opened.read("SELECT COUNT(*) FROM claims") == [(0,)]
    progress = run_sweep(space, store, executor=InlineExecutor(QuickEvaluator()))
    assert progress.done == 5


def test_a_cluster_of_which_a_worker_is_killed_ends_with_the_same_rows(tmp_path: Path) -> None:
    import distributed

    from sim.sweep.cluster import ClusterExecutor

    one, clustered = tmp_path / "one.sqlite", tmp_path / "clustered.sqlite"
    space = load_text(tmp_path, SWEEP)
    run_sweep(space, one, executor=InlineExecutor(QuickEvaluator()))
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    ) as cluster:
        executor = ClusterExecutor(cluster.scheduler_address, PointLimits(), f"{HERE}:SlowEvaluator")
        victim = next(iter(cluster.workers.values())).pid

        with meanwhile(lambda: count_when_there(clustered) >= 4, lambda: os.kill(victim, signal.SIGKILL)):
            run_sweep(space, clustered, executor=executor)
    assert count_evaluations(clustered) == (24, 24)
    assert read_rows(one) == read_rows(clustered)
