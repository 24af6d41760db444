"""Whether trainings on a Dask cluster end as they do in one process."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from small_trainings import write_training

from sim.training import cluster
from sim.training.study import train
from workloads.errors import InputError


def test_trainings_on_a_cluster_leave_the_tables_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import distributed

    monkeypatch.chdir(tmp_path)
    workload = write_training(tmp_path)
    train(workload, out="alone", simulate=False, prune=[0, 0.5])
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    ) as there:
        study = train(workload, out="clustered", simulate=False, prune=[0, 0.5], scheduler=there.scheduler_address)
    assert not study.failures
    for name in ("epochs.csv", "tensors.csv", "sites.csv", "runs.csv", "table.csv"):
        assert (tmp_path / "clustered" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_a_scheduler_that_does_not_answer_is_refused_with_one_sentence(tmp_path: Path) -> None:
    address = "tcp://127.0.0.1:9"
    with pytest.raises(InputError) as error:
        train(write_training(tmp_path), out=tmp_path / "out", simulate=False, scheduler=address)
    assert str(error.value).startswith(f"--scheduler {address}: no Dask scheduler answers there: ")


def test_trainings_in_threads_of_one_worker_do_not_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = [0], [0]

    def run_slowly(job: int, _tell: object) -> int:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.02)
        running[0] -= 1
        return job

    monkeypatch.setattr(cluster, "run_job", run_slowly)
    run: Any = cluster.run_quietly
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(run, range(8))) == list(range(8))
    assert most == [1]
