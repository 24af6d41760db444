"""A store is whole in one file when its sweep has ended, and can be read where nothing can be written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from cli.command import run_command
from unit.sweep.small_sweeps import QuickEvaluator, load_text, make_metrics, read_rows

from sim.sweep.evaluation import evaluate_safely
from sim.sweep.execution import InlineExecutor
from sim.sweep.job import Job, Outcome
from sim.sweep.reading import load_sweep
from sim.sweep.store import Store
from sim.sweep.sweep import run_sweep
from workloads.errors import InputError

NOBODY = 65534
POINTS = 24


def run(folder: Path, store: Path) -> None:
    run_sweep(load_text(folder), store, executor=InlineExecutor(QuickEvaluator()))


@contextmanager
def acting_as_another() -> Iterator[None]:
    """Act as a user who owns nothing here, where the tests run as one who may write everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give a folder with a finished store, which every user can enter."""
    made = Path(tempfile.mkdtemp(dir="/tmp"))
    made.chmod(0o755)
    run(tmp_path, made / "store.sqlite")
    load_sweep(made / "store.sqlite")
    yield made
    made.chmod(0o755)
    shutil.rmtree(made)


@contextmanager
def unwritable(folder: Path, folder_mode: int = 0o555) -> Iterator[None]:
    """Take away every leave to write in a folder, and act as another user."""
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(folder_mode)
    with acting_as_another():
        yield


def copy_alone(store: Path, folder: Path) -> Path:
    return Path(shutil.copy(store, folder / "copy.sqlite"))


def test_a_finished_store_is_whole_in_one_file_also_while_another_process_has_it_open(tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    with Store.open(store, creates=True), closing(sqlite3.connect(store)) as reader:
        assert reader.execute("SELECT COUNT(*) FROM points").fetchone() == (0,)
        run(tmp_path, store)
        assert len(load_sweep(copy_alone(store, tmp_path))) == POINTS
        assert (tmp_path / "store.sqlite-wal").stat().st_size == 0
    assert sorted(path.name for path in tmp_path.glob("store.sqlite*")) == ["store.sqlite"]


def test_a_sweep_that_is_interrupted_leaves_what_was_finished_in_one_file(tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    asked: list[str] = []

    def evaluate(job: Job) -> Outcome:
        asked.append(job.key)
        if len(asked) == 10:
            raise KeyboardInterrupt
        return evaluate_safely(make_metrics, job)

    with Store.open(store, creates=True):
        with pytest.raises(KeyboardInterrupt):
            run_sweep(load_text(tmp_path), store, executor=InlineExecutor(evaluate))
        kept = len(load_sweep(store))
        assert 0 < kept < 10
        assert len(load_sweep(copy_alone(store, tmp_path))) == kept


def test_a_store_is_merged_into_one_file_also_while_another_process_has_it_open(folder: Path, tmp_path: Path) -> None:
    with Store.open(tmp_path / "all.sqlite", creates=True):
        outcome = run_command(tmp_path, "merge", str(folder / "store.sqlite"), "--into", "all.sqlite")
        assert outcome.exit_code == 0
        assert len(load_sweep(copy_alone(tmp_path / "all.sqlite", tmp_path))) == POINTS


@pytest.mark.parametrize("folder_mode", [0o555, 0o777], ids=["folder too", "file alone"])
def test_a_store_that_cannot_be_written_is_read_and_leaves_nothing_beside_it(
    folder: Path, folder_mode: int, tmp_path: Path
) -> None:
    store = folder / "store.sqlite"
    expected = load_sweep(store)
    tmp_path.chmod(0o777)
    with unwritable(folder, folder_mode):
        assert load_sweep(store).equals(expected)
    assert [path.name for path in folder.iterdir()] == ["store.sqlite"]


def test_results_report_and_merge_read_a_store_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    store = str(folder / "store.sqlite")
    for file in folder.iterdir():
        file.chmod(0o444)
    rows = read_rows(folder / "store.sqlite")
    target = Path(tempfile.mkdtemp(dir="/tmp"))
    target.chmod(0o777)
    commands = (
        ("results", store, "--columns", "key"),
        ("report", store, "-o", "page.html"),
        ("merge", store, "--into", "all.sqlite"),
    )
    try:
        # What the commands import is imported while this user may read it.
        assert [run_command(tmp_path, *command).exit_code for command in commands] == [0] * 3
        with unwritable(folder):
            ended = [run_command(target, *command) for command in commands]
        assert [(one.exit_code, one.stderr) for one in ended] == [(0, "")] * 3
        assert read_rows(target / "all.sqlite") == rows
    finally:
        shutil.rmtree(target)


def leave_log(folder: Path, names: tuple[str, ...]) -> None:
    """Put a store whose last point is in its log alone, with the files of these endings, in place of the first."""
    store, aside = folder / "store.sqlite", folder / "aside.sqlite"
    store.rename(aside)
    with closing(sqlite3.connect(aside, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("DELETE FROM points WHERE rowid = 1")
        for name in names:
            shutil.copy(f"{aside}{name}", f"{store}{name}")
    aside.unlink()


@pytest.mark.parametrize("names", [("", "-wal"), ("", "-wal", "-shm")], ids=["log", "log and index"])
def test_what_is_in_the_log_of_a_store_that_cannot_be_written_is_read_too(folder: Path, names: tuple[str, ...]) -> None:
    leave_log(folder, names)
    before = sorted(folder.iterdir())
    with unwritable(folder):
        assert len(load_sweep(folder / "store.sqlite")) == POINTS - 1
    assert sorted(folder.iterdir()) == before


def test_a_store_that_cannot_be_written_is_refused_as_the_target_of_a_sweep(folder: Path, tmp_path: Path) -> None:
    store, space = folder / "store.sqlite", load_text(tmp_path)
    with unwritable(folder), pytest.raises(InputError) as caught:
        run_sweep(space, store, executor=InlineExecutor(QuickEvaluator()))
    assert str(caught.value) == (
        f"{store}: the store is read-only; make it and its folder writable, or choose another with --store"
    )


def test_what_is_no_file_that_can_be_read_is_no_store(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (folder / "store.sqlite").chmod(0)
    cases = {
        tmp_path / "fifo": "is a pipe; a regular file is needed",
        tmp_path: "is a directory, not a store",
        tmp_path / "none": "there is no such store",
    }
    for path, words in cases.items():
        with pytest.raises(InputError) as caught:
            load_sweep(path)
        assert str(caught.value) == f"{path}: {words}"
    with acting_as_another(), pytest.raises(InputError) as caught:
        load_sweep(folder / "store.sqlite")
    assert str(caught.value) == f"{folder / 'store.sqlite'}: the store cannot be read: permission denied"
