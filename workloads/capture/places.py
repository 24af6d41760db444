"""Where in a user's model a call stands: the path of the module, and the line of the source."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from workloads.errors import InputError

OWN_FOLDER = str(Path(__file__).parent)


@dataclass(frozen=True, slots=True)
class CallPlace:
    """A module by its path in the model (empty: the model itself), and the line that called, outside of torch."""

    module: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        where = f"{Path(self.file).name}, line {self.line}" if self.file else ""
        parts = [f"'{self.module}'" if self.module else "the model itself", f"({where})" if where else ""]
        return " ".join(part for part in parts if part)


@dataclass(eq=False)
class ModulePaths:
    """Which module of a model is running, from hooks at its modules."""

    torch_folder: str
    _running: list[tuple[str, Any]] = field(default_factory=list)
    _handles: list[Any] = field(default_factory=list)

    def watch(self, model: Any) -> None:
        """Put hooks at all modules of a model."""
        for path, module in model.named_modules():
            enter = _make_enter(self._running, path)
            self._handles.append(module.register_forward_pre_hook(enter))
            self._handles.append(module.register_forward_hook(_make_leave(self._running), always_call=True))

    def leave(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._running.clear()

    @contextmanager
    def watching(self, model: Any) -> Iterator[None]:
        """Have hooks at a model's modules for as long as something runs."""
        self.watch(model)
        try:
            yield
        finally:
            self.leave()

    @property
    def module(self) -> tuple[str, Any]:
        """The path of the innermost module that runs, and the module."""
        return self._running[-1] if self._running else ("", None)

    def place(self) -> CallPlace:
        """Give the place of the call that is being made."""
        return CallPlace(self.module[0], *find_user_line(self.torch_folder))


def _make_enter(running: list[tuple[str, Any]], path: str) -> Any:
    def enter(module: Any, _: Any) -> None:
        running.append((path, module))

    return enter


def _make_leave(running: list[tuple[str, Any]]) -> Any:
    def leave(_: Any, __: Any, ___: Any) -> None:
        if running:
            running.pop()

    return leave


def find_user_line(torch_folder: str) -> tuple[str, int]:
    """Find the innermost line of a running model that is neither torch's nor this room's; none: empty, and 0."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(OWN_FOLDER):
        frame = frame.f_back
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(OWN_FOLDER):
            break
        if not file.startswith((torch_folder, "<")):
            return file, frame.f_lineno
        frame = frame.f_back
    return "", 0


@contextmanager
def telling_failure(what: str, torch_folder: str = OWN_FOLDER) -> Iterator[None]:
    """Say of a failure in a user's program where it was.

    Raises:
        InputError: something failed.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        frames = [
            frame for frame in traceback.extract_tb(error.__traceback__)
            if not frame.filename.startswith((torch_folder, OWN_FOLDER, "<"))
        ]  # fmt: skip
        where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
        words = (str(error).splitlines() or [""])[0]
        raise InputError(f"{what} fails{where}: {type(error).__name__}: {words}") from error


def describe_function(maker: Any) -> str:
    """Name a custom autograd function, and the file and line at which it is defined."""
    made = getattr(type(maker), "_forward_cls", type(maker))
    code = getattr(getattr(made, "forward", None), "__code__", None)
    where = f" ({code.co_filename.rpartition('/')[2]}, line {code.co_firstlineno})" if code else ""
    return f"{made.__name__}{where}"
