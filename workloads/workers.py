"""Threads that share out the work of the host's pass. What a part computes does not depend on who computes it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache

HOST_WORKERS = 2
# Elements of which a run is worth another thread, and runs of one array at most.
RUN_ELEMENTS = 2**16
ELEMENT_PARTS = 8
_workers: ContextVar[int] = ContextVar("workers", default=1)


@contextmanager
def shared_work(workers: int = HOST_WORKERS) -> Iterator[None]:
    """Let so many threads share the work of the block; outside of one there is no other."""
    token = _workers.set(workers)
    try:
        yield
    finally:
        _workers.reset(token)


def share_out(work: Callable[[int], None], parts: int) -> None:
    """Call `work` for each of 0 .. parts - 1, in any order; each writes where no other does.

    The threads run in the caller's context, with its `numpy.errstate`. What a part raises is raised.
    """
    waiting = deque(range(parts))

    def take() -> None:
        while True:
            try:
                part = waiting.popleft()
            except IndexError:
                return
            work(part)

    helpers = []
    for _ in range(min(_workers.get(), parts) - 1):
        context = copy_context()
        context.run(_workers.set, 1)
        helpers.append(_make_pool(os.getpid()).submit(context.run, take))
    try:
        take()
    finally:
        waiting.clear()
        for helper in helpers:
            # Of those that have not begun, because others keep the threads busy, nothing is left to do.
            if not helper.cancel():
                helper.result()


def share_elements(work: Callable[[slice], None], size: int) -> None:
    """Call `work` for runs of so many elements, which together are all of them; few are one run."""
    parts = max(1, min(ELEMENT_PARTS, size // RUN_ELEMENTS))
    share_out(lambda part: work(slice(size * part // parts, size * (part + 1) // parts)), parts)


@cache
def _make_pool(_process: int) -> ThreadPoolExecutor:
    # A process that was forked has none of its parent's threads.
    return ThreadPoolExecutor(thread_name_prefix="host")
