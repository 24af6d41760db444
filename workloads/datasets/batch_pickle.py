"""The pickles of CIFAR's python batches, read without ever running what a pickle asks for.

A pickle names functions and classes that the reader is to call. Here every allowed name stands for a small record of
this module's own, which only notes its arguments; numpy's own constructors are never called with a pickle's words.
All other names are refused.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from workloads.errors import InputError

# A batch has five keys at most.
LARGEST_DICTIONARY = 64
LARGEST_RANK = 8

if TYPE_CHECKING:

    class _PythonUnpickler(pickle.Unpickler):
        """What the typed interface of pickle leaves out."""

        dispatch: ClassVar[dict[int, Any]]
        stack: list[Any]
        append: Any

        def pop_mark(self) -> list[Any]: ...

else:
    from pickle import _Unpickler as _PythonUnpickler


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


class _RestrictedUnpickler(_PythonUnpickler):
    """Finds nothing but the records above, and makes no dictionary but of a few texts.

    Numbers and tuples can be chosen so that all of them meet in one place of a dictionary, which then takes hours to
    fill; those of texts differ from process to process. So this is Python's own unpickler that is written in Python,
    whose steps can be watched.
    """

    dispatch: ClassVar[dict[int, Any]] = dict(_PythonUnpickler.dispatch)

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

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._put_items([key, value])

    def _set_items(self) -> None:
        self._put_items(self.pop_mark())

    def _make_dictionary(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._put_items(items)

    def _put_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(target) is not dict or type(key) not in (str, bytes) or len(target) >= LARGEST_DICTIONARY:
                raise InputError(
                    f"{self._place}: its pickle holds a dictionary of other keys than a few texts, which no CIFAR "
                    "batch needs; it is refused"
                )
            target[key] = value

    def _build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _ArrayRecord | _DtypeRecord):
            raise pickle.UnpicklingError("a state for something that has none")
        self.stack[-1].__setstate__(state)

    def _refuse_step(self) -> None:
        raise pickle.UnpicklingError("a step that no CIFAR batch needs")


_STEPS = _RestrictedUnpickler.dispatch
_STEPS[pickle.SETITEM[0]] = _RestrictedUnpickler._set_item
_STEPS[pickle.SETITEMS[0]] = _RestrictedUnpickler._set_items
_STEPS[pickle.DICT[0]] = _RestrictedUnpickler._make_dictionary
_STEPS[pickle.BUILD[0]] = _RestrictedUnpickler._build
_REFUSED = (
    pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET, pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.INST,
    pickle.OBJ, pickle.NEWOBJ_EX, pickle.PERSID, pickle.BINPERSID, pickle.BYTEARRAY8,
)  # fmt: skip
for _step in _REFUSED:
    _STEPS[_step[0]] = _RestrictedUnpickler._refuse_step


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
            is_small = len(shape) <= LARGEST_RANK and all(
                isinstance(size, int) and 0 <= size <= len(content) for size in shape
            )
            if is_small and math.prod(shape) == len(content):
                array: NDArray[np.uint8] = np.ndarray(shape, np.uint8, content, order="F" if is_fortran else "C")
                return array
    raise InputError(f"{place}: '{key}' is no array of uint8 whose shape fits its bytes")
