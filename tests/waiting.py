"""Waiting for another process, however busy the machine is, and interrupting whatever shell started the tests."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Found = TypeVar("Found")

# Reached only where what is waited for never comes: no test passes or fails by how fast a machine is.
PATIENCE_S = 600.0
INTERVAL_S = 0.002

# The first lines of a process that a test interrupts; one that a shell put in the background ignores SIGINT, and so
# does what it starts.
HEAR_INTERRUPTS = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"


def wait_for(condition: Callable[[], Found], what: str) -> Found:
    """Wait until a condition gives something true, and return that."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(INTERVAL_S)
    raise AssertionError(f"never: {what}")


@contextmanager
def hearing_interrupts() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt in this process, whatever it inherited."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
