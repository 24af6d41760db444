"""Tables that fit a width: columns of less weight are left out, names are shortened, and no number is ever cut."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from reports.console import Console

# Where stdout is no terminal and COLUMNS is not set.
PIPE_WIDTH = 160
UNLIMITED_WIDTH = 10_000
LEAST_NAME, COMFORTABLE_NAME, LEAST_WORDS = 13, 28, 10
IS_NUMBER = re.compile(r"[(+-]?\d")
ELLIPSIS = "…"
GAP = 2


class Kind(Enum):
    """What a column holds: numbers stay whole, names are shortened in the middle, sentences are wrapped."""

    NUMBER = "number"
    WORD = "word"
    NAME = "name"
    SENTENCE = "sentence"


@dataclass(frozen=True)
class Column:
    """A column; of higher rank, the sooner it is left out. Rank 0 stays, and so does everything on a wide terminal.

    Attributes:
        header: Its lines; a long line is folded where it is wider than what stands below.
        words: Its name in a sentence.
    """

    header: str
    kind: Kind = Kind.NUMBER
    rank: int = 0
    words: str = ""

    @property
    def name(self) -> str:
        """Its name in a sentence."""
        return self.words or self.header.replace("\n", " ")


@dataclass
class Grid:
    """The cells of a table; `begins` holds the rows before which a line is left free, `bold` those of totals."""

    columns: Sequence[Column]
    title: str = ""
    rows: list[list[str]] = field(default_factory=list)
    begins: set[int] = field(default_factory=set)
    bold: set[int] = field(default_factory=set)

    def add(self, cells: Sequence[str], *, begins: bool = False, bold: bool = False) -> None:
        """Add a row."""
        assert len(cells) == len(self.columns)
        if begins:
            self.begins.add(len(self.rows))
        if bold:
            self.bold.add(len(self.rows))
        self.rows.append(list(cells))

    def natural_width(self, place: int) -> int:
        """Give the width of a column's widest cell, and of its header where that cannot be folded."""
        cells = max((cell_len(row[place]) for row in self.rows), default=0)
        return max(cells, min(self.header_width(place), LEAST_NAME), 1)

    def header_width(self, place: int) -> int:
        """Give the width of the longest line of a column's header."""
        return max((cell_len(line) for line in self.columns[place].header.split("\n")), default=0)

    def least_width(self, place: int, name: int) -> int:
        """Give the width below which a column cannot go.

        Args:
            name: That of names.
        """
        natural, kind = self.natural_width(place), self.columns[place].kind
        if kind is Kind.NAME:
            return min(natural, name)
        if kind is Kind.SENTENCE:
            numbers = (cell_len(word) for row in self.rows for word in row[place].split() if IS_NUMBER.match(word))
            return min(natural, max(LEAST_WORDS, *numbers, 0))
        return natural


def screen_width(*, wide: bool = False) -> int:
    """Give the width to print for: the terminal's; without one COLUMNS, else 160.

    Args:
        wide: Without a limit.
    """
    if wide:
        return UNLIMITED_WIDTH
    if sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isascii() and given.isdigit() and int(given) > 0 else PIPE_WIDTH


def make_console() -> Console:
    """Make a console that cuts and wraps nothing: what is printed was made to fit before."""
    from reports.console import Console

    return Console(width=UNLIMITED_WIDTH, highlight=False)


class Verbatim(str):
    """A line that is printed as it stands, to be copied."""

    __slots__ = ()


def print_words(console: Console, words: str, width: int) -> None:
    """Print a sentence: wrapped on a terminal, in one line elsewhere, where it may be searched for."""
    wraps = sys.stdout.isatty() and not isinstance(words, Verbatim)
    lines = textwrap.wrap(words, width, break_on_hyphens=False) if wraps else [words]
    for line in lines or [""]:
        console.print(line, markup=False, soft_wrap=True)


def tell_left_out(console: Console, names: Sequence[str], width: int) -> None:
    """Say which columns a narrow terminal has no room for, each once; nothing where it has room for all."""
    if names:
        print_words(console, f"Left out for lack of room, shown with --wide: {', '.join(dict.fromkeys(names))}.", width)


def print_grid(console: Console, grid: Grid, width: int) -> list[str]:
    """Print a table that fits a width; give the names of the columns that were left out.

    What cannot be left out may be wider than the width: numbers are not cut.
    """
    chosen = choose_places(grid, width)
    print_places(console, grid, chosen, width)
    return [column.name for place, column in enumerate(grid.columns) if place not in chosen]


def print_blocks(console: Console, grid: Grid, keys: int, width: int) -> None:
    """Print a table of which nothing is left out: what does not fit follows below, behind the first `keys` columns."""
    first = list(range(keys))
    block = list(first)
    title = grid.title
    for place in range(keys, len(grid.columns)):
        if len(block) > keys and measure(grid, [*block, place], LEAST_NAME) > width:
            print_places(console, grid, block, width, title)
            block, title = list(first), ""
        block.append(place)
    print_places(console, grid, block, width, title)


