"""The CSV form of a profile: how a table is read, how its rows are chosen, and how one is written."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workloads.errors import InputError
from workloads.output_files import replace_file
from workloads.user_file import FileForm, read_file
from workloads.words import list_words

FORM = FileForm("a CSV file", limit_bytes=2**22, is_text=True)
FIGURES = ("density", "zeros")
KEYS = ("layer", "tensor")
RATE, EPOCH = "rate", "epoch"
HEADER = (*KEYS, RATE, EPOCH, "density")
Epoch = int | Literal["first", "last", "mean"]


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One measured density.

    Attributes:
        rate: At which gradients were pruned; None where the table does not say.
        epoch: After how many epochs of training, from 1; None where the table does not say.
        line: Of the table; 0 for a row that is yet to be written.
    """

    layer: str
    tensor: str
    rate: float | None
    epoch: int | None
    density: float
    line: int = 0

    def describe(self) -> str:
        """Name the tensor, its rate and its epoch."""
        rate = "" if self.rate is None else f" of rate {self.rate:g}"
        return f"'{self.layer}' {self.tensor}{rate}{'' if self.epoch is None else f' in epoch {self.epoch}'}"


@dataclass(frozen=True)
class ProfileTable:
    """A table as it was read.

    Attributes:
        label: The file, as messages name it.
        column: That of the figures.
        has_rates: Whether it has a column of rates, or of epochs.
        has_epochs: Whether it has a column of rates, or of epochs.
    """

    label: str
    column: str
    has_rates: bool
    has_epochs: bool
    rows: tuple[ProfileRow, ...]

    def choose(self, rate: float, epoch: Epoch | None) -> tuple[tuple[ProfileRow, ...], str]:
        """Give the rows of a rate and of an epoch, or their means, each tensor once; and words for the choice.

        Args:
            rate: Of gradient pruning; without effect on a table that has none.
            epoch: By default the last one.

        Raises:
            InputError: the table does not have them.
        """
        rows, words = self.rows, self.column
        if self.has_rates:
            rates = sorted({row.rate for row in rows if row.rate is not None})
            if rate not in rates:
                there = list_words(f"{one:g}" for one in rates)
                raise InputError(f"{self.label}: has no rows of rate {rate:g}; its rates of pruning are {there}")
            rows, words = tuple(row for row in rows if row.rate == rate), f"{words} at rate {rate:g}"
        if not self.has_epochs:
            if epoch is not None:
                raise InputError(f"{self.label}: has no column 'epoch', so that epoch {epoch} cannot be chosen")
            return rows, words
        epochs = sorted({row.epoch for row in rows if row.epoch is not None})
        if epoch == "mean":
            return self._average(rows, epochs), f"{words}, mean of {len(epochs)} epoch{'s' * (len(epochs) > 1)}"
        chosen = epochs[0] if epoch == "first" else epochs[-1] if epoch in ("last", None) else epoch
        if chosen not in epochs:
            of_rate = f" of rate {rate:g}" if self.has_rates else ""
            raise InputError(
                f"{self.label}: has no rows of epoch {chosen}{of_rate}; its epochs are "
                f"{list_words(str(one) for one in epochs)}, and first, last and mean"
            )
        return tuple(row for row in rows if row.epoch == chosen), f"{words}, epoch {chosen}"

    def _average(self, rows: tuple[ProfileRow, ...], epochs: Sequence[int]) -> tuple[ProfileRow, ...]:
        found: dict[tuple[str, str], list[ProfileRow]] = {}
        for row in rows:
            found.setdefault((row.layer, row.tensor), []).append(row)
        for (layer, tensor), several in found.items():
            missing = set(epochs) - {row.epoch for row in several}
            if missing:
                raise InputError(
                    f"{self.label}: '{layer}' {tensor} has no row of epoch {min(missing)}, so that the mean of all "
                    "epochs cannot be taken"
                )
        return tuple(
            ProfileRow(
                layer, tensor, several[0].rate, None, math.fsum(row.density for row in several) / len(several),
                several[0].line,
            )
            for (layer, tensor), several in found.items()
        )  # fmt: skip


def read_table(path: Path, column: str | None = None) -> ProfileTable:
    """Read a table's figures from one column; `column` is its ending where there are several.

    Raises:
        InputError: the file cannot be read, a column or a figure is missing, or a row stands twice.
    """
    (header_line, header), *body = read_cells(path)
    chosen = _choose_column(path, header_line, header, column)
    rows: dict[tuple[str, str, float | None, int | None], ProfileRow] = {}
    for line, cells in body:
        if len(cells) != len(header):
            raise InputError(f"{path}, line {line}: has {len(cells)} cells, the header {len(header)}")
        row = _read_row(path, line, dict(zip(header, cells, strict=True)), chosen)
        key = (row.layer, row.tensor, row.rate, row.epoch)
        if key in rows:
            raise InputError(f"{path}, line {line}: {row.describe()} stands in line {rows[key].line} already")
        rows[key] = row
    table = ProfileTable(str(path), chosen, RATE in header, EPOCH in header, tuple(rows.values()))
    if not rows and (table.has_rates or table.has_epochs):
        raise InputError(f"{path}: has no rows, and so neither rates nor epochs")
    return table


