"""SRAM figures by interpolation in a grid of capacity, port width, node and cell type."""

from __future__ import annotations

import csv
import io
import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

from workloads.errors import InputError
from workloads.user_file import FileForm, read_file

KIBIBYTE = 1024
FORM = FileForm("a grid of SRAM figures (CSV)", limit_bytes=2**22, is_text=True)


@dataclass(frozen=True, slots=True)
class SramPoint:
    """The figures of one array: energy of an access of the full width, leakage and area of the whole, times."""

    read_pj: float
    write_pj: float
    leakage_mw: float
    area_mm2: float
    access_ns: float
    cycle_ns: float


@dataclass(frozen=True, slots=True)
class SramFigures(SramPoint):
    """The figures of one array at a technology's node, with their source and the choices that were made."""

    capacity_bytes: float
    width_bits: int
    cell: str
    source: str
    notes: tuple[str, ...]


FIGURE_NAMES = tuple(field.name for field in fields(SramPoint))


@dataclass(frozen=True)
class SramGrid:
    """Arrays by (node in nm, cell), then by (capacity in KiB, width in bits); every combination of the two is there."""

    path: Path
    tables: Mapping[tuple[int, str], Mapping[tuple[float, int], SramPoint]]

    def interpolate(
        self, node_nm: int, cell: str, capacity_bytes: float, width_bits: int
    ) -> tuple[SramPoint, tuple[str, ...]]:
        """Return the figures at a capacity and width, exact on the grid's points, and notes on what was replaced.

        Between points the logarithm of a figure is bilinear in the logarithms of capacity and width. Below the grid
        the smallest array or the narrowest port stands: its figures are too high rather than too low.

        Raises:
            InputError: the grid lacks the node or cell, or the capacity or width is above the grid.
        """
        table = self._table(node_nm, cell)
        capacities, widths = self._axes[node_nm, cell]
        capacity_kib = capacity_bytes / KIBIBYTE
        self._refuse_above(capacity_bytes, capacities[-1] * KIBIBYTE, "bytes")
        self._refuse_above(width_bits, widths[-1], "bits of width")
        notes = []
        if capacity_kib < capacities[0]:
            notes.append(f"{capacity_bytes:.10g} bytes are below the grid: the figures of {capacities[0]:g} KiB stand")
        if width_bits < widths[0]:
            notes.append(f"{width_bits} bits are below the grid: the figures of {widths[0]} bits stand")
        low, high, across = bracket(capacities, capacity_kib)
        narrow, wide, along = bracket([float(width) for width in widths], float(width_bits))
        corners = (
            (table[low, int(narrow)], (1 - across) * (1 - along)),
            (table[high, int(narrow)], across * (1 - along)),
            (table[low, int(wide)], (1 - across) * along),
            (table[high, int(wide)], across * along),
        )
        figures = {
            name: math.prod(getattr(point, name) ** weight for point, weight in corners) for name in FIGURE_NAMES
        }
        return SramPoint(**figures), tuple(notes)

    def smallest_bytes(self, node_nm: int, cell: str) -> tuple[float, float]:
        """Return the two smallest capacities in bytes, the same one twice where there is no other.

        Raises:
            InputError: the grid lacks the node or cell.
        """
        self._table(node_nm, cell)
        capacities, _ = self._axes[node_nm, cell]
        return KIBIBYTE * capacities[0], KIBIBYTE * capacities[min(1, len(capacities) - 1)]

    @cached_property
    def _axes(self) -> dict[tuple[int, str], tuple[list[float], list[int]]]:
        """Ascending capacities in KiB and widths in bits of each table."""
        return {
            key: (sorted({capacity for capacity, _ in table}), sorted({width for _, width in table}))
            for key, table in self.tables.items()
        }

    def _table(self, node_nm: int, cell: str) -> Mapping[tuple[float, int], SramPoint]:
        if (node_nm, cell) not in self.tables:
            known = ", ".join(f"{node} nm {name}" for node, name in self.tables)
            raise InputError(f"{self.path}: there is no SRAM of {node_nm} nm with '{cell}' cells; there are {known}")
        return self.tables[node_nm, cell]

    def _refuse_above(self, given: float, limit: float, unit: str) -> None:
        if given > limit:
            raise InputError(
                f"{self.path}: an SRAM bank of {given:.10g} {unit} is above the grid, which ends at {limit:.10g}; "
                "use more or narrower banks"
            )


def bracket(points: list[float], value: float) -> tuple[float, float, float]:
    """Return the points around a value, clamped to the ends, and its share of the way between them in logarithms."""
    clamped = min(max(value, points[0]), points[-1])
    upper = bisect_right(points, clamped)
    low, high = points[upper - 1], points[min(upper, len(points) - 1)]
    share = 0.0 if clamped == low else math.log(clamped / low) / math.log(high / low)
    return low, high, share


def load_sram_grid(path: Path) -> SramGrid:
    """Read a grid of CACTI results.

    Raises:
        InputError: the file cannot be read, a column is missing, a figure is not a positive number, or the grid
            has a hole or a point twice.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_file(path, FORM).decode("utf-8"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: the SRAM grid cannot be read: {error}") from None
    tables: dict[tuple[int, str], dict[tuple[float, int], SramPoint]] = {}
    for number, row in enumerate(rows, start=2):
        key, place, point = _parse_row(path, number, row)
        table = tables.setdefault(key, {})
        if place in table:
            raise InputError(f"{path}, line {number}: {place[0]:g} KiB at {place[1]} bits is given twice")
        table[place] = point
    if not tables:
        raise InputError(f"{path}: the SRAM grid is empty")
    for key, table in tables.items():
        _refuse_holes(path, key, table)
    return SramGrid(path=path, tables=tables)


def _parse_row(path: Path, number: int, row: Mapping[str, str]) -> tuple[tuple[int, str], tuple[float, int], SramPoint]:
    try:
        figures = {name: float(row[name]) for name in FIGURE_NAMES}
        place = float(row["capacity_kib"]), int(row["width_bits"])
        key = int(row["node_nm"]), row["cell"]
    except KeyError as error:
        raise InputError(f"{path}: the SRAM grid has no column {error}") from None
    except (TypeError, ValueError):
        raise InputError(f"{path}, line {number}: every field but the cell must be a number") from None
    if not all(math.isfinite(value) and value > 0 for value in (*figures.values(), *place)):
        raise InputError(f"{path}, line {number}: every number must be positive and finite")
    return key, place, SramPoint(**figures)


def _refuse_holes(path: Path, key: tuple[int, str], table: Mapping[tuple[float, int], SramPoint]) -> None:
    for capacity in {place[0] for place in table}:
        for width in {place[1] for place in table}:
            if (capacity, width) not in table:
                raise InputError(f"{path}: {key[0]} nm {key[1]} lacks {capacity:g} KiB at {width} bits")


def warn_of_slow_sram(figures: SramFigures, clock_mhz: float, name: str) -> str | None:
    """Return a warning where an array, called `name`, cannot be accessed in every cycle of the clock, else nothing."""
    period_ns = 1000 / clock_mhz
    if figures.cycle_ns <= period_ns:
        return None
    array = f"{figures.capacity_bytes / KIBIBYTE:.4g} KiB, {figures.width_bits} bits, {figures.cell} cells"
    return (
        f"a clock of {clock_mhz:g} MHz gives {period_ns:.4g} ns a cycle, but {name} ({array}) cycles in "
        f"{figures.cycle_ns:.4g} ns, which allows {1000 / figures.cycle_ns:.4g} MHz; the cycles count as if it kept up"
    )
