"""Files of a dataset by name, in a folder or in a tar archive, which is never unpacked."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from workloads.errors import InputError

ARCHIVE_ENDINGS = (".tar.gz", ".tgz", ".tar")
LARGEST_FILE_BYTES = 2**30


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
        try:
            if self.path.is_dir():
                return [(self.path / name).read_bytes() for name in names]
            return self._extract(names)
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise InputError(f"{self.path}: cannot be read; it is damaged or truncated") from error

    def _extract(self, names: Sequence[str]) -> list[bytes]:
        contents: dict[str, bytes] = {}
        with tarfile.open(self.path) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name not in names or not member.isreg():
                    continue
                if member.size > LARGEST_FILE_BYTES:
                    raise InputError(
                        f"{self.place(name)}: announces {member.size} bytes; {LARGEST_FILE_BYTES} at most are read"
                    )
                stream = archive.extractfile(member)
                assert stream is not None
                contents[name] = stream.read()
        return [contents[name] for name in names]

    @cached_property
    def _members(self) -> dict[str, str]:
        try:
            with tarfile.open(self.path) as archive:
                members = [member.name for member in archive if member.isreg()]
        except FileNotFoundError as error:
            raise InputError(f"{self.path}: there is no such file or folder") from error
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise InputError(f"{self.path}: cannot be read as a tar archive; it is damaged or another file") from error
        found: dict[str, str] = {}
        for member in members:
            name = PurePosixPath(member).name
            if name in found:
                raise InputError(f"{self.path}: holds the file '{name}' twice, in {found[name]} and {member}")
            found[name] = member
        return found
