"""Stores as tables: `load_sweep` reads one or several into a DataFrame, a row for each point."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sim.sweep.expression import parse_expression
from sim.sweep.job import Status
from sim.sweep.metrics import METRICS
from sim.sweep.store import Column, Store, SweepRow, join_forms, quote
from sim.sweep.store_checks import FIXED_COLUMNS
from workloads.errors import InputError
from workloads.validation import did_you_mean

LEADING = ("workload", "architecture")
LISTED_NAMES = 20
ENDING = ("status", "reason", "key", "model_version", "workload_digest")


def load_sweep(path: str | Path | Sequence[str | Path]) -> pd.DataFrame:
    """Read the points of one store or of several, each point once.

    Columns, in this order: `workload`, `architecture`; what the sweeps vary, by dotted path; `status` (done,
    infeasible, failed) and `reason`; the metrics, whose names end in their unit; the other settings, by dotted path;
    `key`, `model_version`, `workload_digest`. Rows are sorted by workload and by what the sweeps vary. Settings that a
    point does not have, and metrics of points that are not done, are missing. `attrs["paths"]` and
    `attrs["objectives"]` name what the sweeps vary and what they minimize.

    Raises:
        InputError: there is no such store, or it cannot be read.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    if not paths:
        raise InputError("no store is given")
    with ExitStack() as stack:
        stores = [stack.enter_context(Store.open(Path(one))) for one in paths]
        sweeps = [sweep for store in stores for sweep in store.sweeps()]
        tables = [read_points(store) for store in stores]
    frame = make_frame(tables[0] if len(tables) == 1 else combine_tables(tables))
    swept = list(dict.fromkeys(name for sweep in sweeps for name in sweep.paths if name in frame))
    frame = order_columns(frame, swept)
    frame = sort_rows(frame, swept)
    frame.attrs = {"paths": swept, "objectives": list_objectives(sweeps)}
    return frame


def list_objectives(sweeps: Sequence[SweepRow]) -> list[str]:
    """Name the objectives of sweeps, each once."""
    return list(dict.fromkeys(name for sweep in sweeps for name in sweep.objectives))


