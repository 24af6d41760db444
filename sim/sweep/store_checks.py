"""Whether a file is a store that this program wrote: its place, its tables, and every value in them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from sim.results.stored_file import name_file, require_regular
from sim.sweep.job import Status
from sim.sweep.metrics import METRICS
from workloads.errors import InputError
from workloads.validation import show_value

FIXED_COLUMNS = ("key", "status", "reason", "workload", "architecture", "model_version", "workload_digest")
TABLES: Mapping[str, tuple[str, ...]] = {
    "points": FIXED_COLUMNS,
    "columns": ("name", "kind", "form", "unit", "meaning"),
    "workloads": ("digest", "resolved"),
    "sweeps": ("digest", "name", "form", "paths", "objectives"),
    "evaluations": ("key", "status", "seconds", "peak_memory_mb", "finished_at"),
    "claims": ("key", "owner", "until"),
}
SIDECARS = ("-wal", "-shm", "-journal")
DAMAGED = "is not a store, or is damaged"
LARGEST_WHOLE = 2**53
LONGEST_NAME, LONGEST_TEXT = 1000, 2**26

Name = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
COLUMNS = TypeAdapter(
    list[
        tuple[
            Name,
            Literal["setting", "metric"],
            Literal["whole", "number", "flag", "text"],
            Annotated[str, Field(max_length=LONGEST_NAME)],
            Annotated[str, Field(max_length=LONGEST_NAME)],
        ]
    ]
)
NAMES = TypeAdapter(list[Name])
FORM = TypeAdapter(dict[str, Any])


def check_place(path: Path, *, must_exist: bool) -> None:
    """Refuse what SQLite would wait for, write into or be led away by: only regular files are a store and its journals.

    Raises:
        InputError: the store is missing but must be there, or it or a file beside it is no regular file.
    """
    if must_exist or path.is_symlink() or path.exists():
        if path.is_dir():
            raise InputError(f"{name_file(path)}: is a directory, not a store")
        if not path.is_symlink() and not path.exists():
            raise InputError(f"{name_file(path)}: there is no such store")
        if path.exists() or must_exist or is_loop(path):
            require_regular(path)
    for suffix in SIDECARS:
        beside = path.with_name(path.name + suffix)
        if beside.is_symlink() or beside.exists():
            require_regular(beside)


def is_loop(path: Path) -> bool:
    """Tell whether a link leads to itself."""
    try:
        path.resolve(strict=True)
    except FileNotFoundError:
        return False
    except (OSError, RuntimeError):
        return True
    return False


def check_store(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse a store whose pages, tables or values are not those that are written.

    Raises:
        InputError: names the table, and the row as far as there is one.
    """
    # One snapshot: another process may be adding columns and points.
    connection.execute("BEGIN")
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise InputError(f"{name_file(path)}: {DAMAGED}: {show_value(' '.join(str(found).split()))}")
        names = check_tables(path, connection)
        forms = check_columns(path, connection, names)
        check_sweeps(path, connection, forms)
        check_points(path, connection, forms)
        for table, conditions in OTHER_CONDITIONS.items():
            refuse_rows(path, connection, table, conditions)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def check_tables(path: Path, connection: sqlite3.Connection) -> list[str]:
    """Compare tables and their columns with the declared ones; give the columns of the points behind the fixed ones."""
    entries = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    for kind, name, sql in entries:
        is_index = kind == "index" and sql is None
        is_table = kind == "table" and name in TABLES and str(sql).upper().startswith("CREATE TABLE")
        if not is_index and not is_table:
            raise InputError(f"{name_file(path)}: {DAMAGED}: it has the {kind} {show_value(name)}")
    extra: list[str] = []
    for table, expected in TABLES.items():
        rows = connection.execute(f"SELECT name, hidden FROM pragma_table_xinfo('{table}')").fetchall()
        names = [name for name, _ in rows]
        if table == "points":
            names, extra = names[: len(expected)], names[len(expected) :]
        if tuple(names) != expected or any(hidden for _, hidden in rows):
            words = f"the columns {show_value(names)}" if names else "nothing"
            raise InputError(f"{name_file(path)}: {DAMAGED}: of its table {table} it has {words}")
    return extra


