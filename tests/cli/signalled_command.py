"""The command in a process of its own, which stops at a chosen place, says so by a file, and waits for a signal.

``python -m cli.signalled_command PLACE FOLDER ARGUMENTS...``: at each visit of the place a file ``PLACE-PID`` appears
in FOLDER, so that a test waits for an event and not for a time.
"""

from __future__ import annotations

import importlib.abc
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

GUARD_S = 300.0
FOLDER_VARIABLE = "SIGNALLED_FOLDER"


def mark_and_wait(place: str) -> None:
    """Say that this process is at a place, and wait there; the guard ends a test that was itself killed."""
    (Path(os.environ[FOLDER_VARIABLE]) / f"{place}-{os.getpid()}").touch()
    threading.Event().wait(GUARD_S)


def wait_in_worker(*_: object) -> None:
    """Stand in for a step of a run, in a worker process or on a thread."""
    mark_and_wait("step")


class ImportStop(importlib.abc.MetaPathFinder):
    """Waits where a module is imported."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, fullname: str, *_: Any) -> None:
        """Find nothing; the others do."""
        if fullname == self._name:
            mark_and_wait("import")


def stop_at(owner: Any, name: str, place: str) -> None:
    """Wait where a function is called."""
    original = getattr(owner, name)

    def stopped(*arguments: Any, **options: Any) -> Any:
        mark_and_wait(place)
        return original(*arguments, **options)

    setattr(owner, name, stopped)


def stop_at_steps() -> None:
    import sim.iteration.workers as workers

    workers.run_item = workers.run_in_process = wait_in_worker  # type: ignore[assignment]


def stop_at_compilation() -> None:
    from numba.core.dispatcher import Dispatcher

    stop_at(Dispatcher, "compile", "compile")


def stop_at_writing() -> None:
    import pandas as pd

    stop_at(pd.DataFrame, "to_csv", "write")


def stop_at_cleaning() -> None:
    from reports.progress_bars import RunBar

    stop_at_compilation()
    stop_at(RunBar, "__exit__", "clean")


PLACES: dict[str, Callable[[], None]] = {
    "step": stop_at_steps,
    "compile": stop_at_compilation,
    "write": stop_at_writing,
    "clean": stop_at_cleaning,
}


def run() -> None:
    """Prepare the place and run the command."""
    place, folder, *arguments = sys.argv[1:]
    # A test may run where its parent ignores these, such as behind `nohup` or in the background of a shell.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_IGN if place == "nohup" else signal.SIG_DFL)
    os.environ[FOLDER_VARIABLE] = folder
    kind, _, name = place.partition(":")
    if name:
        sys.meta_path.insert(0, ImportStop(name))
    else:
        PLACES["step" if kind == "nohup" else kind]()
    sys.argv = ["sparsetrain", *arguments]
    from reports.entry import main

    main()


if __name__ == "__main__":
    # Workers find by its name what they are sent, so it must not be that of the main module.
    from cli.signalled_command import run as run_by_name

    run_by_name()
