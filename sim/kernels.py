"""Whether kernels lie compiled in numba's cache on disk, or have yet to be compiled."""

from __future__ import annotations

from collections.abc import Iterable

from dataflows.registry import load_dataflow
from sim.machine.accelerator import Engine
from workloads.kernel import KERNELS

COMPILING = "compiling kernels, once; later runs on this machine start at once"


def must_compile(dataflows: Iterable[str], engine: Engine) -> bool:
    """Tell whether a run of these dataflows on this engine comes before the first one on this machine.

    Raises:
        InputError: there is no such dataflow.
    """
    for name in dataflows:
        load_dataflow(name)
    packages = ["dataflows"] + ["sim.machine"] * (engine is Engine.COMPILED)
    return any(lacks_compiled(package) for package in packages)


def lacks_compiled(package: str) -> bool:
    """Tell whether a package has kernels, and numba's cache holds none of them as they are now.

    Kernels that few runs need are compiled when they are called, and of one alone nothing is said.
    """
    kernels = [kernel for kernel in list(KERNELS.values()) if kernel.function.__module__.startswith(f"{package}.")]
    return bool(kernels) and not any(kernel.is_compiled for kernel in kernels)
