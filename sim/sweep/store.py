"""The store of sweeps: one SQLite file in WAL mode, a row for each point, keyed by what its answer depends on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sim.sweep.claims import Owner
from sim.sweep.job import Outcome, Status
from sim.sweep.metrics import METRICS
from sim.sweep.store_checks import DAMAGED, FIXED_COLUMNS, check_place, check_store
from sim.sweep.store_file import LOCK_TIMEOUT_S, connect, make_folder, open_to_read, require_readable
from sim.sweep.values import Value
from workloads.errors import InputError

APPLICATION_ID = 0x53505357
SCHEMA_VERSION = 1
CHECKPOINT_WAIT_MS = 2000
FINISHED = (Status.DONE, Status.INFEASIBLE)
SCHEMA = """
CREATE TABLE points (key TEXT PRIMARY KEY, status TEXT NOT NULL, reason TEXT NOT NULL, workload TEXT NOT NULL,
  architecture TEXT NOT NULL, model_version TEXT NOT NULL, workload_digest TEXT NOT NULL);
CREATE TABLE columns (name TEXT PRIMARY KEY, kind TEXT NOT NULL, form TEXT NOT NULL, unit TEXT NOT NULL,
  meaning TEXT NOT NULL);
CREATE TABLE workloads (digest TEXT PRIMARY KEY, resolved TEXT NOT NULL);
CREATE TABLE sweeps (digest TEXT PRIMARY KEY, name TEXT NOT NULL, form TEXT NOT NULL, paths TEXT NOT NULL,
  objectives TEXT NOT NULL);
CREATE TABLE evaluations (key TEXT NOT NULL, status TEXT NOT NULL, seconds REAL NOT NULL, peak_memory_mb REAL,
  finished_at TEXT NOT NULL);
CREATE TABLE claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL, until REAL NOT NULL);
"""


@dataclass(frozen=True)
class PointRow:
    """What is stored of a point before it is evaluated."""

    key: str
    workload: str
    architecture: str
    model_version: str
    workload_digest: str
    settings: Mapping[str, Value]


@dataclass(frozen=True)
class SweepRow:
    """A sweep whose points a store holds."""

    digest: str
    name: str
    form: Mapping[str, Any]
    paths: tuple[str, ...]
    objectives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the points.

    Attributes:
        kind: Setting or metric.
        form: Whole, number, flag or text.
    """

    name: str
    kind: str
    form: str
    unit: str
    meaning: str


def quote(name: str) -> str:
    """Write a name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def find_form(value: Value) -> str | None:
    """Name the form of a setting's value; None where null leaves it open."""
    if value is None:
        return None
    return {bool: "flag", int: "whole", float: "number"}.get(type(value), "text")


def join_forms(one: str, other: str) -> str:
    """Name the form of a column that holds values of two; text leaves every value as it is."""
    if one == other:
        return one
    return "number" if {one, other} == {"whole", "number"} else "text"


