"""Files that are read back: regular ones of a bounded size, told apart before anything of them is read."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from workloads.errors import InputError
from workloads.words import make_sentence

PATH_CHARACTERS = 240


def name_file(path: Path) -> str:
    """Write a path in one line of a message; a long one keeps both its ends."""
    return make_sentence(str(path), PATH_CHARACTERS)


def require_regular(path: Path) -> os.stat_result:
    """Refuse what is no regular file; a device or a pipe would be read without end or wait without one.

    Raises:
        InputError: there is no such file, it cannot be reached, or it is something else.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        is_missing = isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ENOTDIR)
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{name_file(path)}: {'there is no such file' if is_missing else f'cannot be read: {reason}'}"
        ) from None
    if not stat.S_ISREG(found.st_mode):
        kind = next(
            (words for test, words in (
                (stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
                (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
            ) if test(found.st_mode)),
            "something else",
        )  # fmt: skip
        raise InputError(f"{name_file(path)}: is {kind}; a regular file is needed")
    return found


@contextmanager
def open_stored(path: Path, limit_bytes: int | None = None) -> Iterator[BinaryIO]:
    """Open a regular file for reading.

    Raises:
        InputError: as in `require_regular`, the file is larger than the limit, or reading fails.
    """
    size = require_regular(path).st_size
    if limit_bytes is not None and size > limit_bytes:
        raise InputError(f"{name_file(path)}: holds {size:,} bytes; at most {limit_bytes:,} are read")
    try:
        # What became a pipe since it was looked at does not hold us up.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            yield file
    except OSError as error:
        if error.errno is None:
            raise
        raise InputError(f"{name_file(path)}: cannot be read: {error.strerror}") from None


def read_stored_text(path: Path, limit_bytes: int) -> str:
    """Read a UTF-8 text.

    Raises:
        InputError: as in `open_stored`, or it is no UTF-8 text, begins with a byte order mark, or is empty.
    """
    with open_stored(path, limit_bytes) as file:
        raw = file.read(limit_bytes + 1)
    if len(raw) > limit_bytes:
        raise InputError(f"{name_file(path)}: holds more than {limit_bytes:,} bytes, which are not read")
    if not raw.strip():
        raise InputError(f"{name_file(path)}: is empty")
    if raw.startswith(b"\xef\xbb\xbf"):
        raise InputError(f"{name_file(path)}: begins with a byte order mark, which this program never writes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{name_file(path)}: is not UTF-8 text ({error.reason} at byte {error.start})") from None
