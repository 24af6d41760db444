"""Hostile copies of a store of sweeps: every column of every table with values of other kinds, and damaged files."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

VALUES: tuple[Any, ...] = (
    -1, 1.5, "x", "", b"\xff\x00", float("inf"), 2**62, "\x1b[31m", None, '{"', "[" * 100_000, "[1]", "9" * 5000,
)  # fmt: skip
VALUES_OF_A_COLUMN = 2


def list_changes(store: Path) -> Iterator[tuple[str, str, Any]]:
    """List table, column and value of every change; each column meets two of the values, in turn."""
    turn = 0
    with closing(sqlite3.connect(store)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for (column,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall():
                for _ in range(VALUES_OF_A_COLUMN):
                    yield table, column, VALUES[turn % len(VALUES)]
                    turn += 1


def change_row(store: Path, table: str, column: str, value: Any) -> bool:
    """Put a value into one row; False where the table itself does not take it."""
    with closing(sqlite3.connect(store)) as connection, connection:
        try:
            row = f"SELECT MIN(rowid) FROM {table}"
            connection.execute(f'UPDATE {table} SET "{column}" = ? WHERE rowid = ({row})', (value,))
        except sqlite3.IntegrityError:
            return False
    return True


def run_script(*statements: str) -> Callable[[Path], None]:
    """Make a change of a store's schema."""

    def change(store: Path) -> None:
        with closing(sqlite3.connect(store)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    return change


def write_bytes(place: int, raw: bytes) -> Callable[[Path], None]:
    """Make a change of a store's bytes."""

    def change(store: Path) -> None:
        content = bytearray(store.read_bytes())
        content[place : place + len(raw)] = raw
        store.write_bytes(content)

    return change


def cut_at(share: float) -> Callable[[Path], None]:
    """Make a store shorter."""
    return lambda store: os.truncate(store, int(share * store.stat().st_size))


def put_in_place(make: Callable[[Path], object], suffix: str = "") -> Callable[[Path], None]:
    """Put something else in the place of a store, or of a file beside it."""

    def change(store: Path) -> None:
        place = store.with_name(store.name + suffix)
        place.unlink(missing_ok=True)
        make(place)

    return change


DAMAGES: dict[str, Callable[[Path], None]] = {
    "text": put_in_place(lambda path: path.write_text("name: small\n")),
    "magic alone": put_in_place(lambda path: path.write_bytes(b"SQLite format 3\0")),
    "pipe": put_in_place(os.mkfifo),
    "folder": put_in_place(Path.mkdir),
    "device": put_in_place(lambda path: path.symlink_to("/dev/zero")),
    "loop": put_in_place(lambda path: path.symlink_to(path.name)),
    "wal folder": put_in_place(Path.mkdir, "-wal"),
    "shm folder": put_in_place(Path.mkdir, "-shm"),
    "journal pipe": put_in_place(os.mkfifo, "-journal"),
    "wal pipe": put_in_place(os.mkfifo, "-wal"),
    "cut to a page": lambda store: os.truncate(store, 4096),
    "cut in a page": lambda store: os.truncate(store, 5000),
    "a third": cut_at(0.34),
    "nearly all": cut_at(0.99),
    "page size": write_bytes(16, b"\x00\x03"),
    "zeros": write_bytes(4096, bytes(8192)),
    "noise": write_bytes(4096, bytes(range(256)) * 32),
    "first table": write_bytes(100, b"\x05\xff\xff\xff\xff\xff\xff\xff"),
    "other database": run_script("PRAGMA application_id = 7"),
    "other form": run_script("PRAGMA user_version = 7"),
    "no table": run_script("DROP TABLE claims"),
    "more tables": run_script("CREATE TABLE more (x)"),
    "table more": run_script("ALTER TABLE evaluations ADD COLUMN more"),
    "column less": run_script("ALTER TABLE points DROP COLUMN cycles"),
    "column more": run_script("ALTER TABLE points ADD COLUMN more"),
    "undeclared column": run_script("DELETE FROM columns WHERE name = 'cycles'"),
    "view": run_script("ALTER TABLE points RENAME TO others", "CREATE VIEW points AS SELECT * FROM others"),
    "endless view": run_script(
        "DROP TABLE evaluations",
        "CREATE VIEW evaluations AS WITH RECURSIVE n(key) AS (SELECT 1 UNION ALL SELECT key + 1 FROM n) "
        "SELECT key, 'done' AS status, 1 AS seconds, 1 AS peak_memory_mb, 'x' AS finished_at FROM n",
    ),
    "trigger": run_script("CREATE TRIGGER t AFTER INSERT ON points BEGIN DELETE FROM points; END"),
    "computed column": run_script(
        "DROP TABLE claims",
        "CREATE TABLE claims (key TEXT, owner TEXT, until REAL GENERATED ALWAYS AS (1) VIRTUAL)",
    ),
    "other kind of table": run_script("DROP TABLE claims", "CREATE VIRTUAL TABLE claims USING fts5(key, owner, until)"),
}
