"""How numba compiles kernels: once for each type of arguments, kept in its cache on disk by what they are made of."""

from __future__ import annotations

import sys
from types import FunctionType
from typing import Any, Protocol

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.types.misc import unliteral

# The ways into a function from Python and from C take longer to compile than most functions.
NO_WRAPPERS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class Compilable(Protocol):
    """What is known of a kernel before it is compiled."""

    function: FunctionType
    name: str
    inlines: bool
    options: dict[str, bool]

    @property
    def digest(self) -> str:
        """A digest of everything that the kernel is made of."""
        ...


class KernelCache(FunctionCache):  # type: ignore[misc]
    """Numba's cache of one kernel, valid for what it and all that it calls are made of now.

    Numba's own compares the file that holds the kernel, and not those of the kernels and constants that it uses.
    """

    def __init__(self, kernel: Compilable) -> None:
        super().__init__(kernel.function)
        # Named without its line: what a changed kernel leaves behind is overwritten, not left beside it.
        name = f"{kernel.name}.py{sys.version_info.major}{sys.version_info.minor}{getattr(sys, 'abiflags', '')}"
        self._cache_file = IndexDataCacheFile(self._cache_path, name, kernel.digest)

    @property
    def is_filled(self) -> bool:
        """Whether the kernel has a compiled form that still holds."""
        return bool(self._cache_file._load_index())


def make_entry(kernel: Compilable) -> Any:
    """Make what compiles a kernel for calls from Python, or finds it in the cache."""
    dispatcher = numba.njit(nogil=True, no_cfunc_wrapper=True, **kernel.options)(kernel.function)
    dispatcher._cache = KernelCache(kernel)
    return dispatcher


def make_part(kernel: Compilable) -> Any:
    """Make what compiles a kernel as a part of others: once, whether an argument is a constant of the caller or not."""
    dispatcher = numba.njit(nogil=True, forceinline=kernel.inlines, **NO_WRAPPERS, **kernel.options)(kernel.function)
    find = dispatcher.get_call_template

    def find_call(args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        return find(tuple(map(unliteral, args)), {name: unliteral(value) for name, value in kws.items()})

    dispatcher.get_call_template = find_call
    return dispatcher