class Store:
    """An open store; every method is one transaction, so that a killed process leaves no half of anything."""

    def __init__(self, path: Path, *, writes: bool) -> None:
        self.path = path
        self._writes = writes
        self._connection: sqlite3.Connection
        self._closing = ExitStack()
        self._columns: dict[str, Column] = {}

    @classmethod
    def open(cls, path: Path, *, creates: bool = False) -> Store:
        """Open a store; `creates` makes one where there is no file, and asks for leave to write.

        Raises:
            InputError: there is no such file, it is no store, or it cannot be read or written.
        """
        check_place(path, must_exist=not creates)
        if not creates or path.exists():
            require_readable(path)
        store = cls(path, writes=creates)
        with naming_faults(path):
            try:
                if creates:
                    make_folder(path)
                    connect(path, store._prepare, store._closing, LOCK_TIMEOUT_S)
                else:
                    open_to_read(path, store._prepare, store._closing)
            except BaseException:
                store._closing.close()
                raise
        return store

    def close(self) -> None:
        """Close the file; after writing, all of the store is in it, so that a copy of this one file is whole."""
        if self._writes:
            # Another process may be reading: then the log stays, and with it what is not in the file yet.
            with suppress(sqlite3.Error):
                self._connection.execute(f"PRAGMA busy_timeout = {CHECKPOINT_WAIT_MS}")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._closing.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write several things together or none of them.

        Raises:
            InputError: the file cannot be written; what was written before is kept.
        """
        with self._naming_faults():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def read(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query.

        Raises:
            InputError: the file cannot be read.
        """
        with self._naming_faults():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _naming_faults(self) -> Iterator[None]:
        try:
            with naming_faults(self.path):
                yield
        except InputError:
            # What was locked for so long is not waited for once more on the way out.
            self._connection.execute("PRAGMA busy_timeout = 0")
            raise

    def columns(self) -> tuple[Column, ...]:
        """List settings and metrics, sorted by kind and name."""
        query = "SELECT name, kind, form, unit, meaning FROM columns ORDER BY kind DESC, name"
        return tuple(Column(*row) for row in self.read(query))

    def sweeps(self) -> tuple[SweepRow, ...]:
        """List the sweeps that put points here."""
        rows = self.read("SELECT digest, name, form, paths, objectives FROM sweeps ORDER BY name, digest")
        return tuple(
            SweepRow(digest, name, json.loads(form), tuple(json.loads(paths)), tuple(json.loads(objectives)))
            for digest, name, form, paths, objectives in rows
        )

    def find_status(self, key: str) -> Status | None:
        """Tell how a point ended; None where it is not there."""
        rows = self.read("SELECT status FROM points WHERE key = ?", (key,))
        return Status(rows[0][0]) if rows else None

    def read_metrics(self, key: str, names: Sequence[str]) -> tuple[Any, ...] | None:
        """Give metrics of a point that is done, else None."""
        query = f"SELECT {', '.join(map(quote, names))} FROM points WHERE key = ? AND status = ?"
        rows = self.read(query, (key, Status.DONE))
        return tuple(rows[0]) if rows else None

    def mean_seconds(self, workload_digests: Sequence[str]) -> tuple[int, float | None]:
        """Count earlier evaluations on these workloads, and give their mean time, None where there were none."""
        query = (
            "SELECT COUNT(*), AVG(seconds) FROM evaluations JOIN points USING (key) "
            "WHERE workload_digest IN (SELECT value FROM json_each(?))"
        )
        found: tuple[int, float | None] = self.read(query, (json.dumps(workload_digests),))[0]
        return found

    def add_sweep(self, sweep: SweepRow) -> None:
        """Note a sweep, once."""
        row = (sweep.digest, sweep.name, json.dumps(sweep.form), json.dumps(sweep.paths), json.dumps(sweep.objectives))
        with self.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO sweeps VALUES (?, ?, ?, ?, ?)", row)

    def add_workload(self, digest: str, resolved: Mapping[str, Any]) -> None:
        """Keep a workload's resolved form, from which its points can be run again."""
        with self.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO workloads VALUES (?, ?)", (digest, json.dumps(resolved)))

    def add_settings(self, settings: Mapping[str, Value]) -> None:
        """Make a column of every setting that has none yet."""
        fresh = []
        for name, value in settings.items():
            form, known = find_form(value), self._columns.get(name)
            joint = form if form is None or known is None else join_forms(known.form, form)
            if joint is not None and (known is None or known.form != joint):
                fresh.append(Column(name, "setting", joint, "", ""))
        if fresh:
            with self.transaction():
                self._add_columns(fresh)

    def claim(self, keys: Iterable[str], owner: Owner) -> list[str]:
        """Take points that no living process works on; give those that were taken."""
        taken = []
        with self.transaction() as connection:
            for key in keys:
                found = connection.execute("SELECT owner, until FROM claims WHERE key = ?", (key,)).fetchone()
                if found is None or found[0] == owner.name or not owner.respects(*found):
                    connection.execute(
                        "INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", (key, owner.name, owner.lease())
                    )
                    taken.append(key)
        return taken

    def renew_claims(self, owner: Owner) -> None:
        """Put off the end of an owner's claims."""
        with self.transaction() as connection:
            connection.execute("UPDATE claims SET until = ? WHERE owner = ?", (owner.lease(), owner.name))

    def release_claims(self, owner: Owner) -> None:
        """Give up all claims of an owner."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM claims WHERE owner = ?", (owner.name,))

    def record(self, ended: Sequence[tuple[PointRow, Outcome]]) -> None:
        """Store points with their outcomes, and give up the claims on them; what is finished is never replaced."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self.transaction() as connection:
            for point, outcome in ended:
                metrics = outcome.metrics or {}
                values = {
                    "key": point.key, "status": outcome.status, "reason": outcome.reason,
                    "workload": point.workload, "architecture": point.architecture,
                    "model_version": point.model_version, "workload_digest": point.workload_digest,
                    **{name: value for name, value in point.settings.items() if name in self._columns},
                    **{metric.name: metrics.get(metric.name) for metric in METRICS},
                }  # fmt: skip
                insert_point(connection, values)
                evaluation = (point.key, outcome.status, outcome.seconds, outcome.peak_memory_mb, now)
                connection.execute("INSERT INTO evaluations VALUES (?, ?, ?, ?, ?)", evaluation)
                connection.execute("DELETE FROM claims WHERE key = ?", (point.key,))

    def merge(self, other: Store) -> int:
        """Add what another store holds; give the number of points that were new or were failures here."""
        names = [*FIXED_COLUMNS, *(column.name for column in other.columns())]
        with self.transaction() as connection:
            self._add_columns([found for column in other.columns() if (found := self._widen(column)) is not None])
            before = self._connection.total_changes
            with naming_faults(other.path):
                rows = other._connection.execute(f"SELECT {', '.join(map(quote, names))} FROM points ORDER BY key")
                for row in rows:
                    insert_point(connection, dict(zip(names, row, strict=True)))
                merged = self._connection.total_changes - before
                for table in ("workloads", "sweeps"):
                    for row in other._connection.execute(f"SELECT * FROM {table}"):
                        connection.execute(f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(row))})", row)
                for row in other._connection.execute("SELECT * FROM evaluations"):
                    connection.execute(
                        "INSERT INTO evaluations SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS "
                        "(SELECT 1 FROM evaluations WHERE key = ?1 AND seconds = ?3 AND finished_at = ?5)", row,
                    )  # fmt: skip
        return merged

    def _prepare(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._connection.execute("PRAGMA trusted_schema = OFF")
        self._connection.execute("PRAGMA synchronous = FULL")
        # A database of something else is left as it is: it must not even be put into WAL mode.
        if self._writes and not self._count_tables():
            self._connection.execute("PRAGMA journal_mode = WAL")
            with self.transaction():
                if not self._count_tables():
                    for statement in SCHEMA.split(";"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        (application_id,), (version,) = (
            self._connection.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
        )
        if application_id != APPLICATION_ID:
            raise InputError(f"{self.path}: is a database, but not a store of sweeps")
        if version != SCHEMA_VERSION:
            raise InputError(f"{self.path}: is a store of form {version}; this version reads form {SCHEMA_VERSION}")
        check_store(self.path, self._connection)
        if self._writes:
            self._connection.execute("PRAGMA journal_mode = WAL")
        self._columns = {column.name: column for column in self.columns()}
        if self._writes:
            metrics = [
                Column(metric.name, "metric", "whole" if metric.is_whole else "number", metric.unit, metric.meaning)
                for metric in METRICS
                if metric.name not in self._columns
            ]
            with self.transaction():
                self._add_columns(metrics)

    def _widen(self, column: Column) -> Column | None:
        """Give another store's column in a form that suits the values here too; None where it is here as it is."""
        known = self._columns.get(column.name)
        if known is None:
            return column
        joint = join_forms(known.form, column.form)
        return None if joint == known.form else replace(known, form=joint)

    def _count_tables(self) -> int:
        count: int = self._connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        return count

    def _add_columns(self, fresh: Sequence[Column]) -> None:
        have = {row[1] for row in self._connection.execute("PRAGMA table_info(points)")}
        for column in fresh:
            if column.name not in have:
                # Without a type: an int stays an int, a float a float, in whichever order they come.
                self._connection.execute(f"ALTER TABLE points ADD COLUMN {quote(column.name)}")
            row = (column.name, column.kind, column.form, column.unit, column.meaning)
            self._connection.execute("INSERT OR REPLACE INTO columns VALUES (?, ?, ?, ?, ?)", row)
        self._columns |= {column.name: column for column in fresh}


def insert_point(connection: sqlite3.Connection, values: Mapping[str, Any]) -> None:
    """Insert a row, or replace a failed one; a finished one stays."""
    names = ", ".join(map(quote, values))
    updates = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in values)
    connection.execute(
        f"INSERT INTO points ({names}) VALUES ({', '.join('?' * len(values))}) "
        f"ON CONFLICT (key) DO UPDATE SET {updates} WHERE points.status = 'failed' AND excluded.status != 'failed'",
        tuple(values.values()),
    )


@contextmanager
def naming_faults(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into one sentence about the file.

    Raises:
        InputError: anything that SQLite refused.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise InputError(describe_fault(path, error)) from None


def describe_fault(path: Path, error: sqlite3.DatabaseError) -> str:
    """Say what SQLite refused, and what became of the points."""
    code = getattr(error, "sqlite_errorname", "") or ""
    kept = "every point that was stored before is kept, and the same command goes on from there"
    if code.startswith("SQLITE_FULL"):
        return f"{path}: the disk is full; {kept}"
    if code.startswith(("SQLITE_READONLY", "SQLITE_PERM")):
        return f"{path}: the store is read-only; make it and its folder writable, or choose another with --store"
    if code.startswith("SQLITE_CANTOPEN"):
        return f"{path}: the store cannot be opened; its folder must be there and writable"
    if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return f"{path}: {DAMAGED}: {error}"
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"{path}: the store is locked by another process, and was not free in time; {kept}"
    return f"{path}: the store cannot be used: {error}; {kept}"
