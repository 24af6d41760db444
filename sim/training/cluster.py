"""Trainings on the workers of a Dask scheduler, which see the same files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

from sim.sweep.cluster import ANSWER_TIMEOUT_S, LOST, import_distributed, refuse_address, require_answer
from sim.training.job import TrainJob
from sim.training.outcome import Ended, run_job
from workloads.errors import InputError

# How many threads torch computes with, and its rounding with it, is one number for all threads of a worker.
ONE_AT_A_TIME = Lock()


def run_on_cluster(jobs: Sequence[TrainJob], address: str) -> Iterator[Ended]:
    """Run trainings on the workers of a scheduler; they tell when one has ended, not how far it is.

    Raises:
        InputError: dask.distributed is not installed, no scheduler answers, or it is lost on the way.
    """
    distributed: Any = import_distributed()
    require_answer(address)
    try:
        client = distributed.Client(address, timeout=ANSWER_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise refuse_address(address, error) from None
    waiting = {client.submit(run_quietly, make_absolute_job(job), pure=False): job for job in jobs}
    done: SimpleQueue[Any] = SimpleQueue()
    for future in waiting:
        future.add_done_callback(done.put)
    try:
        while waiting:
            future = done.get()
            job = waiting.pop(future)
            if future.status in LOST:
                raise InputError(
                    f"--scheduler {address}: the Dask scheduler is gone; every epoch that was finished is kept, and "
                    "the same command goes on from there"
                )
            yield read_outcome(future, job)
    finally:
        # A scheduler that is gone cannot be told.
        with suppress(Exception):
            client.cancel(list(waiting), force=True)
        with suppress(Exception):
            client.close(timeout=1)


def read_outcome(future: Any, job: TrainJob) -> Ended:
    """Give what a training found; why a worker lost it, where it did."""
    try:
        ended: Ended = future.result()
    except Exception as error:
        return Ended(job.key, job.read_records(), " ".join(f"{type(error).__name__}: {error}".split()))
    return ended


def make_absolute_job(job: TrainJob) -> TrainJob:
    """Name files so that they are the same from the folder that a worker runs in."""
    return dataclasses.replace(
        job,
        workload=dataclasses.replace(job.workload, base_directory=job.workload.base_directory.absolute()),
        weights=None if job.weights is None else Path(job.weights).absolute(),
        checkpoint=job.checkpoint.absolute(),
    )


def run_quietly(job: TrainJob) -> Ended:
    """Run a training without telling of it; one at a time in a process, whose threads another would change."""
    with ONE_AT_A_TIME:
        return run_job(job, lambda _: None)