def print_places(console: Console, grid: Grid, places: Sequence[int], width: int, title: str | None = None) -> None:
    """Print some columns of a grid."""
    words = grid.title if title is None else title
    if words:
        for line in textwrap.wrap(words, width):
            console.print(Text(line, style="italic"), soft_wrap=True)
        console.print()
    for cells in console.render_lines(make_table(grid, places, width), pad=False):
        while cells and not cells[-1].text.strip():
            cells.pop()
        if cells:
            cells[-1] = Segment(cells[-1].text.rstrip(), cells[-1].style)
        console.print(Segments([*cells, Segment.line()]), end="")


def choose_places(grid: Grid, width: int) -> list[int]:
    """Choose the columns that fit: rank by rank, until one does not.

    Names may become short for the first ranks, and have to stay readable for what is beyond.
    """
    ranks = sorted({column.rank for column in grid.columns})
    chosen: list[int] = []
    for rank in ranks:
        more = [place for place, column in enumerate(grid.columns) if column.rank <= rank]
        if rank and measure(grid, more, LEAST_NAME if rank < 10 else COMFORTABLE_NAME) > width:
            break
        chosen = more
    return chosen


def measure(grid: Grid, places: Sequence[int], name: int) -> int:
    """Give the width that columns need at least.

    Args:
        name: That of names.
    """
    return sum(grid.least_width(place, name) for place in places) + GAP * (len(places) - 1)


def make_table(grid: Grid, places: Sequence[int], width: int) -> Table:
    """Make a table of some columns; what room is left goes to names, then to sentences, then to headers."""
    widths = {place: grid.least_width(place, LEAST_NAME) for place in places}
    spare = width - sum(widths.values()) - GAP * (len(places) - 1)
    for wished in (grid.natural_width, grid.header_width):
        while spare > 0 and (growing := [place for place in places if widths[place] < wished(place)]):
            widths[min(growing, key=lambda place: (grid.columns[place].kind is Kind.SENTENCE, widths[place]))] += 1
            spare -= 1
    # One blank of padding and one of the box are the gap; without its edges a line is as wide as it was measured.
    table = Table(header_style="bold", pad_edge=False, show_edge=False, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    headers = align_headers([fold_header(grid.columns[place].header, widths[place]) for place in places])
    for place, words in zip(places, headers, strict=True):
        kind = grid.columns[place].kind
        is_wrapped = kind is Kind.SENTENCE
        table.add_column(
            Text(words), justify="right" if kind is Kind.NUMBER else "left", no_wrap=not is_wrapped,
            width=widths[place], overflow="fold",
        )  # fmt: skip
    shown = {
        place: shorten_names([row[place] for row in grid.rows], widths[place])
        for place in places
        if grid.columns[place].kind is Kind.NAME
    }
    for number, row in enumerate(grid.rows):
        if number in grid.begins:
            table.add_section()
        cells = [Text(shown[place][number] if place in shown else row[place]) for place in places]
        for position, place in enumerate(places):
            if grid.columns[place].kind is Kind.SENTENCE:
                cells[position] = Text(fold_words(row[place], widths[place]))
        for cell in cells:
            if cell.plain == "FAILED":
                cell.stylize("red")
        table.add_row(*cells, style="bold" if number in grid.bold else None)
    return table


def shorten_names(names: Sequence[str], width: int) -> list[str]:
    """Shorten names in the middle, all alike, where it can be so that different ones stay different."""
    if all(cell_len(name) <= width for name in names):
        return list(names)
    room = max(0, width - 1)
    for tail in sorted(range(room + 1), key=lambda tail: abs(tail - room // 2)):
        shown = [shorten_name(name, width, tail) for name in names]
        if len(set(shown)) == len(set(names)):
            return shown
    return [shorten_name(name, width, room // 2) for name in names]


def shorten_name(name: str, width: int, tail: int) -> str:
    """Leave out the middle of a name that is too long."""
    if cell_len(name) <= width:
        return name
    return name[: max(0, width - 1 - tail)] + ELLIPSIS + (name[-tail:] if tail else "")


def fold_words(sentence: str, width: int) -> str:
    """Fold those words of a sentence that are longer than a line."""
    return " ".join(word if cell_len(word) <= width else fold_header(word, width) for word in sentence.split(" "))


def fold_header(header: str, width: int) -> str:
    """Fold the lines of a header; names are cut behind a dot, dash, bracket or underscore where there is one."""
    lines = (piece for line in header.split("\n") for piece in fold_line(line, width))
    return "\n".join(lines)


def fold_line(line: str, width: int) -> Iterator[str]:
    """Cut a line into pieces of a width."""
    piece = ""
    for part in re.findall(r"[^\s._\-\[\],:/]*[\s._\-\[\],:/]?", line):
        if cell_len(piece + part.rstrip()) > width and piece:
            yield piece.rstrip()
            piece = ""
        piece += part
        while cell_len(piece.rstrip()) > width:
            yield piece[:width]
            piece = piece[width:]
    if piece.strip() or not line:
        yield piece.rstrip()


def align_headers(headers: Sequence[str]) -> list[str]:
    """Give all headers as many lines, the last of them at the bottom."""
    height = max(header.count("\n") for header in headers)
    return ["\n" * (height - header.count("\n")) + header for header in headers]
