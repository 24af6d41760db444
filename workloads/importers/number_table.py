"""Tables of comma-separated values in which a row names something and gives its numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from workloads.errors import InputError

LARGEST = 2**24
_OTHER = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True)
class Row:
    """A row's cells, those at the end without content left out, and the words for its place."""

    place: str
    line: int
    cells: tuple[str, ...]


def read_rows(text: str, label: str) -> Iterator[Row]:
    """Cut text into rows, at tabs where there is no comma; a last cell that begins with # is a remark."""
    separator = find_separator(text)
    for line, content in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in content.split(separator)]
        if cells[-1].startswith("#"):
            cells.pop()
        while cells and not cells[-1]:
            cells.pop()
        yield Row(f"{label}, line {line}", line, tuple(cells))


def find_separator(text: str) -> str:
    """Tell what stands between cells: commas, or tabs where there are none."""
    return "\t" if "," not in text and "\t" in text else ","


def simplify(title: str) -> str:
    """Leave the small letters and digits of a title."""
    return _OTHER.sub("", title.lower())


@dataclass(frozen=True)
class NumberRow:
    """A row, its cells by the titles of their columns."""

    row: Row
    titles: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.row.cells) > len(self.titles):
            raise InputError(
                f"{self.place}: holds {len(self.row.cells)} cells, the titles are {len(self.titles)}: "
                f"{', '.join(self.titles)}"
            )

    @property
    def place(self) -> str:
        """The words for where the row stands."""
        return self.row.place

    def has(self, title: str) -> bool:
        """Tell whether there is such a column, and something stands in it."""
        return title in self.titles and self.titles.index(title) < len(self.row.cells) and bool(self._cell(title))

    def text(self, title: str) -> str:
        """Give a cell.

        Raises:
            InputError: nothing stands there.
        """
        if not self.has(title):
            raise InputError(f"{self.place}: '{title}' is missing")
        return self._cell(title)

    def number(self, title: str) -> int:
        """Give a cell's whole number.

        Raises:
            InputError: it is none from 1 to 16777216.
        """
        text = self.text(title)
        if text.isascii() and text.isalpha():
            raise InputError(
                f"{self.place}: '{title}' is '{text}', as in a template; a whole number from 1 to {LARGEST} is needed"
            )
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST)) else 0
        if not 1 <= number <= LARGEST:
            raise InputError(f"{self.place}: '{title}' is '{text}'; a whole number from 1 to {LARGEST} is expected")
        return number

    def _cell(self, title: str) -> str:
        return self.row.cells[self.titles.index(title)]
