"""Memory for what is computed on the way and needed no longer: kept by each thread, since new pages are slow."""

from __future__ import annotations

import threading
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)

# What is larger is made anew and given back.
KEPT_BYTES = 2**25
LINE_BYTES = 64


class _Buffers(threading.local):
    """The buffers of a thread, by what they are for."""

    def __init__(self) -> None:
        self.held: dict[str, Any] = {}


_BUFFERS = _Buffers()


def take_scratch(use: str, shape: tuple[int, ...], dtype: type[Scalar] | np.dtype[Scalar]) -> NDArray[Scalar]:
    """Give an array of any content, which holds until this thread takes one for the same use."""
    size_bytes = prod(shape) * np.dtype(dtype).itemsize
    if size_bytes > KEPT_BYTES:
        return np.empty(shape, dtype)
    held = _BUFFERS.held.get(use)
    if held is None or held.nbytes < size_bytes:
        room = np.empty(size_bytes + LINE_BYTES, np.uint8)
        held = _BUFFERS.held[use] = room[-room.ctypes.data % LINE_BYTES :][:size_bytes]
    found: NDArray[Scalar] = held[:size_bytes].view(dtype).reshape(shape)
    return found
