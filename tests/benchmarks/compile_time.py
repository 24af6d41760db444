"""How long numba compiles each kernel, told by its own events."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import Any

from numba.core import event

COMPILED = "numba:compile"


class CompileTimes(event.Listener):  # type: ignore[misc]
    """Sums the time of compilations by module; one kernel's time leaves out those that it calls."""

    def __init__(self) -> None:
        self._open: defaultdict[int, list[list[float]]] = defaultdict(list)
        self._modules: dict[str, float] = {}

    def __enter__(self) -> CompileTimes:
        event.register(COMPILED, self)
        return self

    def __exit__(self, *_: object) -> None:
        event.unregister(COMPILED, self)

    def on_start(self, event: Any) -> None:  # noqa: ARG002
        """Note when a compilation starts; they nest."""
        self._open[threading.get_ident()].append([time.thread_time(), 0.0])

    def on_end(self, event: Any) -> None:
        """Add a compilation's own time to its module."""
        outer = self._open[threading.get_ident()]
        started, inner = outer.pop()
        spent = time.thread_time() - started
        module = event.data["dispatcher"].py_func.__module__
        self._modules[module] = self._modules.get(module, 0.0) + spent - inner
        if outer:
            outer[-1][1] += spent

    def modules(self) -> dict[str, float]:
        """Give the processor time of each module in seconds, the longest first."""
        return dict(sorted(self._modules.items(), key=lambda item: -item[1]))