def check_columns(path: Path, connection: sqlite3.Connection, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Check what the store says of its columns; give kind and form of each."""
    rows = connection.execute("SELECT name, kind, form, unit, meaning FROM columns").fetchall()
    try:
        COLUMNS.validate_python(rows, strict=False)
    except ValidationError as error:
        raise refuse_cell(path, "columns", rows, error) from None
    forms = {name: (kind, form) for name, kind, form, _, _ in rows}
    if sorted(forms) != sorted(names):
        odd = min(set(forms) ^ set(names))
        raise InputError(f"{name_file(path)}: {DAMAGED}: its tables points and columns differ in {show_value(odd)}")
    known = {metric.name: metric.is_whole for metric in METRICS}
    for name, (kind, form) in forms.items():
        is_sound = kind == "setting" or form == ("whole" if known.get(name, form == "whole") else "number")
        if not is_sound or (kind == "setting" and name in known):
            raise InputError(f"{name_file(path)}: {DAMAGED}: it has {show_value(name)} as a {kind} of the form {form}")
    return forms


def check_sweeps(path: Path, connection: sqlite3.Connection, forms: Mapping[str, tuple[str, str]]) -> None:
    """Check what the store says of the sweeps that put points there."""
    metrics = [name for name, (kind, _) in forms.items() if kind == "metric"]
    taken = (*FIXED_COLUMNS, *metrics)
    for digest, name, form, paths, objectives in connection.execute(
        "SELECT digest, name, form, paths, objectives FROM sweeps"
    ).fetchall():
        try:
            NAMES.validate_python([digest, name], strict=True)
            FORM.validate_python(parse_json(form))
            chosen = NAMES.validate_python(parse_json(paths), strict=True)
            aims = NAMES.validate_python(parse_json(objectives), strict=True)
        except (ValidationError, ValueError) as error:
            words = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise InputError(
                f"{name_file(path)}: {DAMAGED}: its sweep {show_value(name)} cannot be read ({words})"
            ) from None
        odd = [one for one in chosen if one in taken] + [one for one in aims if one not in metrics]
        if odd:
            raise InputError(
                f"{name_file(path)}: {DAMAGED}: its sweep {show_value(name)} varies or minimizes {show_value(odd[0])}"
            )


def parse_json(text: Any) -> Any:
    """Parse JSON of a bounded depth.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(text, str):
        raise ValueError("it is not text")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def check_points(path: Path, connection: sqlite3.Connection, forms: Mapping[str, tuple[str, str]]) -> None:
    """Check every value of the points, in passes that make no objects of Python."""
    statuses = ", ".join(f"'{status}'" for status in Status)
    conditions = {
        **{name: unlike_name(name) for name in FIXED_COLUMNS if name != "reason"},
        "reason": f"typeof(reason) != 'text' OR length(reason) > {LONGEST_TEXT}",
        "status": f"status NOT IN ({statuses})",
    }
    fractions = {metric.name for metric in METRICS if metric.unit == "fraction"}
    for name, (kind, form) in forms.items():
        cell = '"' + name.replace('"', '""') + '"'
        # Text leaves every value as it is: a setting may be a number in one workload and a word in another.
        wrong = (MIXED if kind != "metric" and form == "text" else UNLIKE_FORM[form]).format(cell=cell)
        if kind == "metric":
            most = LARGEST_WHOLE if form == "whole" else 1 if name in fractions else "1.8e308"
            wrong = f"({wrong}) OR {cell} > {most} OR (status != 'done' AND {cell} IS NOT NULL)"
        conditions[name] = wrong
    if "cycles" in forms:
        conditions["cycles"] += " OR (status = 'done' AND cycles IS NULL)"
    refuse_rows(path, connection, "points", conditions)


def refuse_rows(path: Path, connection: sqlite3.Connection, table: str, conditions: Mapping[str, str]) -> None:
    """Refuse a table with a row for which a column's condition holds."""
    sums = ", ".join(f"TOTAL({condition})" for condition in conditions.values())
    counts = connection.execute(f"SELECT {sums} FROM {table}").fetchone()
    for (name, condition), count in zip(conditions.items(), counts, strict=True):
        if count:
            cell = '"' + name.replace('"', '""') + '"'
            rows = connection.execute(f"SELECT rowid, {cell} FROM {table} WHERE {condition} LIMIT 1").fetchall()
            row, value = rows[0]
            raise InputError(
                f"{name_file(path)}: row {row} of its table {table}: {show_value(name)} must not be {show_value(value)}"
            )


def unlike_name(cell: str) -> str:
    """Write the condition that a cell is no name: text of some printable characters."""
    return f"typeof({cell}) != 'text' OR {unlike_line(cell)} OR length({cell}) = 0"


def unlike_line(cell: str) -> str:
    """Write the condition that a text is long or has characters that are not printable."""
    return (
        f"length({cell}) > {LONGEST_NAME} OR instr({cell}, char(0)) OR "
        f"{cell} GLOB '*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || ']*'"
    )


# No setting and no metric is ever negative.
UNLIKE_FORM = {
    "whole": f"typeof({{cell}}) NOT IN ('integer', 'null') OR {{cell}} < 0 OR {{cell}} > {LARGEST_WHOLE}",
    "number": "typeof({cell}) NOT IN ('integer', 'real', 'null') OR {cell} < 0 OR {cell} > 1.79769e308",
    "flag": "typeof({cell}) NOT IN ('integer', 'null') OR {cell} NOT IN (0, 1)",
    "text": f"{{cell}} IS NOT NULL AND (typeof({{cell}}) != 'text' OR {unlike_line('{cell}')})",
}
MIXED = (
    f"CASE typeof({{cell}}) WHEN 'text' THEN {unlike_line('{cell}')} WHEN 'blob' THEN 1 "
    "WHEN 'null' THEN 0 ELSE {cell} < 0 OR {cell} > 1.79769e308 END"
)
OTHER_CONDITIONS = {
    "workloads": {
        "digest": unlike_name("digest"),
        "resolved": f"typeof(resolved) != 'text' OR length(resolved) > {LONGEST_TEXT} OR NOT json_valid(resolved)",
    },
    "evaluations": {
        "key": unlike_name("key"),
        "status": f"status NOT IN ({', '.join(repr(status.value) for status in Status)})",
        "seconds": "typeof(seconds) NOT IN ('real', 'integer') OR seconds < 0 OR seconds > 1e12",
        "peak_memory_mb": "typeof(peak_memory_mb) NOT IN ('real', 'integer', 'null') OR peak_memory_mb < 0",
        "finished_at": unlike_name("finished_at"),
    },
    "claims": {
        "key": unlike_name("key"),
        "owner": unlike_name("owner"),
        "until": "typeof(until) NOT IN ('real', 'integer') OR until < 0 OR until > 1e12",
    },
}


def refuse_cell(path: Path, table: str, rows: Sequence[Sequence[Any]], error: ValidationError) -> InputError:
    """Name the cell of a table that a model refuses."""
    row, place = (int(part) for part in error.errors(include_url=False)[0]["loc"][:2])
    name = TABLES[table][place]
    return InputError(
        f"{name_file(path)}: row {row + 1} of its table {table}: {show_value(name)} must not be "
        f"{show_value(rows[row][place])}"
    )