def list_endings(path: Path) -> tuple[str, ...]:
    """Give the endings of a table's figures, such as last for `zeros_last`.

    Raises:
        InputError: the file cannot be read.
    """
    _, header = read_cells(path)[0]
    found = {name.partition("_")[2] for name in header if name.partition("_")[0] in FIGURES}
    return tuple(sorted(found - {""}))


def read_cells(path: Path) -> list[tuple[int, list[str]]]:
    """Read the cells of the header and of all rows, with their lines.

    Raises:
        InputError: the file cannot be read as a table, or is empty.
    """
    try:
        text = read_file(path, FORM).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: cannot be read as a CSV file of UTF-8 text") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1)]
    kept = [(number, line) for number, line in lines if line.strip() and not line.startswith("#")]
    if not kept:
        raise InputError(f"{path}: is empty; a line with the columns layer, tensor and density or zeros is needed")
    try:
        return [(number, [cell.strip() for cell in next(csv.reader([line], strict=True))]) for number, line in kept]
    except csv.Error as error:
        raise InputError(f"{path}: is no CSV file: {error}") from None


def write_profile(path: Path, rows: Iterable[ProfileRow], comment: str) -> None:
    """Write a table of measured densities, with the columns layer, tensor, rate, epoch and density.

    Args:
        comment: Lines that say where the figures are from; each becomes a comment.

    Raises:
        InputError: the file cannot be written.
        ValueError: a row has no rate or no epoch, a density is no share, or a row stands twice.
    """
    text = io.StringIO()
    text.writelines(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    table = csv.writer(text, lineterminator="\n")
    table.writerow(HEADER)
    seen: set[tuple[str, str, float | None, int | None]] = set()
    for row in rows:
        key = (row.layer, row.tensor, row.rate, row.epoch)
        if row.rate is None or row.epoch is None or not 0 <= row.density <= 1:
            raise ValueError(f"{row.describe()} needs a rate, an epoch, and a density from 0 to 1, got {row.density}")
        if key in seen:
            raise ValueError(f"{row.describe()} stands twice")
        seen.add(key)
        table.writerow(
            (row.layer, row.tensor, repr(float(row.rate)).removesuffix(".0"), row.epoch, f"{row.density:.4g}")
        )
    replace_file(path, lambda place: _write_text(place, text.getvalue()))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _choose_column(path: Path, line: int, header: Sequence[str], column: str | None) -> str:
    place = f"{path}, line {line}"
    for key in KEYS:
        if key not in header:
            raise InputError(f"{place}: the column '{key}' is missing; the columns are {list_words(header)}")
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        raise InputError(f"{place}: the column '{twice[0]}' stands twice")
    figures = [name for name in header if name.partition("_")[0] in FIGURES]
    endings = sorted({ending for name in figures if (ending := name.partition("_")[2])})
    chosen = figures if column is None else [name for name in figures if name.partition("_")[2] == column]
    if len(chosen) == 1:
        return chosen[0]
    if not figures:
        raise InputError(f"{place}: a column 'density' or 'zeros' is missing; the columns are {list_words(header)}")
    asked = "none is chosen" if column is None else f"column '{column}' fits {' and '.join(chosen) or 'none'}"
    raise InputError(
        f"{place}: {asked} of the figures {list_words(figures)}; "
        f"`column` must be one of {list_words(endings) or 'none'}"
    )


def _read_row(path: Path, line: int, cells: dict[str, str], column: str) -> ProfileRow:
    share = _read_share(path, line, column, cells[column])
    density = 1 - share if column.startswith("zeros") else share
    return ProfileRow(
        cells["layer"], cells["tensor"], _read_rate(path, line, cells.get(RATE)),
        _read_epoch(path, line, cells.get(EPOCH)), density, line,
    )  # fmt: skip


def _read_share(path: Path, line: int, column: str, cell: str) -> float:
    share = _read_number(cell)
    if not 0 <= share <= 1:
        raise InputError(f"{path}, line {line}: {column} must be a number from 0 to 1, got '{cell}'")
    return share


def _read_rate(path: Path, line: int, cell: str | None) -> float | None:
    if cell is None:
        return None
    rate = _read_number(cell)
    if not 0 <= rate < 1:
        raise InputError(f"{path}, line {line}: rate must be a number of at least 0 and below 1, got '{cell}'")
    return rate


def _read_epoch(path: Path, line: int, cell: str | None) -> int | None:
    if cell is None:
        return None
    if not (cell.isascii() and cell.isdigit() and len(cell) <= len(str(2**31))):
        raise InputError(f"{path}, line {line}: epoch must be a whole number of at least 0, got '{cell}'")
    return int(cell)


def _read_number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
