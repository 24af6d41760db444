"""Arrays of an .npz file: never unpickled, sizes checked by headers, a fault one sentence; and written reproducibly."""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from workloads.errors import InputError
from workloads.file_kinds import BEGINNING_BYTES, NPY, NPZ, PYTORCH, ZIP, recognise, refuse_kind
from workloads.memory import require_memory
from workloads.user_file import FileForm, open_file

FORM = FileForm("an .npz file", limit_bytes=2**44)
# What zipfile and numpy raise from damaged archives and arrays, and from headers that are no such thing.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    TypeError,
    SyntaxError,
    OverflowError,
    struct.error,
)
# Of 46 bytes and a name for each array: more than a hundred thousand.
DIRECTORY_LIMIT_BYTES = 2**24
# The most that deflate can expand a byte to.
DEFLATE_RATIO = 1032
_EXPECTED = "; a zip archive of .npy arrays, as numpy.savez writes it, is expected"
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_END, _END_FORM = b"PK\x05\x06", "<4s4H2LH"
_LONG_END, _LONG_END_FORM = b"PK\x06\x06", "<4sQ2H2L4Q"


@dataclass(frozen=True)
class ArrayHeader:
    """What an array's header announces; its bytes are there in the archive, as far as the archive's directory says."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    nbytes: int


class ArrayArchive(Mapping[str, NDArray[Any]]):
    """The arrays of an open .npz file by name; each is read when it is looked up, its header checked before.

    Raises:
        InputError: from a look-up: the array is damaged, holds pickled objects, or needs more memory than there is.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path = path
        self._archive = archive
        self._entries = dict.fromkeys(_array_names(archive, path))

    def __iter__(self) -> Iterator[str]:
        """Give the names of the arrays, in the file's order."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Give the number of arrays."""
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        """Tell whether there is an array of this name, without reading it."""
        return name in self._entries

    def header(self, name: str) -> ArrayHeader:
        """Read an array's header alone."""
        entry = f"{name}.npy"
        with self._refuse_damage(name):
            _check_packing(self._archive.getinfo(entry))
            with self._archive.open(entry) as file:
                shape, dtype = _read_header(file)
                held = self._archive.getinfo(entry).file_size - file.tell()
        if dtype.hasobject:
            raise InputError(f"{self._place(name)} holds pickled Python objects, which are never loaded")
        if any(size < 0 for size in shape):
            raise InputError(f"{self._place(name)} is damaged: its shape {shape} has a negative size")
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes > held or dtype.itemsize == 0 != math.prod(shape):
            raise InputError(f"{self._place(name)} is damaged: its shape {shape} needs {nbytes} bytes, it holds {held}")
        if nbytes < held:
            raise InputError(f"{self._place(name)} is damaged: it holds more bytes than its shape needs")
        return ArrayHeader(shape, dtype, nbytes)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Read an array."""
        if name not in self:
            raise KeyError(name)
        require_memory(self.header(name).nbytes, self._place(name))
        with self._refuse_damage(name), self._archive.open(f"{name}.npy") as file:
            values: NDArray[Any] = npy.read_array(file, allow_pickle=False)
            # The checksum is compared where the end is read.
            file.read(1)
        return values

    def _place(self, name: str) -> str:
        return f"{self._path}: array '{name}'"

    @contextmanager
    def _refuse_damage(self, name: str) -> Iterator[None]:
        try:
            yield
        except DAMAGE as error:
            raise InputError(f"{self._place(name)} is damaged: {reason(error)}") from None


@contextmanager
def open_npz(path: Path) -> Iterator[ArrayArchive]:
    """Open an .npz file; its directory is read, no array.

    Raises:
        InputError: the file is missing, damaged or another kind of file, or holds something else than named arrays.
    """
    with open_file(path, FORM) as file:
        beginning = file.read(BEGINNING_BYTES)
        try:
            _check_directory(path, file)
            archive = zipfile.ZipFile(file)
        except InputError:
            raise
        except zipfile.BadZipFile:
            raise InputError(_other_file(path, beginning)) from None
        except DAMAGE as error:
            raise InputError(f"{path}: cannot be read: {reason(error)}") from None
        if recognise(path, beginning) == PYTORCH:
            raise InputError(refuse_kind(path, PYTORCH, FORM.words))
        with archive:
            yield ArrayArchive(path, archive)


def reason(error: Exception) -> str:
    """Return an error's words, without what stands on further lines."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text.splitlines()[0]


def _other_file(path: Path, beginning: bytes) -> str:
    kind = recognise(path, beginning)
    if kind is NPY:
        return f"{path}: is a single .npy array, not an .npz file of named arrays"
    if kind is not None and kind.is_model:
        return refuse_kind(path, kind, FORM.words)
    if kind in (NPZ, ZIP):
        return f"{path}: is cut off or damaged{_EXPECTED}"
    return f"{path}: is not an .npz file{_EXPECTED}"


def _check_directory(path: Path, file: BinaryIO) -> None:
    """Refuse an archive whose directory, which zipfile reads whole, is too large for any recording."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 2**16 - 2**8))
    ending = file.read()
    at = ending.rfind(_END)
    if at >= 0 and len(ending) - at >= struct.calcsize(_END_FORM):
        directory_bytes = struct.unpack_from(_END_FORM, ending, at)[5]
        long_at = ending.rfind(_LONG_END, 0, at)
        if long_at >= 0 and at - long_at >= struct.calcsize(_LONG_END_FORM):
            directory_bytes = max(directory_bytes % (2**32 - 1), struct.unpack_from(_LONG_END_FORM, ending, long_at)[8])
        if min(directory_bytes, size) > DIRECTORY_LIMIT_BYTES:
            raise InputError(
                f"{path}: its directory has {directory_bytes} bytes; {DIRECTORY_LIMIT_BYTES} at most are read"
            )
    file.seek(0)


def _array_names(archive: zipfile.ZipFile, path: Path) -> list[str]:
    names: dict[str, None] = {}
    for entry in archive.namelist():
        name = entry.removesuffix(".npy")
        if name == entry:
            raise InputError(f"{path}: holds '{entry}', which is no .npy array")
        if name in names:
            raise InputError(f"{path}: holds the array '{name}' twice")
        names[name] = None
    return list(names)


def _check_packing(entry: zipfile.ZipInfo) -> None:
    """Refuse a size that its packed bytes cannot hold, and packings whose own tables may be of any size."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("it is compressed as numpy does not do it")
    ratio = 1 if entry.compress_type == zipfile.ZIP_STORED else DEFLATE_RATIO
    if entry.file_size > ratio * entry.compress_size:
        raise ValueError(f"it announces {entry.file_size} bytes, packed into {entry.compress_size}")


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(file)
    if version not in _READERS:
        raise ValueError(f"version {version[0]}.{version[1]} of the .npy format is not supported")
    try:
        shape, _, dtype = _READERS[version](file)
    except (RecursionError, MemoryError, SyntaxError, tokenize.TokenError) as error:
        raise ValueError("its header cannot be read") from error
    return shape, dtype


def write_npz(target: Path | IO[bytes], arrays: Mapping[str, NDArray[Any]], *, compresses: bool = True) -> None:
    """Write an .npz file whose bytes follow from the arrays: no time of writing, no host."""
    with zipfile.ZipFile(target, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED if compresses else zipfile.ZIP_STORED
            entry.create_system = 3
            with archive.open(entry, "w", force_zip64=True) as stream:
                npy.write_array(stream, np.asanyarray(array), version=(1, 0), allow_pickle=False)
