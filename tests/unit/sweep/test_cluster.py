"""A Dask scheduler that does not answer, or dies, ends a sweep in a sentence, and the same sweep goes on."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from unit.sweep.small_sweeps import (
    SWEEP,
    QuickEvaluator,
    count_evaluations,
    count_when_there,
    load_text,
    read_rows,
)

from sim.sweep import cluster
from sim.sweep.cluster import ClusterExecutor
from sim.sweep.execution import InlineExecutor
from sim.sweep.point_process import PointLimits
from sim.sweep.reading import load_sweep
from sim.sweep.sweep import SweepOptions, run_sweep
from workloads.errors import InputError

EVALUATOR = "unit.sweep.small_sweeps:SlowEvaluator"
DEADLINE_S = 240


@contextmanager
def start(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a Python module in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-m", *command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_address(file: Path) -> str:
    """Wait until a scheduler has written its file; give its address."""
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        try:
            return str(json.loads(file.read_text())["address"])
        except (FileNotFoundError, ValueError):
            time.sleep(0.02)
    raise AssertionError("the scheduler does not start")


@contextmanager
def start_scheduler(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start a scheduler of Dask; give its process and address."""
    file = folder / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    with start("distributed.cli.dask_scheduler", *options) as process:
        yield process, wait_for_address(file)


@pytest.mark.parametrize(("number", "how"), [(signal.SIGKILL, "is gone"), (signal.SIGSTOP, "has not answered for 1 s")])
def test_a_scheduler_that_dies_or_hangs_ends_in_a_sentence_and_no_point_fails(
    number: signal.Signals, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, space = tmp_path / "store.sqlite", load_text(tmp_path, SWEEP)
    monkeypatch.setattr(cluster, "ASK_INTERVAL_S", 0)
    with start_scheduler(tmp_path) as (scheduler, address):
        worker = [address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(tmp_path)]
        with start("distributed.cli.dask_worker", *worker):
            executor = ClusterExecutor(address, PointLimits(), EVALUATOR)
            monkeypatch.setattr(cluster, "ANSWER_TIMEOUT_S", 1)

            def stop_in_the_middle() -> None:
                until = time.monotonic() + DEADLINE_S
                while count_when_there(store) < 4 and time.monotonic() < until:
                    time.sleep(0.01)
                scheduler.send_signal(number)

            stopper = threading.Thread(target=stop_in_the_middle)
            stopper.start()
            with pytest.raises(InputError) as caught:
                run_sweep(space, store, executor=executor)
            stopper.join()
    assert str(caught.value) == (
        f"--scheduler {address}: the Dask scheduler {how}; every point that was finished is kept, and the same command "
        "goes on from there"
    )
    assert set(load_sweep(store)["status"]) == {"done"}
    run_sweep(space, store, executor=InlineExecutor(QuickEvaluator()))
    run_sweep(space, tmp_path / "one.sqlite", executor=InlineExecutor(QuickEvaluator()))
    assert count_evaluations(store) == (24, 24)
    assert read_rows(store) == read_rows(tmp_path / "one.sqlite")


def refusal(folder: Path, address: str) -> str:
    with pytest.raises(InputError) as caught:
        run_sweep(load_text(folder), folder / "store.sqlite", SweepOptions(scheduler=address))
    return str(caught.value)


def test_a_scheduler_that_does_not_answer_is_refused_within_the_stated_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cluster.ANSWER_TIMEOUT_S == 10
    monkeypatch.setattr(cluster, "ANSWER_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        message = f"--scheduler {address}: no Dask scheduler answers there: no answer within 0.5 s"
        assert refusal(tmp_path, address) == message
    assert refusal(tmp_path, address) == message


@pytest.mark.parametrize(
    ("address", "reason"),
    [("tcp://127.0.0.1", "missing port number in address '127.0.0.1'"), ("", "missing port number in address ''")],
)
def test_an_address_that_is_none_is_refused(address: str, reason: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, address) == f"--scheduler {address}: no Dask scheduler answers there: {reason}"
