"""Tensors that the host's pass keeps for later: in memory up to a limit, in files mapped into memory beyond it."""

from __future__ import annotations

import mmap
import re
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.errors import InputError

UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
SIZE_FORM = re.compile(rf"(\d{{1,18}}) ?({'|'.join(UNITS)})", re.ASCII)


def parse_size(given: str | int) -> int:
    """Read a size in bytes: a whole number, alone or with one of the units KiB, MiB, GiB, TiB.

    Raises:
        InputError: it is none.
    """
    found = SIZE_FORM.fullmatch(str(given).strip())
    if found is None or isinstance(given, bool):
        raise InputError(
            "the memory limit must be a whole number of bytes, or one with the unit KiB, MiB, GiB or TiB, "
            f"such as 512MiB, got '{str(given)[:80]}'"
        )
    return int(found[1]) * UNITS[found[2]]


class TensorKeeper:
    """Keeps arrays in memory while all of them are within a limit, and puts what is more into files of a directory.

    An array is counted until nothing refers to it any more, and its file is removed then. Not for several threads.
    """

    def __init__(self, limit_bytes: int, directory: Path) -> None:
        self._limit_bytes = limit_bytes
        self._directory = directory
        self._numbers = count()
        self._held: set[int] = set()
        self._mapped: dict[tuple[Any, ...], weakref.ref[NDArray[Any]]] = {}
        self._maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
        self.held_bytes = 0
        self.spilled_bytes = 0

    def keep(self, array: NDArray[Any]) -> NDArray[Any]:
        """Give an array of the same elements to keep in the place of this one: itself, or a mapped copy.

        The copy is contiguous, in Fortran's order where the array is that alone. What is kept is not to be changed.

        Raises:
            InputError: the directory has no room for it.
        """
        self.release_pages()
        owner = find_owner(array)
        if not array.nbytes or isinstance(owner, np.memmap) or id(owner) in self._held:
            return array
        if self.held_bytes + owner.nbytes <= self._limit_bytes:
            self._held.add(id(owner))
            self.held_bytes += owner.nbytes
            _call_at_end(owner, self._forget_held, id(owner), owner.nbytes)
            return array
        key = (id(owner), array.__array_interface__["data"][0], array.shape, array.strides, array.dtype)
        before = self._mapped[key]() if key in self._mapped else None
        if before is not None:
            return before
        mapped = self._map(array)
        if key not in self._mapped:
            _call_at_end(owner, self._mapped.pop, key, None)
        self._mapped[key] = weakref.ref(mapped)
        return mapped

    def release_pages(self) -> None:
        """Let the system take back the memory of what was read from files; it is read again where it is needed."""
        if hasattr(mmap, "MADV_DONTNEED"):
            for pages in tuple(self._maps):
                pages.madvise(mmap.MADV_DONTNEED)

    def _map(self, array: NDArray[Any]) -> NDArray[Any]:
        is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        path = self._directory / f"{next(self._numbers)}.bin"
        stored = np.ascontiguousarray(array.T if is_fortran else array)
        try:
            path.write_bytes(stored.data)
        except OSError as error:
            raise InputError(
                f"the memory limit of {self._limit_bytes} bytes needs room for {stored.nbytes} more bytes in "
                f"{self._directory}, but: {error.strerror} (the environment variable TMPDIR names another place)"
            ) from None
        # Copy on write: the array counts as writable, as those in memory do, and the file stays what it is.
        mapped = np.memmap(path, array.dtype, "c", shape=array.shape, order="F" if is_fortran else "C")
        self.spilled_bytes += stored.nbytes
        assert isinstance(mapped.base, mmap.mmap)
        self._maps.add(mapped.base)
        _call_at_end(mapped, _remove_file, path)
        return mapped

    def _forget_held(self, owner: int, size_bytes: int) -> None:
        self._held.discard(owner)
        self.held_bytes -= size_bytes


@contextmanager
def open_keeper(limit: str | int | None) -> Iterator[TensorKeeper | None]:
    """Give a keeper with a temporary directory, removed at the end; None without a limit.

    Raises:
        InputError: the limit is no size.
    """
    if limit is None:
        yield None
        return
    limit_bytes = parse_size(limit)
    with tempfile.TemporaryDirectory(prefix="sparsetrain-", ignore_cleanup_errors=True) as directory:
        yield TensorKeeper(limit_bytes, Path(directory))


def find_owner(array: NDArray[Any]) -> NDArray[Any]:
    """Give the array whose memory a view shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _call_at_end(array: NDArray[Any], function: Any, *arguments: Any) -> None:
    # At the end of the process the directory goes as a whole.
    weakref.finalize(array, function, *arguments).atexit = False


def _remove_file(path: Path) -> None:
    path.unlink(missing_ok=True)
