"""Arrays of an .npz file, never unpickled; whatever is wrong with the file becomes one sentence."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from workloads.errors import InputError

# What zipfile and numpy raise from damaged archives and arrays.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


@contextmanager
def open_npz(path: Path, contents: str) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Open an .npz file whose arrays are read when they are looked up; `contents` says what it should hold.

    Raises:
        InputError: the file is missing, damaged or pickled, or is one plain array; also from what is read of it.
    """
    try:
        with path.open("rb") as stream:
            arrays = np.load(stream, allow_pickle=False)
            if not isinstance(arrays, NpzFile):
                raise InputError(f"{path}: is one plain array; an .npz file of {contents} is needed")
            yield arrays
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except DAMAGE as error:
        raise InputError(f"{path}: cannot be read as an .npz file of plain arrays; it is damaged or pickled") from error
