"""Evaluation on a Dask cluster; a worker that dies is replaced by another, and its points run again there."""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, LifoQueue
from types import ModuleType
from typing import Any

from sim.sweep.execution import Deliver
from sim.sweep.job import Job, Outcome, Status
from sim.sweep.point_process import PointLimits, PointProcess
from sim.sweep.worker import EVALUATOR
from workloads.errors import InputError
from workloads.extras import import_extra

# How long a scheduler has to answer, at the start and later, and how often it is asked.
ANSWER_TIMEOUT_S = 10
ASK_INTERVAL_S = 5
PROCESSES = "sparsetrain_processes"
# What distributed calls a future whose scheduler does not know it any more.
LOST = ("cancelled", "lost")
LOGGERS = ("distributed.client", "distributed.core", "distributed.batched", "distributed.comm.tcp")


class ClusterExecutor:
    """Runs batches as tasks of a Dask scheduler; each worker evaluates in a watched process of its own."""

    def __init__(self, address: str, limits: PointLimits, evaluator: str = EVALUATOR) -> None:
        """Connect.

        Raises:
            InputError: dask.distributed is not installed, or no scheduler answers.
        """
        distributed: Any = import_distributed()
        # What a connection goes through is told in one sentence, not logged.
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._address = address
        require_answer(address)
        client: Any = distributed.Client
        try:
            self._client = client(address, timeout=ANSWER_TIMEOUT_S, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise refuse_address(address, error) from None
        self._limits, self._evaluator = limits, evaluator
        self._futures: dict[int, Any] = {}
        self._is_closed = self._is_lost = False
        self._threads, self._asked = 0, -math.inf

    def capacity(self) -> int:
        """Count two batches for each thread of the workers, so that none waits for this process.

        Raises:
            InputError: the scheduler is gone, or does not answer.
        """
        self.require_alive()
        return max(1, 2 * self._threads)

    def require_alive(self) -> None:
        """Ask the scheduler now and then which workers it has.

        Raises:
            InputError: it is gone, or does not answer.
        """
        if self._is_lost or self._client.status != "running":
            raise self._describe_loss("is gone")
        if time.monotonic() - self._asked < ASK_INTERVAL_S:
            return
        try:
            told = self._client.sync(self._client.scheduler.identity, callback_timeout=ANSWER_TIMEOUT_S)
        except TimeoutError:
            self._is_lost = True
            is_there = self._client.status == "running"
            raise self._describe_loss(f"has not answered for {ANSWER_TIMEOUT_S} s" if is_there else "is gone") from None
        except Exception:
            self._is_lost = True
            raise self._describe_loss("is gone") from None
        self._threads = sum(worker["nthreads"] for worker in told["workers"].values())
        self._asked = time.monotonic()

    def submit(self, batch: int, jobs: Sequence[Job], deliver: Deliver) -> None:
        """Send a batch to the scheduler.

        Raises:
            InputError: it is gone.
        """

        def finish(future: Any) -> None:
            if self._is_closed:
                return
            if future.status in LOST:
                # Nothing is known of its points; they are no failures, and are run by the next start.
                self._is_lost = True
                return
            try:
                outcomes = future.result()
            except Exception as error:
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                outcomes = [Outcome(job.key, Status.FAILED, reason) for job in jobs]
            self._futures.pop(batch, None)
            for job, outcome in zip(jobs, outcomes, strict=True):
                deliver(batch, job, outcome)

        try:
            future = self._client.submit(
                evaluate_on_worker, list(jobs), self._limits, self._evaluator,
                key=f"points-{uuid.uuid4().hex}", pure=False,
            )  # fmt: skip
        except Exception:
            if self._client.status == "running":
                raise
            raise self._describe_loss("is gone") from None
        self._futures[batch] = future
        future.add_done_callback(finish)

    def close(self) -> None:
        """Take back what is under way, and leave the cluster as it is."""
        self._is_closed = True
        futures = list(self._futures.values())
        # A scheduler that is gone cannot be told.
        with suppress(Exception):
            if futures and not self._is_lost and self._client.status == "running":
                self._client.cancel(futures, force=True)
        with suppress(Exception):
            self._client.close(timeout=1)

    def _describe_loss(self, how: str) -> InputError:
        kept = "every point that was finished is kept, and the same command goes on from there"
        return InputError(f"--scheduler {self._address}: the Dask scheduler {how}; {kept}")


def require_answer(address: str) -> None:
    """Ask a scheduler who it is, before a client is made, which could only be given up slowly.

    Raises:
        InputError: it does not answer, or is none.
    """
    from distributed.core import rpc

    async def ask() -> None:
        async with rpc(address) as scheduler:
            told = await scheduler.identity()
        if not (isinstance(told, dict) and told.get("type") == "Scheduler"):
            raise ValueError("what answers is not a scheduler")

    def run() -> None:
        asyncio.run(asyncio.wait_for(ask(), ANSWER_TIMEOUT_S))

    # A thread of its own: the caller's may have a loop that runs, as in a notebook.
    with ThreadPoolExecutor(1) as threads:
        try:
            threads.submit(run).result()
        except TimeoutError:
            raise refuse_address(address, TimeoutError(f"no answer within {ANSWER_TIMEOUT_S} s")) from None
        except Exception as error:
            raise refuse_address(address, error) from None


def refuse_address(address: str, error: Exception) -> InputError:
    """Say that no scheduler answers."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return InputError(f"--scheduler {address}: no Dask scheduler answers there: {reason}")


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
