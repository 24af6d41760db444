"""The console on which tables are printed: its colours are its own, and no word from a file can steer it."""

from __future__ import annotations

from typing import Any

import rich.console
from rich.segment import Segment

from reports.terminal import escape_lines


class Console(rich.console.Console):
    """A console that writes control characters of what it is given as escapes; its own are its colours alone."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does, markup in text only where `markup` is asked for."""
        options.setdefault("markup", False)
        super().print(
            *(_Printable(one) if not isinstance(one, str) else escape_lines(one) for one in objects), **options
        )


class _Printable:
    """A table or another thing that rich renders, its text made printable."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __rich_console__(
        self, console: rich.console.Console, options: rich.console.ConsoleOptions
    ) -> rich.console.RenderResult:
        """Render the inner thing, and escape in each piece of text what cannot be printed."""
        for segment in console.render(self._inner, options):
            yield segment if segment.control else Segment(escape_lines(segment.text), segment.style)
