"""Files of a dataset by name, in a folder or in a tar archive, which is never unpacked."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, cast

from workloads.errors import InputError
from workloads.user_file import FileForm, Readable, open_file, read_file

ARCHIVE_ENDINGS = (".tar.gz", ".tgz", ".tar")
# CIFAR-100's training images are 155 MB in one file, and each CIFAR's archive unpacks to less than 190 MB.
FILE_FORM = FileForm("a dataset's file", limit_bytes=2**28)
ARCHIVE_FORM = FileForm("a tar archive", limit_bytes=2**30)
UNPACKED_LIMIT_BYTES = 2**30
MEMBER_LIMIT = 10_000


@dataclass(frozen=True)
class FileSet:
    """The regular files of a folder, or of a tar archive in whatever folder they lie there.

    Raises:
        InputError: from every method: the folder or archive is missing or damaged.
    """

    path: Path

    @property
    def label(self) -> str:
        """The folder or archive, as messages name it."""
        return str(self.path)

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of the files, without folders."""
        if self.path.is_dir():
            return frozenset(entry.name for entry in self.path.iterdir() if entry.is_file())
        return frozenset(self._members)

    def place(self, name: str) -> str:
        """Name a file for messages."""
        return str(self.path / name) if self.path.is_dir() else f"{self.path}: {self._members.get(name, name)}"

    def read(self, names: Sequence[str]) -> list[bytes]:
        """Read files whole, an archive in one pass.

        Raises:
            InputError: one is not there, is larger than any dataset's file, or cannot be read.
        """
        for name in names:
            if name not in self.names:
                raise InputError(f"{self.path}: the file '{name}' is missing")
        if self.path.is_dir():
            return [read_file(self.path / name, FILE_FORM) for name in names]
        with self._open_archive("it is damaged or truncated") as archive:
            return self._extract(archive, names)

    def _extract(self, archive: tarfile.TarFile, names: Sequence[str]) -> list[bytes]:
        contents: dict[str, bytes] = {}
        for member in archive:
            name = PurePosixPath(member.name).name
            if name not in names or not member.isreg():
                continue
            if member.size > FILE_FORM.limit_bytes:
                raise InputError(
                    f"{self.place(name)}: announces {member.size} bytes; {FILE_FORM.limit_bytes} at most are read"
                )
            stream = archive.extractfile(member)
            assert stream is not None
            contents[name] = stream.read()
        return [contents[name] for name in names]

    @cached_property
    def _members(self) -> dict[str, str]:
        found: dict[str, str] = {}
        with self._open_archive("as a tar archive; it is damaged or another file") as archive:
            for number, member in enumerate(archive):
                if number == MEMBER_LIMIT:
                    raise InputError(f"{self.path}: holds more than {MEMBER_LIMIT} files, the most that are read")
                # Otherwise a member that is not there would be skipped block by block.
                if member.size > UNPACKED_LIMIT_BYTES:
                    raise InputError(
                        f"{self.path}: '{member.name}' announces {member.size} bytes; {UNPACKED_LIMIT_BYTES} at most "
                        "are read"
                    )
                name = PurePosixPath(member.name).name
                if member.isreg() and name in found:
                    raise InputError(f"{self.path}: holds the file '{name}' twice, in {found[name]} and {member.name}")
                if member.isreg():
                    found[name] = member.name
        return found

    @contextmanager
    def _open_archive(self, fault: str) -> Iterator[tarfile.TarFile]:
        """Open the archive to be read once from its beginning to its end, unpacked no further than a limit."""
        with open_file(self.path, ARCHIVE_FORM) as file:
            is_packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            try:
                with (
                    gzip.GzipFile(fileobj=file) if is_packed else file as stream,
                    tarfile.open(fileobj=cast(IO[bytes], _Bounded(stream, self.path)), mode="r|") as archive,
                ):
                    yield archive
            except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
                separator = " " if fault.startswith("as ") else "; "
                raise InputError(f"{self.path}: cannot be read{separator}{fault}") from error


class _Bounded:
    """Hands on what is read of a stream, up to a limit."""

    def __init__(self, stream: Readable, path: Path) -> None:
        self._stream = stream
        self._path = path
        self._left_bytes = UNPACKED_LIMIT_BYTES

    def read(self, size: int) -> bytes:
        """Read so many bytes, or fewer at the end."""
        content = self._stream.read(size)
        self._left_bytes -= len(content)
        if self._left_bytes < 0:
            raise InputError(f"{self._path}: unpacks to more than {UNPACKED_LIMIT_BYTES} bytes, the most that are read")
        return content
