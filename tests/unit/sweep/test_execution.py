from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from unit.sweep.small_sweeps import SWEEP, QuickEvaluator, count_evaluations, count_when_there, load_text, read_rows

from sim.sweep.execution import InlineExecutor, LocalExecutor
from sim.sweep.point_process import PointLimits
from sim.sweep.reading import load_sweep
from sim.sweep.store import Store
from sim.sweep.sweep import SweepOptions, run_sweep

HERE = "unit.sweep.small_sweeps"
MISBEHAVING = """\
name: misbehaving
workloads: [tiny.yaml]
parameters:
  array.groups: [1, 2, 3, 4, 5]
"""


def test_points_that_hang_grow_die_or_raise_are_recorded_and_run_again_only_when_asked_for(tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    executor = LocalExecutor(2, PointLimits(timeout_s=3, memory_mb=800), f"{HERE}:MisbehavingEvaluator")
    space = load_text(tmp_path, MISBEHAVING)
    progress = run_sweep(space, store, executor=executor)
    assert (progress.done, progress.failed) == (1, 4)
    frame = load_sweep(store)
    assert dict(zip(frame["array.groups"], frame["reason"], strict=True)) == {
        1: "the point took longer than its limit of 3 s",
        2: "the point took more memory than its limit of 800 MB",
        3: "the worker process ended by signal SIGSEGV",
        4: "ZeroDivisionError: nothing to divide by",
        5: "",
    }
    kept = run_sweep(space, store, executor=InlineExecutor(QuickEvaluator()))
    assert (kept.found, kept.done) == (5, 0)
    again = run_sweep(space, store, SweepOptions(retries_failed=True), executor=InlineExecutor(QuickEvaluator()))
    assert (again.found, again.done) == (1, 4)
    assert set(load_sweep(store)["status"]) == {"done"}


def test_local_processes_give_the_rows_that_one_process_gives(tmp_path: Path) -> None:
    one, many = tmp_path / "one.sqlite", tmp_path / "many.sqlite"
    space = load_text(tmp_path)
    run_sweep(space, one, executor=InlineExecutor(QuickEvaluator()))
    run_sweep(space, many, executor=LocalExecutor(2, PointLimits(), f"{HERE}:QuickEvaluator"))
    assert read_rows(one) == read_rows(many)


def interrupt_at_work(store: Path) -> None:
    """Interrupt this process once a point of the sweep is under way."""
    until = time.monotonic() + 120
    while time.monotonic() < until and not (store.exists() and count_claims(store)):
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)


def count_claims(store: Path) -> int:
    """Count the points under way, 0 while the store is being made."""
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as opened:
            return int(opened.execute("SELECT COUNT(*) FROM claims").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def test_a_sweep_that_is_interrupted_leaves_a_store_that_goes_on(tmp_path: Path) -> None:
    store, space = tmp_path / "store.sqlite", load_text(tmp_path, MISBEHAVING)
    executor = LocalExecutor(1, PointLimits(), f"{HERE}:MisbehavingEvaluator")
    threading.Thread(target=interrupt_at_work, args=(store,)).start()
    with pytest.raises(KeyboardInterrupt):
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

        def kill_in_the_middle() -> None:
            while count_when_there(clustered) < 4:
                time.sleep(0.01)
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill_in_the_middle)
        killer.start()
        run_sweep(space, clustered, executor=executor)
        killer.join()
    assert count_evaluations(clustered) == (24, 24)
    assert read_rows(one) == read_rows(clustered)
