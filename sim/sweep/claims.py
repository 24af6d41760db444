"""Claims on points: who works on what, so that processes on one store do not work on the same."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import psutil

LEASE_S = 60.0


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that claims points, named by its number and its start, which together are never used again."""

    name: str

    @classmethod
    def current(cls) -> Owner:
        """Name this process."""
        return cls(describe_process(os.getpid()) or str(os.getpid()))

    def lease(self) -> float:
        """Give the time, in seconds since 1970, until which a claim made now holds."""
        return time.time() + LEASE_S

    def respects(self, owner: str, until: float) -> bool:
        """Tell whether another's claim holds: it has not run out, and its process is alive."""
        if until < time.time():
            return False
        number = owner.partition("@")[0]
        return number.isdecimal() and len(number) < 10 and owner == describe_process(int(number))


def describe_process(number: int) -> str | None:
    """Name a living process; None where there is none, or one that has ended and was not waited for."""
    try:
        process = psutil.Process(number)
        is_dead = process.status() == psutil.STATUS_ZOMBIE
        return None if is_dead else f"{number}@{process.create_time():.2f}"
    except psutil.Error:
        return None
