"""A worker process that ends when its parent does, however the parent ends."""

from __future__ import annotations

import os
import select
import signal
import threading

ENDED_WITH_PARENT = 1


def end_with_parent(parent: int) -> None:
    """Let a thread end this process, whatever it computes, as soon as the process `parent`, which started it, is gone.

    What the terminal sends to all processes is left to the parent: Ctrl-C, and the end of the terminal.
    """
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=wait_and_end, args=(parent,), daemon=True, name="parent-watch").start()


def wait_and_end(parent: int) -> None:
    """Wait for a process to end, then end this one."""
    try:
        wait_for_process(parent)
    finally:
        os._exit(ENDED_WITH_PARENT)


def wait_for_process(number: int) -> None:
    """Return when there is no such process; the system tells where it can, else it is asked again and again."""
    # Not PR_SET_PDEATHSIG: Linux sends that when the thread that started the worker ends, not the process.
    if hasattr(os, "pidfd_open"):
        try:
            handle = os.pidfd_open(number)
        except ProcessLookupError:
            return
        except OSError:
            pass
        else:
            select.select([handle], [], [])
            return
    import psutil

    try:
        psutil.Process(number).wait()
    except psutil.NoSuchProcess:
        return
