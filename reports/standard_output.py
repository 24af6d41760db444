"""The standard output as something that can fail: closed, or a file on a full disk."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

from workloads.errors import InputError

CLOSED = "the standard output was closed before everything was printed"


def require_output() -> None:
    """Refuse to work for nobody.

    Raises:
        InputError: the standard output was closed when the program started.
    """
    if sys.stdout is None:
        raise InputError("the standard output is closed; give a file, a pipe or /dev/null")


def flush_output() -> None:
    """Have everything printed; an error of the system is raised here and not when the program ends."""
    if sys.stdout is not None:
        sys.stdout.flush()


def describe_failure(error: OSError) -> str:
    """Say in a sentence what could not be read or written; an error without a name is of what is printed."""
    if error.filename is not None:
        from sim.architecture import shorten_line

        return f"{shorten_line(str(error.filename))}: {error.strerror}"
    return CLOSED if error.errno == errno.EPIPE else f"the standard output: {error.strerror or error}"


def silence_output() -> None:
    """Drop what could not be printed, so that it is not tried again when the program ends."""
    with suppress(OSError, ValueError):
        flush_output()
        return
    with suppress(OSError, ValueError, AttributeError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)