Table = dict[str, tuple[str, Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class Repeated(Sequence[Any]):
    """One value, so many times: most settings are the same for all points."""

    value: Any
    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, place: Any) -> Any:
        if not 0 <= place < self.length:
            raise IndexError(place)
        return self.value


def read_points(store: Store) -> Table:
    """Read all points of a store: for each column its form and its values."""
    columns = [*(Column(name, "fixed", "text", "", "") for name in FIXED_COLUMNS), *store.columns()]
    alike = find_alike(store, [column.name for column in columns if column.kind != "metric"])
    varied = [column.name for column in columns if column.name not in alike]
    rows = store.read(f"SELECT {', '.join(map(quote, varied))} FROM points")
    found = dict(zip(varied, zip(*rows, strict=True) if rows else ((),) * len(varied), strict=True))
    return {
        column.name: (column.form, found.get(column.name) or Repeated(alike.get(column.name), len(rows)))
        for column in columns
    }


def find_alike(store: Store, names: Sequence[str]) -> dict[str, Any]:
    """Find the columns in which all points are alike, by one pass that makes no objects of Python."""
    quoted = [quote(name) for name in names]
    first = store.read(f"SELECT {', '.join(quoted)} FROM points LIMIT 1")
    if not first:
        return {}
    differences = ", ".join(f"SUM({name} IS NOT ?{place})" for place, name in enumerate(quoted, 1))
    (counts,) = store.read(f"SELECT {differences} FROM points", first[0])
    return {
        name: value for name, value, count in zip(names, first[0], counts, strict=True) if not count and name != "key"
    }


def combine_tables(tables: Sequence[Table]) -> Table:
    """Put the points of several stores under each other, each point once, a finished one before a failed one."""
    chosen: dict[str, tuple[int, int]] = {}
    for number, table in enumerate(tables):
        for row, (key, status) in enumerate(zip(table["key"][1], table["status"][1], strict=True)):
            if key not in chosen or (status != Status.FAILED and find_status(tables, chosen[key]) == Status.FAILED):
                chosen[key] = (number, row)
    forms: dict[str, str] = {}
    for table in tables:
        for name, (form, _) in table.items():
            forms[name] = join_forms(forms.get(name, form), form)
    places = list(chosen.values())
    return {
        name: (form, [tables[number][name][1][row] if name in tables[number] else None for number, row in places])
        for name, form in forms.items()
    }


def find_status(tables: Sequence[Table], place: tuple[int, int]) -> str:
    """Give the status of the point at a row of a table."""
    number, row = place
    return str(tables[number]["status"][1][row])


def make_frame(table: Table) -> pd.DataFrame:
    """Give each column in its own form."""
    return pd.DataFrame({name: make_column(form, values) for name, (form, values) in table.items()})


def make_column(form: str, values: Sequence[Any]) -> Any:
    """Give the values of a column as an array; whole numbers stay whole where some are missing."""
    if isinstance(values, Repeated):
        return make_column(form, [values.value]).repeat(len(values))
    if form == "text":
        return pd.array(values, dtype=object)
    if form == "number":
        return np.array(values, dtype=np.float64)
    if None not in values:
        return np.array(values, dtype=np.bool_ if form == "flag" else np.int64)
    return pd.array(list(values), dtype="boolean" if form == "flag" else "Int64")


def order_columns(frame: pd.DataFrame, swept: Sequence[str]) -> pd.DataFrame:
    """Put what varies first, then how the points ended, the metrics, and the other settings."""
    metrics = [metric.name for metric in METRICS if metric.name in frame]
    first = [*LEADING, *swept, "status", "reason", *metrics]
    last = [name for name in ENDING if name not in first]
    others = sorted(name for name in frame.columns if name not in first and name not in last)
    return frame[[*first, *others, *last]]


def sort_rows(frame: pd.DataFrame, swept: Sequence[str]) -> pd.DataFrame:
    """Sort by workload and by what the sweeps vary, then by key, so that the order of arrival does not matter."""
    names = list(dict.fromkeys([*LEADING, *swept, "key"]))
    return frame.sort_values(names, kind="stable", ignore_index=True, key=rank_values)


def sort_points(frame: pd.DataFrame, name: str, label: str = "--sort") -> pd.DataFrame:
    """Sort by a column, least first, what is missing last.

    Raises:
        InputError: there is no such column.
    """
    choose_columns(frame, [name], label)
    return frame.sort_values(name, kind="stable", ignore_index=True, key=rank_values)


def rank_values(column: pd.Series[Any]) -> pd.Series[Any]:
    """Give what to sort a column by; numbers come before text where a column holds both."""
    if column.dtype != object:
        return column
    found = {value for value in column if value is not None}
    order = sorted(found, key=lambda value: (isinstance(value, str), value))
    return column.map({value: place for place, value in enumerate(order)})


def filter_points(frame: pd.DataFrame, condition: str, label: str = "--where") -> pd.DataFrame:
    """Keep the rows for which a condition holds, such as ``cycles < 1e6 and array.groups >= 28``.

    A row without a value that the condition names is left out.

    Raises:
        InputError: the condition is none, or names no column.
    """
    expression = parse_expression(condition, label)
    expression.require_names([str(name) for name in frame.columns])
    named = frame[list(expression.names)]
    is_whole = ~named.isna().any(axis=1).to_numpy()
    columns = {name: named[name].to_numpy(dtype=object) for name in expression.names}
    kept = [
        bool(is_whole[row]) and expression.holds({name: simplify(values[row]) for name, values in columns.items()})
        for row in range(len(frame))
    ]
    return frame[np.array(kept, dtype=np.bool_)].reset_index(drop=True)


def simplify(value: Any) -> Any:
    """Give a numpy scalar as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def choose_columns(frame: pd.DataFrame, names: Sequence[str], label: str = "--columns") -> pd.DataFrame:
    """Keep columns by name, in the order given.

    Raises:
        InputError: there is no such column, it is named twice, or none is named.
    """
    known = [str(name) for name in frame.columns]
    if not names:
        raise InputError(f"{label}: no column is named; the columns are {list_some(known)}")
    for name in names:
        if name not in known:
            raise InputError(
                f"{label}: there is no column '{name}'{did_you_mean(name, known)}; the columns are {list_some(known)}"
            )
        if names.count(name) > 1:
            raise InputError(f"{label}: the column '{name}' is named {names.count(name)} times; once is enough")
    return frame[list(names)]


def choose_objectives(frame: pd.DataFrame, names: Sequence[str], label: str = "--pareto") -> Sequence[str]:
    """Give back the columns of a front, all of them numbers.

    Raises:
        InputError: as `choose_columns`, or a column holds no numbers.
    """
    choose_columns(frame, names, label)
    for name in names:
        column = frame[name]
        if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            raise InputError(f"{label}: the column '{name}' holds no numbers; a front is of numbers, such as cycles")
        if (frame["status"] == Status.DONE).any() and column.isna().all():
            raise InputError(f"{label}: no point has a value of '{name}'")
    return names


def list_some(names: Sequence[str]) -> str:
    """List names, the first of them where there are many."""
    if len(names) <= LISTED_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:LISTED_NAMES])} and {len(names) - LISTED_NAMES} more, which --csv FILE writes"
