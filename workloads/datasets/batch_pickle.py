"""The pickles of CIFAR's python batches, read without ever running what a pickle asks for.

A pickle names functions and classes that the reader is to call. Here every allowed name stands for a small record of
this module's own, which only notes its arguments; numpy's own constructors are never called with a pickle's words.
All other names are refused.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.errors import InputError


class _ArrayClass:
    """Stands for numpy.ndarray as an argument; as a class it cannot be called with anything."""


class _DtypeRecord:
    """Notes the name of a dtype."""

    def __init__(self, name: object, *_: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        """Ignore the byte order: the only type taken has single bytes."""


class _ArrayRecord:
    """Notes shape, dtype and bytes of an array."""

    def __init__(self, *_: object) -> None:
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


def _encode_latin1(text: object, encoding: object) -> bytes:
    """Stand for _codecs.encode, with which Python 3 writes bytes for Python 2."""
    if isinstance(text, str) and encoding in ("latin1", b"latin1"):
        return text.encode("latin1")
    raise ValueError("bytes in another encoding than latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _ArrayClass,
    ("numpy", "dtype"): _DtypeRecord,
    ("numpy.core.multiarray", "_reconstruct"): _ArrayRecord,
    ("numpy._core.multiarray", "_reconstruct"): _ArrayRecord,
    ("_codecs", "encode"): _encode_latin1,
}


class _RestrictedUnpickler(pickle.Unpickler):
    """Finds nothing but the records above."""

    def __init__(self, content: bytes, place: str) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self._place = place

    def find_class(self, module: str, name: str) -> Any:
        """Give the record that stands for a name.

        Raises:
            InputError: the name is none that a CIFAR batch needs.
        """
        if (module, name) not in _ALLOWED:
            raise InputError(
                f"{self._place}: its pickle asks for {module}.{name}, which no CIFAR batch needs; "
                "it is refused, and nothing of it was run"
            )
        return _ALLOWED[(module, name)]


def read_batch(content: bytes, place: str) -> dict[str, Any]:
    """Read a pickled dictionary of lists, text, numbers and arrays of uint8; keys come as text.

    Raises:
        InputError: the pickle asks for anything else, is damaged, or is no dictionary.
    """
    try:
        batch = _RestrictedUnpickler(content, place).load()
    except InputError:
        raise
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, KeyError, IndexError,
            OverflowError, MemoryError, RecursionError, UnicodeError, ImportError) as error:  # fmt: skip
        raise InputError(f"{place}: cannot be read as a pickled CIFAR batch; it is damaged or another file") from error
    if not isinstance(batch, dict):
        raise InputError(f"{place}: its pickle holds no dictionary, as a CIFAR batch does")
    named = {key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in batch.items()}
    return {key: _to_array(value, key, place) if isinstance(value, _ArrayRecord) else value
            for key, value in named.items()}  # fmt: skip


def _to_array(record: _ArrayRecord, key: str, place: str) -> NDArray[np.uint8]:
    """Make an array from the state that numpy pickles: version, shape, dtype, whether in Fortran's order, bytes."""
    match record.state:
        case (int(), tuple(shape), _DtypeRecord(name="u1" | b"u1"), bool() | 0 | 1 as is_fortran, bytes(content)):
            if all(isinstance(size, int) and size >= 0 for size in shape) and math.prod(shape) == len(content):
                array: NDArray[np.uint8] = np.ndarray(shape, np.uint8, content, order="F" if is_fortran else "C")
                return array
    raise InputError(f"{place}: '{key}' is no array of uint8 whose shape fits its bytes")
