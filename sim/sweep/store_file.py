"""The file of a store, opened to be read: also where nothing beside it can be written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from workloads.errors import InputError

# Each write takes milliseconds: who holds the file for longer is no sweep at work.
LOCK_TIMEOUT_S, READ_LOCK_TIMEOUT_S = 15.0, 5.0
# What SQLite says where it can make no index of the write-ahead log.
UNWRITABLE = ("SQLITE_CANTOPEN", "SQLITE_READONLY")


def require_readable(path: Path) -> None:
    """Refuse a store that this process may not read.

    Raises:
        InputError: names it.
    """
    if not is_allowed(path, os.R_OK):
        raise InputError(f"{path}: the store cannot be read: permission denied")


def open_to_read(path: Path, check: Callable[[sqlite3.Connection], None], closing: ExitStack) -> sqlite3.Connection:
    """Open a store that `check` can read; what was made for that goes with `closing`.

    SQLite reads a database in WAL mode by an index beside it. Where that cannot be made, a file without a log is read
    as one that never changes, and one with a log is copied with it, so that no point in the log is lost.

    Raises:
        sqlite3.Error: the file cannot be read.
    """
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() and not (is_allowed(path, os.W_OK) and is_allowed(path.absolute().parent, os.W_OK)):
        return connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", check, closing)
    try:
        return connect(path, check, closing)
    except sqlite3.OperationalError as error:
        if not str(getattr(error, "sqlite_errorname", "")).startswith(UNWRITABLE):
            raise
    folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="sparsetrain-")))
    for file in (path, log):
        if file.exists():
            shutil.copyfile(file, folder / file.name)
    return connect(folder / path.name, check, closing)


def connect(
    place: str | Path,
    check: Callable[[sqlite3.Connection], None],
    closing: ExitStack,
    patience: float | None = None,
) -> sqlite3.Connection:
    """Open a connection and let `check` read or write the first of it; it is closed with `closing`, or at a fault."""
    connection = sqlite3.connect(
        place,
        timeout=READ_LOCK_TIMEOUT_S if patience is None else patience,
        isolation_level=None,
        check_same_thread=False,
        uri=isinstance(place, str),
    )
    try:
        check(connection)
    except BaseException:
        connection.close()
        raise
    closing.callback(connection.close)
    return connection


def is_allowed(path: Path, mode: int) -> bool:
    """Tell whether this process, as whoever it acts, may read or write a path."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def make_folder(path: Path) -> None:
    """Make the folder of a store.

    Raises:
        InputError: it cannot be made.
    """
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: its folder cannot be made: {error.strerror}") from None
