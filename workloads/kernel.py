"""Kernels: functions that numba compiles when they are first called, and whose compiled forms lie in its cache on disk.

``@kernel`` registers a function and says how it is compiled; numba is imported when a kernel is first called. Called
from Python, a kernel has a compiled form of its own in the cache; called by another kernel it becomes part of that
one's. A compiled form holds the code and the constants of everything it was made of, so it is looked up by a digest of
all of these: what was made of another source is never found, wherever kernels are loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cached_property
from types import CodeType, FunctionType
from typing import Any, Generic, ParamSpec, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")
Scalar = TypeVar("Scalar", bound=np.generic)

# Every kernel of the modules that were imported, by module and name.
KERNELS: dict[str, Kernel[Any, Any]] = {}


# Arrays are handed to kernels, which make none: counting references to them takes longer than many a loop.
OPTIONS = {"_nrt": False}


class Kernel(Generic[P, R]):
    """A function that is compiled when it is called: from Python, or as part of a kernel that calls it."""

    def __init__(self, function: Callable[P, R], *, inlines: bool = False) -> None:
        """Take a function whose arrays are given to it.

        Args:
            inlines: Callers take in its code whatever its size.
        """
        assert isinstance(function, FunctionType)
        self.function = function
        self.name = f"{function.__module__}.{function.__qualname__}"
        self.inlines, self.options = inlines, OPTIONS
        self.__doc__, self.__name__, self.__module__ = function.__doc__, function.__name__, function.__module__
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the compiled form, which is loaded or compiled first if it has to be."""
        result: R = self.entry(*args, **kwargs)
        return result

    def __repr__(self) -> str:
        return f"<kernel {self.name}>"

    @cached_property
    def entry(self) -> Any:
        """The dispatcher for calls from Python."""
        from workloads.compilation import make_entry

        return make_entry(self)

    @cached_property
    def part(self) -> Any:
        """The dispatcher for calls from other kernels."""
        from workloads.compilation import make_part

        return make_part(self)

    @property
    def _numba_type_(self) -> Any:
        """What numba takes a kernel for where another one calls it."""
        return self.part._numba_type_

    @property
    def is_compiled(self) -> bool:
        """Whether numba's cache holds a form for calls from Python, made of what the kernel is made of now."""
        from workloads.compilation import KernelCache

        return KernelCache(self).is_filled

    @cached_property
    def digest(self) -> str:
        """A digest of the code and constants of this kernel and of everything that it is made of."""
        hashed = hashlib.sha256()
        for part in list_dependencies(self):
            hashed.update(repr(part).encode())
        return hashed.hexdigest()


@overload
def kernel(function: Callable[P, R]) -> Kernel[P, R]: ...
@overload
def kernel(*, inlines: bool) -> Callable[[Callable[P, R]], Kernel[P, R]]: ...
def kernel(function: Callable[P, R] | None = None, *, inlines: bool = False) -> Any:
    """Register a function as a kernel."""

    def register(function: Callable[P, R]) -> Kernel[P, R]:
        made = Kernel(function, inlines=inlines)
        KERNELS[made.name] = made
        return made

    return register if function is None else register(function)


def list_dependencies(root: Kernel[Any, Any]) -> Iterator[tuple[Any, ...]]:
    """List the code, options, defaults and named constants of a kernel and of all that it calls, in a fixed order."""
    waiting, seen = [root], {root.name}
    while waiting:
        part = waiting.pop(0)
        yield part.name, part.inlines, part.function.__defaults__, describe_code(part.function.__code__)
        for name, value in list_globals(part.function):
            if isinstance(value, Kernel):
                yield name, value.name
                if value.name not in seen:
                    seen.add(value.name)
                    waiting.append(value)
            else:
                yield name, describe_constant(value)


def list_globals(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """List the globals that a function names, in its code or in the types of its arguments."""
    code, known = function.__code__, function.__globals__
    named = {*code.co_names, *(str(annotation) for annotation in function.__annotations__.values())}
    yield from ((name, known[name]) for name in sorted(named) if name in known)


def describe_code(code: CodeType) -> tuple[Any, ...]:
    """Give what a function does, without where it stands."""
    return code.co_code, code.co_consts, code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars


def describe_constant(value: Any) -> Any:
    """Give the value of a constant; of a tuple with named fields, these; of modules, types and functions, the name."""
    if isinstance(value, (bool, int, float, str, tuple)):
        return value
    fields = getattr(value, "_fields", ())
    return getattr(value, "__module__", ""), getattr(value, "__name__", repr(type(value))), fields


def freeze(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """Give a contiguous view that cannot be written to: a kernel would be compiled anew for arrays of another kind."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
