"""The door for every file that a user names: regular files alone, of a size that its form bounds, of that form."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from workloads.errors import InputError
from workloads.file_kinds import BEGINNING_BYTES, recognise, refuse_kind

_SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Readable(Protocol):
    """A stream of bytes, packed or not."""

    def read(self, size: int, /) -> bytes:
        """Read so many bytes, or fewer at the end."""
        ...


@dataclass(frozen=True)
class FileForm:
    """What a file should be, in words such as ``a YAML file``, and the most bytes it may have.

    Attributes:
        is_text: Binary files are refused by what they are.
    """

    words: str
    limit_bytes: int
    is_text: bool = False


def open_file(path: Path, form: FileForm, label: str | None = None) -> BinaryIO:
    """Open a regular file for reading; anything else is refused before it is opened, so that no pipe blocks.

    Args:
        label: How messages name the file, by default its path.

    Raises:
        InputError: there is no such file, it is a folder, a pipe or a device, is too large, another kind of file where
            text is wanted, or cannot be read.
    """
    name = label or str(path)
    try:
        _check_type(name, path.stat(), form)
        # Without waiting, should a pipe have taken the file's place in between.
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
        file = os.fdopen(number, "rb")
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{name}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read: {_reason(error)}") from None
    try:
        _check_open(name, path, file, form)
    except BaseException:
        file.close()
        raise
    return file


def read_file(path: Path, form: FileForm, label: str | None = None) -> bytes:
    """Read a regular file whole, as `open_file` opens it.

    Raises:
        InputError: it is refused, or it ends in an error or beyond the form's limit.
    """
    name = label or str(path)
    with open_file(path, form, label) as file:
        try:
            content = file.read(form.limit_bytes + 1)
        except OSError as error:
            raise InputError(f"{name}: cannot be read: {_reason(error)}") from None
    if len(content) > form.limit_bytes:
        raise InputError(_too_large(name, form))
    return content


def _check_open(name: str, path: Path, file: BinaryIO, form: FileForm) -> None:
    found = os.fstat(file.fileno())
    _check_type(name, found, form)
    if form.is_text:
        try:
            kind = recognise(path, file.read(BEGINNING_BYTES))
        except OSError as error:
            raise InputError(f"{name}: cannot be read: {_reason(error)}") from None
        if kind is not None:
            raise InputError(refuse_kind(name, kind, form.words))
        file.seek(0)
    if found.st_size > form.limit_bytes:
        raise InputError(_too_large(name, form))


def _check_type(name: str, found: os.stat_result, form: FileForm) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"{name}: is a directory, not {form.words}")
    if not stat.S_ISREG(found.st_mode):
        kind = _SPECIAL.get(stat.S_IFMT(found.st_mode), "a special file")
        raise InputError(f"{name}: is {kind}, not {form.words}; only regular files are read")


def _too_large(name: str, form: FileForm) -> str:
    return f"{name}: is larger than {form.limit_bytes} bytes, the most that {form.words} may have"


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def resolve_path(path: Path | str) -> Path:
    """Make a path absolute; links that lead round in a circle are left, to be refused where the file is opened."""
    return Path(os.path.realpath(path))
