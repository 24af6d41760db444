"""Evaluation on a Dask cluster; a worker that dies is replaced by another, and its points run again there."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from queue import Empty, LifoQueue
from types import ModuleType
from typing import Any

from sim.sweep.execution import Deliver
from sim.sweep.job import Job, Outcome, Status
from sim.sweep.point_process import PointLimits, PointProcess
from sim.sweep.worker import EVALUATOR
from workloads.errors import InputError
from workloads.extras import import_extra

CONNECT_TIMEOUT_S = 20
PROCESSES = "sparsetrain_processes"


class ClusterExecutor:
    """Runs batches as tasks of a Dask scheduler; each worker evaluates in a watched process of its own."""

    def __init__(self, address: str, limits: PointLimits, evaluator: str = EVALUATOR) -> None:
        """Connect.

        Raises:
            InputError: dask.distributed is not installed, or no scheduler answers.
        """
        distributed: Any = import_distributed()
        try:
            client: Any = distributed.Client
            self._client = client(address, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"--scheduler {address}: no Dask scheduler answers there: {reason}") from None
        self._limits, self._evaluator = limits, evaluator
        self._futures: dict[int, Any] = {}
        self._is_closed = False

    def capacity(self) -> int:
        """Count two batches for each thread of the workers, so that none waits for this process."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        threads: int = sum(worker["nthreads"] for worker in workers.values())
        return max(1, 2 * threads)

    def submit(self, batch: int, jobs: Sequence[Job], deliver: Deliver) -> None:
        """Send a batch to the scheduler."""

        def finish(future: Any) -> None:
            if self._is_closed:
                return
            try:
                outcomes = future.result()
            except Exception as error:
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                outcomes = [Outcome(job.key, Status.FAILED, reason) for job in jobs]
            self._futures.pop(batch, None)
            for job, outcome in zip(jobs, outcomes, strict=True):
                deliver(batch, job, outcome)

        future = self._client.submit(
            evaluate_on_worker, list(jobs), self._limits, self._evaluator, key=f"points-{uuid.uuid4().hex}", pure=False
        )
        self._futures[batch] = future
        future.add_done_callback(finish)

    def close(self) -> None:
        """Take back what is under way, and leave the cluster as it is."""
        self._is_closed = True
        futures = list(self._futures.values())
        if futures:
            self._client.cancel(futures, force=True)
        self._client.close(timeout=1)


def import_distributed() -> ModuleType:
    """Import what connects to a Dask scheduler.

    Raises:
        InputError: it is not installed.
    """
    return import_extra("distributed", "dask", "--scheduler")


def evaluate_on_worker(jobs: Sequence[Job], limits: PointLimits, evaluator: str) -> list[Outcome]:
    """Evaluate a batch on a Dask worker, in a process that the worker keeps for the next one."""
    from distributed import get_worker

    idle = find_processes(get_worker(), f"{PROCESSES} {evaluator} {limits}")
    try:
        process = idle.get_nowait()
    except Empty:
        process = PointProcess(limits, evaluator)
    try:
        return [process.evaluate(job) for job in jobs]
    finally:
        idle.put(process)


def find_processes(worker: Any, name: str) -> LifoQueue[PointProcess]:
    """Give the idle processes of one kind that a worker keeps."""
    found: LifoQueue[PointProcess] = worker.__dict__.setdefault(name, LifoQueue())
    return found
