"""Execute the steps of a run: on threads of this process, or in worker processes; results come in order."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

from sim.architecture import Architecture
from sim.parent_watch import end_with_parent
from sim.step.layer_run import run_layer_step
from sim.step.sampled_run import run_sampled_step
from sim.step.work import StepOptions, StepRun
from workloads.errors import InputError
from workloads.layer_images import LayerImages
from workloads.operands import Operands
from workloads.reference import fixed_blas_threads
from workloads.shapes import Step

Work = Iterator[tuple[Operands | LayerImages, Step, tuple[Architecture, ...]]]

# Kernels, event loops and numpy leave the interpreter lock, so threads keep a few cores busy.
THREADS = max(2, min(4, os.cpu_count() or 1))


class AbandonedError(Exception):
    """Nobody takes the results of a run any more."""


@contextmanager
def execute_work(work: Work, options: StepOptions, jobs: int) -> Iterator[Iterator[list[StepRun]]]:
    """Run every (layer, step), in order, in this process or in `jobs` worker processes, while the block takes results.

    Where the block raises, what is under way is given up: worker processes end, and what is interrupted waits for no
    thread.
    """
    results = execute_in_threads(work, options) if jobs == 1 else execute_in_processes(work, options, jobs)
    try:
        yield results
    except BaseException as error:
        reason = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else AbandonedError
        with suppress(reason):
            results.throw(reason)
        raise


def execute_in_threads(work: Work, options: StepOptions) -> Generator[list[StepRun], None, None]:
    """Run the steps on threads; at most one step more than there are threads is held at a time.

    A traced step is Python's own work throughout: more threads would hold more events, and be no faster.
    """
    pending: deque[Future[list[StepRun]]] = deque()
    waits = True
    with fixed_blas_threads():
        threads = THREADS if options.traced is None else 1
        pool = ThreadPoolExecutor(threads)
        try:
            for operands, step, machines in work:
                pending.append(pool.submit(run_item, operands, step, machines, options))
                if len(pending) > threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except KeyboardInterrupt:
            waits = False
            raise
        finally:
            pool.shutdown(wait=waits, cancel_futures=True)


def execute_in_processes(work: Work, options: StepOptions, jobs: int) -> Generator[list[StepRun], None, None]:
    """Run the steps in worker processes, which end with this one."""
    import joblib

    parallel = joblib.Parallel(
        n_jobs=jobs, return_as="generator", pre_dispatch=2 * jobs, initializer=end_with_parent, initargs=(os.getpid(),)
    )
    failures: list[InputError] = []
    found = parallel(
        joblib.delayed(run_in_process)(operands, step, machines, options)
        for operands, step, machines in itertools.takewhile(lambda _: not failures, work)
    )
    try:
        for runs in found:
            if isinstance(runs, InputError):
                failures.append(runs)
            elif not failures:
                yield runs
    finally:
        # What is thrown into it ends its workers; closed, it would print a warning besides.
        with suppress(AbandonedError):
            found.throw(AbandonedError)
    if failures:
        raise failures[0]


def run_item(
    operands: Operands | LayerImages, step: Step, machines: tuple[Architecture, ...], options: StepOptions
) -> list[StepRun]:
    """Run one (layer, step), or estimate it from a sample of its images."""
    if isinstance(operands, Operands):
        return run_layer_step(operands, step, machines, options)
    assert options.sample is not None
    return run_sampled_step(operands, step, machines, options.sample, options.shares)


def run_in_process(
    operands: Operands | LayerImages, step: Step, machines: tuple[Architecture, ...], options: StepOptions
) -> list[StepRun] | InputError:
    """Run one (layer, step) in a worker process.

    An `InputError` is returned, so that the first in the order of the steps is raised, not the first in time.
    """
    try:
        return run_item(operands, step, machines, options)
    except InputError as error:
        return error
