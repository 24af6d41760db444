"""What files hold, as digests: a file is read again whenever it may have been written since."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from workloads.datasets.address import DatasetKind
from workloads.errors import InputError
from workloads.user_file import FileForm, open_file

CHUNK_BYTES = 2**20
ANY_FILE = FileForm("a file", limit_bytes=2**50)
# Two writes within a tick of the clock of a file system leave one time: what is younger than this is read again.
SETTLED_NS = 2 * 10**9

Signature = tuple[int, ...]


def digest_file(path: Path) -> str:
    """Give the SHA-256 of a file's content.

    Raises:
        InputError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open_file(path, ANY_FILE) as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()


class ContentDigests:
    """Digests of files and folders; what has not been touched since it was read is not read again."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Signature, str]] = {}

    def digest(self, path: Path) -> str:
        """Give the SHA-256 of a file, or of a folder's files with their names.

        Raises:
            InputError: it cannot be read.
        """
        if not path.is_dir():
            return self._digest_file(path)
        entries = [
            [entry.relative_to(path).as_posix(), self._digest_file(entry)]
            for entry in sorted(path.rglob("*"))
            if entry.is_file()
        ]
        return hashlib.sha256(json.dumps(entries).encode()).hexdigest()

    def replace_paths(self, data: Any) -> Any:
        """Copy plain data with absolute paths, also behind the kind of a dataset, replaced by digests of what is there.

        Raises:
            InputError: there is no such file, or it cannot be read.
        """
        if isinstance(data, dict):
            return {name: self.replace_paths(value) for name, value in data.items()}
        if isinstance(data, list):
            return [self.replace_paths(value) for value in data]
        if isinstance(data, str):
            kind, colon, path = data.partition(":")
            if colon and kind in tuple(DatasetKind) and Path(path).is_absolute():
                return {"kind": kind, "sha256": self.digest(Path(path))}
            if Path(data).is_absolute():
                return {"sha256": self.digest(Path(data))}
        return data

    def _digest_file(self, path: Path) -> str:
        now, signature = time.time_ns(), sign_file(path)
        known = self._known.get(path)
        if known is not None and known[0] == signature:
            return known[1]
        found = digest_file(path)
        if signature is not None and now - max(signature[:2]) > SETTLED_NS:
            self._known[path] = signature, found
        return found


def sign_file(path: Path) -> Signature | None:
    """Give what a write to a file changes besides its content; None where it cannot be told."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev
