"""A fixed number of BLAS threads, so that a result does not depend on who computes it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

# Work is shared by threads of our own (`workloads.workers`), in parts that do not depend on their number.
BLAS_THREADS = 1


@contextmanager
def fixed_blas_threads(threads: int = BLAS_THREADS) -> Iterator[None]:
    """Run the block with so many threads: their number decides how BLAS splits a sum, and so its rounding.

    The number is one for the whole process: a block waits while other threads run blocks with another number, unless
    it stands in a block of its own thread. With the last block the number before the first comes back.
    """
    request = _limiter().enter(threads)
    try:
        # BLAS may raise the invalid flag on lanes that it pads, whatever the operands.
        with np.errstate(invalid="ignore"):
            yield
    finally:
        _limiter().leave(request)


@dataclass(eq=False, frozen=True, slots=True)
class _Request:
    """A block that runs, its thread, and the number of BLAS threads that it asked for."""

    thread: int
    threads: int


class _Limiter:
    """Counts the blocks that run; only the first and the last of them see what was set from outside."""

    def __init__(self) -> None:
        # Listing the loaded libraries takes milliseconds; numpy's BLAS is loaded with numpy and stays.
        self._libraries: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
        self._changed = threading.Condition()
        self._requests: list[_Request] = []
        self._before: list[int] = []

    def enter(self, threads: int) -> _Request:
        request = _Request(threading.get_ident(), threads)
        with self._changed:
            self._changed.wait_for(lambda: self._admits(request))
            if not self._requests:
                self._before = [library.num_threads for library in self._libraries]
            self._requests.append(request)
            self._set([threads] * len(self._libraries))
        return request

    def leave(self, request: _Request) -> None:
        with self._changed:
            self._requests.remove(request)
            numbers = [self._requests[-1].threads] * len(self._libraries) if self._requests else self._before
            self._set(numbers)
            self._changed.notify_all()

    def _admits(self, request: _Request) -> bool:
        # Waiting inside a block of its own, two threads could wait for each other.
        return any(other.thread == request.thread for other in self._requests) or all(
            other.threads == request.threads for other in self._requests
        )

    def _set(self, numbers: list[int]) -> None:
        for library, number in zip(self._libraries, numbers, strict=True):
            if library.num_threads != number:
                _release(library)
                library.set_num_threads(number)
                _release(library)


def _release(library: Any) -> None:
    # In newer releases of threadpoolctl the first thread that sets OpenBLAS's number is the only one that can, and what
    # others set is silently lost; here a lock keeps them apart.
    release = getattr(library, "clear_controlling_thread", None)
    if release is not None:
        release(force=True)


@cache
def _limiter() -> _Limiter:
    return _Limiter()
