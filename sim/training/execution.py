"""Runs the trainings of a study: one after the other, in processes, or on a cluster; each goes on where it was."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from typing import Any

from sim.iteration.workers import AbandonedError
from sim.parent_watch import end_with_parent
from sim.training.cluster import run_on_cluster
from sim.training.job import TrainJob
from sim.training.outcome import Ended, run_job
from sim.training.request import RunKey
from workloads.errors import InputError
from workloads.training.loop import TrainingProgress


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """Where one of the trainings of a study is.

    Attributes:
        run: Its number from 1, of `runs`.
    """

    key: RunKey
    run: int
    runs: int
    training: TrainingProgress


OnProgress = Callable[[StudyProgress], None]


def run_jobs(
    jobs: Sequence[TrainJob], processes: int, scheduler: str | None, on_progress: OnProgress
) -> Iterator[Ended]:
    """Run trainings, and give each when it has ended.

    Raises:
        InputError: the scheduler cannot be used.
    """
    if scheduler is not None:
        yield from run_on_cluster(jobs, scheduler)
    elif processes == 1 or len(jobs) == 1:
        for number, job in enumerate(jobs, 1):
            yield run_job(job, Teller(job.key, number, len(jobs), on_progress))
    else:
        yield from run_in_processes(jobs, processes, on_progress)


@dataclass(frozen=True, eq=False)
class Teller:
    """Tells of one training as one of several."""

    key: RunKey
    run: int
    runs: int
    on_progress: OnProgress

    def __call__(self, progress: TrainingProgress) -> None:
        """Tell where it is."""
        self.on_progress(StudyProgress(self.key, self.run, self.runs, progress))


def run_in_processes(jobs: Sequence[TrainJob], processes: int, on_progress: OnProgress) -> Iterator[Ended]:
    """Run trainings in worker processes, which end with this one; what they tell comes over connections.

    Raises:
        InputError: one of them was ended from outside.
    """
    import joblib

    with Relay(on_progress) as relay:
        parallel = joblib.Parallel(
            n_jobs=min(processes, len(jobs)), return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs",
            initializer=end_with_parent, initargs=(os.getpid(),),
        )  # fmt: skip
        found = parallel(
            joblib.delayed(run_in_process)(job, number, len(jobs), relay.address, relay.key)
            for number, job in enumerate(jobs, 1)
        )
        try:
            # Not `yield from`, which would close it before what is thrown below.
            for one in found:  # noqa: UP028
                yield one
        except BrokenProcessPool:
            raise InputError(
                f"--jobs {processes}: a process was ended from outside, perhaps for want of memory; what its training "
                "and the others completed is kept, and fewer at a time need less"
            ) from None
        finally:
            # What is thrown into it ends its workers; closed, it would print a warning besides.
            with suppress(AbandonedError):
                found.throw(AbandonedError)


def run_in_process(job: TrainJob, number: int, runs: int, address: Any, key: bytes) -> Ended:
    """Run a training in a worker process."""
    with Client(address, authkey=key) as connection:
        return run_job(job, Teller(job.key, number, runs, connection.send))


class Relay:
    """Hands on what worker processes tell, each over a connection of its own."""

    def __init__(self, on_progress: OnProgress) -> None:
        self.key = os.urandom(32)
        self._on_progress = on_progress
        self._listener = Listener(authkey=self.key)
        self._lock = threading.Lock()

    @property
    def address(self) -> Any:
        """Where workers connect to."""
        return self._listener.address

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        # A closed listener, and a worker that is gone before it is known, raise; the run itself tells of them.
        with suppress(OSError, EOFError, AuthenticationError):
            while True:
                threading.Thread(target=self._hand_on, args=(self._listener.accept(),), daemon=True).start()

    def _hand_on(self, connection: Any) -> None:
        with suppress(EOFError, OSError), connection:
            while True:
                told = connection.recv()
                with self._lock:
                    self._on_progress(told)
