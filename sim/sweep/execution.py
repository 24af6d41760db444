"""Where the points of a sweep are evaluated: worker processes of this machine, or a Dask cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import LifoQueue
from typing import Protocol

from sim.sweep.job import Job, Outcome, Status
from sim.sweep.point_process import PointLimits, PointProcess, StoppedError
from sim.sweep.worker import EVALUATOR

Deliver = Callable[[int, Job, Outcome], None]


class Executor(Protocol):
    """Evaluates batches of jobs; the jobs of a batch follow one another in one process, since they share work."""

    def capacity(self) -> int:
        """Count the batches that may be under way at a time."""
        ...

    def require_alive(self) -> None:
        """Refuse to wait for outcomes that cannot come any more.

        Raises:
            InputError: says what is gone.
        """
        ...

    def submit(self, batch: int, jobs: Sequence[Job], deliver: Deliver) -> None:
        """Start a batch; `deliver` is called with each outcome, from any thread."""
        ...

    def close(self) -> None:
        """Stop at once; outcomes that have not come are lost."""
        ...


class LocalExecutor:
    """Worker processes of this machine, each watched by a thread."""

    def __init__(self, jobs: int, limits: PointLimits, evaluator: str = EVALUATOR) -> None:
        self._jobs, self._limits, self._evaluator = jobs, limits, evaluator
        self._idle: LifoQueue[PointProcess] = LifoQueue()
        self._processes = [PointProcess(limits, evaluator) for _ in range(jobs)]
        for process in self._processes:
            self._idle.put(process)
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="point")

    def capacity(self) -> int:
        """Count the worker processes."""
        return self._jobs

    def require_alive(self) -> None:
        """A process that dies is an outcome, and another takes its place."""

    def submit(self, batch: int, jobs: Sequence[Job], deliver: Deliver) -> None:
        """Start a batch in the next process that is free."""
        self._threads.submit(self._run, batch, jobs, deliver)

    def close(self) -> None:
        """Kill the worker processes."""
        for process in self._processes:
            process.stop()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _run(self, batch: int, jobs: Sequence[Job], deliver: Deliver) -> None:
        process = self._idle.get()
        try:
            for job in jobs:
                try:
                    deliver(batch, job, process.evaluate(job))
                except StoppedError:
                    return
                except Exception as error:
                    deliver(batch, job, Outcome(job.key, Status.FAILED, f"{type(error).__name__}: {error}"))
        finally:
            self._idle.put(process)


class InlineExecutor:
    """Evaluates in the calling process, at once; for tests and for cheap evaluations."""

    def __init__(self, evaluate: Callable[[Job], Outcome]) -> None:
        self._evaluate = evaluate
        self._lock = threading.Lock()

    def capacity(self) -> int:
        """One batch."""
        return 1

    def require_alive(self) -> None:
        """Every outcome has come when `submit` returns."""

    def submit(self, batch: int, jobs: Sequence[Job], deliver: Deliver) -> None:
        """Evaluate a batch."""
        with self._lock:
            for job in jobs:
                deliver(batch, job, self._evaluate(job))

    def close(self) -> None:
        """Nothing is under way."""
