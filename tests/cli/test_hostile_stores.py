"""Stores of sweeps that were changed by hand, cut short or are locked: refused in one sentence by what reads them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cli.command import run_command
from cli.hostile_stores import DAMAGES, change_row, list_changes
from cli.refusals import find_flaw
from unit.sweep.small_sweeps import QuickEvaluator, load_text

from sim.sweep import store as store_module
from sim.sweep import store_file
from sim.sweep.execution import InlineExecutor
from sim.sweep.reading import load_sweep
from sim.sweep.store_checks import FIXED_COLUMNS
from sim.sweep.sweep import run_sweep
from workloads.errors import InputError

SWEEP = "name: s\nworkloads: [tiny.yaml]\nparameters: {array.groups: [1, 2]}\n"
COMMANDS = (
    ("results", "s.sqlite"),
    ("results", "s.sqlite", "--sensitivity"),
    ("merge", "s.sqlite", "--into", "new.sqlite"),
    ("merge", "sound.sqlite", "--into", "s.sqlite"),
    ("sweep", "s.yaml", "--store", "s.sqlite"),
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    run_sweep(load_text(folder, SWEEP), folder / "sound.sqlite", executor=InlineExecutor(QuickEvaluator()))
    with closing(sqlite3.connect(folder / "sound.sqlite", isolation_level=None)) as connection:
        connection.execute("INSERT INTO claims SELECT key, '1@1.00', 1.0 FROM points LIMIT 1")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "sound.sqlite"


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    shutil.copy(sound, tmp_path / "sound.sqlite")
    shutil.copy(sound.with_name("tiny.yaml"), tmp_path / "tiny.yaml")
    (tmp_path / "s.yaml").write_text(SWEEP)
    return tmp_path


def take_copy(folder: Path) -> Path:
    """Put a sound store in the place of the one that was spoiled."""
    for path in folder.glob("s.sqlite*"):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.copy(folder / "sound.sqlite", folder / "s.sqlite")
    return folder / "s.sqlite"


def is_harmless(folder: Path, table: str, column: str, value: Any) -> bool:
    """Tell whether a value is one that the column could have had: a text, or a number of its form in its range."""
    if table in ("columns", "sweeps", "workloads", "claims") or column in FIXED_COLUMNS or column == "finished_at":
        is_free = column in ("reason", "unit", "meaning")
        # SQLite itself makes a text of a number here.
        return isinstance(value, str | int | float) and (is_free or str(value).isprintable())
    if value is None or table == "evaluations":
        return value is None or (isinstance(value, float) and value == 1.5)
    (form,) = read_one(folder, "SELECT form FROM columns WHERE name = ?", column)
    is_number = isinstance(value, int if form == "whole" else int | float) and 0 <= value < float("inf")
    if form == "text":
        # A setting that is text in one workload may be a number in another.
        return is_number or (isinstance(value, str) and value.isprintable())
    return is_number and (form == "number" or value <= 2**53)


def read_one(folder: Path, query: str, *values: Any) -> tuple[Any, ...]:
    """Give the first row of a query on the sound store."""
    with closing(sqlite3.connect(folder / "sound.sqlite")) as connection:
        found: tuple[Any, ...] = connection.execute(query, values).fetchone()
    return found


def test_every_value_that_no_sweep_stores_is_refused_in_a_sentence(folder: Path) -> None:
    flaws, tried, accepted = [], 0, []
    for table, column, value in list_changes(folder / "sound.sqlite"):
        if not change_row(take_copy(folder), table, column, value):
            continue
        tried += 1
        outcome = run_command(folder, "results", "s.sqlite")
        if outcome.exit_code == 0 and is_harmless(folder, table, column, value):
            accepted.append((table, column, value))
        elif flaw := find_flaw(outcome, "s.sqlite"):
            flaws.append((table, column, str(value)[:20], flaw))
    assert flaws == []
    assert tried >= 200
    assert len(accepted) <= tried // 4


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_store_is_refused_in_a_sentence_by_every_command(folder: Path, name: str) -> None:
    for command in COMMANDS:
        store = take_copy(folder)
        DAMAGES[name](store)
        before = store.read_bytes() if store.is_file() and not store.is_symlink() else b""
        assert find_flaw(run_command(folder, *command), "s.sqlite") is None, command
        if before:
            assert store.read_bytes() == before
    with pytest.raises(InputError):
        load_sweep(folder / "s.sqlite")


def test_a_foreign_database_is_left_as_it_is(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "notes.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE notes (text)")
    before = (folder / "notes.sqlite").read_bytes()
    outcome = run_command(folder, "sweep", "s.yaml", "--store", "notes.sqlite")
    assert (outcome.exit_code, outcome.stderr) == (
        2,
        "sparsetrain: notes.sqlite: is a database, but not a store of sweeps\n",
    )
    assert (folder / "notes.sqlite").read_bytes() == before
    assert not list(folder.glob("notes.sqlite-*"))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_locked_store_is_a_sentence_after_one_wait(
    folder: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "LOCK_TIMEOUT_S", 0.01)
    monkeypatch.setattr(store_file, "READ_LOCK_TIMEOUT_S", 0.01)
    store = take_copy(folder)
    with closing(sqlite3.connect(store, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        outcome = run_command(folder, *command)
        holder.execute("ROLLBACK")
    assert (outcome.exit_code, outcome.stderr) == (
        2,
        "sparsetrain: s.sqlite: the store is locked by another process, and was not free in time; every point that was "
        "stored before is kept, and the same command goes on from there\n",
    )


def test_a_value_is_refused_with_its_table_and_row(folder: Path) -> None:
    store = take_copy(folder)
    change: Callable[..., bool] = change_row
    assert change(store, "points", "cycles", "many")
    assert run_command(folder, "results", "s.sqlite").stderr == (
        "sparsetrain: s.sqlite: row 1 of its table points: 'cycles' must not be 'many'\n"
    )


def test_no_store_at_all_is_a_sentence() -> None:
    with pytest.raises(InputError) as caught:
        load_sweep([])
    assert str(caught.value) == "no store is given"
