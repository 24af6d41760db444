"""``steps.csv`` and ``actions.csv`` read back: every cell is what its column declares, every row is there once."""

from __future__ import annotations

import csv
import io
import re
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sim.results.rows import list_columns
from sim.results.stored_file import name_file, read_stored_text
from workloads.errors import InputError
from workloads.validation import show_value

LIMIT_BYTES = 2**28
LONGEST_WORD = 4096
# What a page's script holds exactly.
LARGEST_COUNT = 2**53
WHOLE_FORM = re.compile(r"0|[1-9][0-9]{0,15}")
# As FLOAT_FORMAT writes them: nine digits, behind up to four zeros of a fraction.
NUMBER_FORM = re.compile(r"[0-9]{1,9}(\.[0-9]{1,13})?(e[+-]?[0-9]{1,3})?")
KEY = ("layer", "step", "machine")


@dataclass(frozen=True, slots=True)
class Cells:
    """What the cells of a column may hold: words (one of `choices` if there are any), a flag, or a number."""

    name: str
    kind: type
    most: float
    may_be_empty: bool
    choices: tuple[str, ...]
    form: str = ""

    def describe(self) -> str:
        """Say what is allowed."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind is bool:
            return "True or False"
        if self.form:
            return f"text of the form {self.form}"
        if self.kind is str:
            return f"text of 1 to {LONGEST_WORD} printable characters"
        words = f"a {'whole ' if self.kind is int else ''}number"
        words += f" from 0 to {self.most:,.0f}" if self.most < float("inf") else " of at least 0"
        return f"{words}, or empty" if self.may_be_empty else words

    def allows(self, cell: str) -> bool:
        """Tell whether a cell's text is allowed."""
        if self.choices:
            return cell in self.choices
        if self.kind is bool:
            return cell in ("True", "False")
        if self.kind is str and self.form:
            return re.fullmatch(self.form, cell) is not None and len(cell) <= LONGEST_WORD
        if self.kind is str:
            return 0 < len(cell) <= LONGEST_WORD and cell.isprintable()
        if not cell:
            return self.may_be_empty
        if self.kind is int:
            return WHOLE_FORM.fullmatch(cell) is not None and int(cell) <= self.most
        return NUMBER_FORM.fullmatch(cell) is not None and float(cell) <= min(self.most, LARGEST_FLOAT)

    def convert(self, cells: Sequence[str]) -> Any:
        """Give allowed cells as a column of a frame."""
        if self.kind is bool:
            return pd.array([cell == "True" for cell in cells], dtype=bool)
        if self.kind is int and not self.may_be_empty:
            return pd.array([int(cell) for cell in cells], dtype="int64").to_numpy()
        if self.kind in (int, float):
            return [float(cell) if cell else float("nan") for cell in cells]
        return list(cells)


LARGEST_FLOAT = 1.7976931348623157e308


def list_cells(record: type) -> tuple[Cells, ...]:
    """Read off a record's declaration what its file's cells may hold."""
    hints = typing.get_type_hints(record)
    found = []
    for item in list_columns(record):
        members = [member for member in typing.get_args(hints[item.name]) if member is not type(None)]
        kind = members[0] if members else hints[item.name]
        most = LARGEST_COUNT if kind is int else 1.0 if item.metadata["unit"] == "fraction" else float("inf")
        words = item.metadata["choices"], item.metadata.get("form", "")
        found.append(Cells(item.name, kind, most, bool(members), *words))
    return tuple(found)


def read_table(path: Path, record: type, further: Sequence[str] = ()) -> tuple[pd.DataFrame, str]:
    """Read a file whose columns a record declares; give its rows, in the declared order of columns, and its text.

    Args:
        further: Columns of counts behind the declared ones.

    Raises:
        InputError: it is no such file, a column is unknown, missing or there twice, a cell holds what its column may
            not, or two rows are of the same layer, step and machine.
    """
    text = read_stored_text(path, LIMIT_BYTES)
    lines: list[int] = []
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            lines.append(reader.line_num)
            rows.append(row)
    except csv.Error as error:
        raise InputError(f"{name_file(path)}: line {reader.line_num}: is not a row of a table ({error})") from None
    header, lines, rows = rows[0], lines[1:], rows[1:]
    known = (*list_cells(record), *(Cells(name, int, LARGEST_COUNT, False, ()) for name in further))
    check_header(path, header, [cells.name for cells in known])
    if not rows:
        raise InputError(f"{name_file(path)}: has no rows")
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(header):
            raise InputError(f"{name_file(path)}: line {line}: has {len(row)} cells, the header {len(header)}")
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    frame = pd.DataFrame({cells.name: read_cells(path, cells, columns[cells.name], lines) for cells in known})
    check_keys(path, frame, lines)
    return frame, text


def check_header(path: Path, header: Sequence[str], names: Sequence[str]) -> None:
    """Refuse other columns than the declared ones."""
    for name in names:
        if header.count(name) != 1:
            words = f"the column '{name}' twice" if name in header else f"no column '{name}'"
            raise InputError(f"{name_file(path)}: has {words}")
    for name in header:
        if name not in names:
            raise InputError(f"{name_file(path)}: has the column {show_value(name)}, which this version does not know")


def read_cells(path: Path, cells: Cells, given: Sequence[str], lines: Sequence[int]) -> Any:
    """Read a column."""
    for place, cell in enumerate(given):
        if not cells.allows(cell):
            raise InputError(
                f"{name_file(path)}: line {lines[place]}: {cells.name} must be {cells.describe()}, "
                f"got {show_value(cell) if cell else 'nothing'}"
            )
    return cells.convert(given)


def check_keys(path: Path, frame: pd.DataFrame, lines: Sequence[int]) -> None:
    """Refuse two rows of one layer, step and machine."""
    seen: dict[tuple[str, ...], int] = {}
    for line, key in zip(lines, frame[list(KEY)].itertuples(index=False, name=None), strict=True):
        if key in seen:
            raise InputError(
                f"{name_file(path)}: line {line}: is of the same layer, step and machine as line {seen[key]}"
            )
        seen[key] = line
