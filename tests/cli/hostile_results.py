"""Hostile copies of the files of a run: every field and every column replaced by what no run is written with."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Each field meets two of them, in turn, so that every value meets every kind of field.
VALUES: tuple[Any, ...] = (
    None, True, -1, 0.5, 2**63 - 1, 10**30, float("nan"), float("inf"), "", "x", "a\x1b[31m\nb", [], {}, [[{}]],
    "y" * 20_000,
)  # fmt: skip
VALUES_OF_A_FIELD = 2
CELLS = ("", "-1", "1.5", "nan", "inf", "1e999", "0x10", " 7", "1_000", "9" * 30, "True", "x", "\x1b[31m", "7\n8", "٣")
CELLS_OF_A_COLUMN = 2


@dataclass(frozen=True)
class Case:
    """A file's hostile text under a name that says what was done."""

    name: str
    text: str


def list_places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """List the places of a record; of the entries of a list the first, of machines the first."""
    if isinstance(data, dict):
        inner = list(data.items())
        if path in (("totals", "machines"), ("policies",), ("machines",)):
            inner = inner[:1]
    else:
        inner = list(enumerate(data))[:1] if isinstance(data, list) else []
    for key, value in inner:
        yield (*path, key)
        yield from list_places(value, (*path, key))


def replace(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Copy data with one place replaced."""
    if not path:
        return value
    copy = dict(data) if isinstance(data, dict) else list(data)
    copy[path[0]] = replace(data[path[0]], path[1:], value)
    return copy


def mutate_record(text: str) -> Iterator[Case]:
    """Replace every field of run.json, and take every one away."""
    record = json.loads(text)
    turn, unchanged = 0, json.dumps(record)
    for path in list_places(record):
        words = ".".join(map(str, path))
        for _ in range(VALUES_OF_A_FIELD):
            value = VALUES[turn % len(VALUES)]
            turn += 1
            changed = json.dumps(replace(record, path, value))
            if changed != unchanged:
                yield Case(f"{words}={str(value)[:12]!r}", changed)
        if len(path) == 1:
            yield Case(f"without {words}", json.dumps({key: one for key, one in record.items() if key != words}))


def damage_text(text: str) -> Iterator[Case]:
    """Damage run.json as a whole."""
    yield Case("empty", "")
    yield Case("blank", " \n")
    yield Case("mark", "\ufeff" + text)
    yield Case("half", text[: len(text) // 2])
    yield Case("twice", text + text)
    yield Case("a list", f"[{text}]")
    yield Case("deep", "[" * 100_000)
    yield Case("deep inside", text.replace("{", '{"x": ' + "[" * 40 + "]" * 40 + ", ", 1))
    yield Case("field twice", text.replace("{", '{"verdict": "verified",', 1))
    yield Case("field unprintable", text.replace("{", '{"\\u001b[31m": 1,', 1))
    yield Case("digits", text.replace('"seed": 1', f'"seed": {"9" * 5000}'))
    yield Case("exponent", text.replace('"seed": 1', '"seed": 1e999'))
    yield Case("not utf-8", text.replace("small", "sm\udcffll", 1))


def mutate_table(text: str) -> Iterator[Case]:
    """Replace a cell of every column of a table, and spoil its shape."""
    rows = list(csv.reader(io.StringIO(text)))
    turn = 0
    for place, name in enumerate(rows[0]):
        for _ in range(CELLS_OF_A_COLUMN):
            cell = CELLS[turn % len(CELLS)]
            turn += 1
            if cell == rows[2][place]:
                continue
            changed = [
                [*row[:place], cell, *row[place + 1 :]] if number == 2 else row for number, row in enumerate(rows)
            ]
            yield Case(f"{name}={cell!r}", write_table(changed))
        yield Case(f"without {name}", write_table([row[:place] + row[place + 1 :] for row in rows]))
    yield Case("no rows", write_table(rows[:1]))
    yield Case("a row twice", write_table([*rows, rows[1]]))
    yield Case("a row less", write_table(rows[:-1]))
    yield Case("a short row", write_table([*rows[:-1], rows[-1][:-1]]))
    yield Case("a long row", write_table([*rows[:-1], [*rows[-1], "1"]]))
    yield Case("a column twice", write_table([[*row, row[-1]] for row in rows]))
    yield Case("a column more", write_table([[*row, "7"] for row in rows]).replace(",7\n", ",more\n", 1))
    yield Case("half", text[: len(text) // 2])
    yield Case("mark", "\ufeff" + text)
    yield Case("open quote", text + '"')
    yield Case("nul", text.replace("conv1", "con\0v1", 1))


def write_table(rows: list[list[str]]) -> str:
    """Write rows as CSV."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue()
