"""Whether kernels lie compiled in numba's cache on disk, or have yet to be compiled."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from numba.core.dispatcher import Dispatcher

from dataflows.registry import load_dataflow
from sim.machine.accelerator import Engine

COMPILING = "compiling kernels, once; this takes about 40 seconds"


def must_compile(dataflows: Iterable[str], engine: Engine) -> bool:
    """Tell whether a run of these dataflows on this engine comes before the first one on this machine.

    Raises:
        InputError: there is no such dataflow.
    """
    for name in dataflows:
        load_dataflow(name)
    discard_stale(("dataflows", "sim.machine"))
    packages = ["dataflows"] + ["sim.machine"] * (engine is Engine.COMPILED)
    return any(lacks_compiled(package) for package in packages)


def discard_stale(packages: Iterable[str]) -> None:
    """Discard what was compiled before the source of any kernel changed.

    A kernel holds the code and the constants of those it calls, but numba compares the file of the kernel alone.
    """
    kernels = [kernel for package in packages for kernel in find_kernels(package)]
    sources = {Path(kernel.py_func.__code__.co_filename) for kernel in kernels}
    # Files of constants stand beside the kernels that they are for, and share the first word of their names.
    sources |= {near for source in sources for near in source.parent.glob(f"{source.stem.partition('_')[0]}_state.py")}
    newest = max((source.stat().st_mtime_ns for source in sources if source.exists()), default=0)
    for folder in {kernel.stats.cache_path for kernel in kernels}:
        for index in Path(folder).glob("*.nbi") if folder else ():
            # Another process may have done so already; where nobody may write, the installer wrote everything at once.
            with contextlib.suppress(OSError):
                if index.stat().st_mtime_ns < newest:
                    index.unlink()


def lacks_compiled(package: str) -> bool:
    """Tell whether a package has kernels among its imported modules, and numba's cache holds none of them.

    The cache of another version of numba or of a changed source holds none. Kernels that few runs need are compiled
    when they are called, and of one alone nothing is said.
    """
    kernels = list(find_kernels(package))
    return bool(kernels) and not any(is_compiled(kernel) for kernel in kernels)


def find_kernels(package: str) -> Iterator[Any]:
    """Find the kernels that the imported modules of a package define."""
    for name, module in list(sys.modules.items()):
        if name.startswith(f"{package}."):
            kernels = [value for value in vars(module).values() if isinstance(value, Dispatcher)]
            yield from (kernel for kernel in kernels if kernel.py_func.__module__ == name)


def is_compiled(kernel: Any) -> bool:
    """Tell whether the index of a kernel's cache names a compiled form; True where this numba does not tell."""
    load_index = getattr(getattr(kernel._cache, "_cache_file", None), "_load_index", None)
    return load_index is None or bool(load_index())
