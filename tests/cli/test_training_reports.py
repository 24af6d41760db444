"""A page of a folder of trainings, and folders that are damaged; all numbers are made up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cli.command import run_command
from made_up_training import MadeUp


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MadeUp(rates=(0.0, 0.9), seeds=(1, 2), epochs=2).write(tmp_path_factory.mktemp("studies") / "study")


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    shutil.copytree(written, tmp_path / "study")
    return tmp_path


def test_report_writes_the_page_of_a_folder_of_trainings(folder: Path) -> None:
    outcome = run_command(folder, "report", "study", "-o", "page.html")
    size = (folder / "page.html").stat().st_size / 1e6
    assert (outcome.exit_code, outcome.stdout) == (0, f"Page: page.html ({size:.1f} MB)\n")
    assert "<title>Training of made up, with and without pruning</title>" in (folder / "page.html").read_text()


def change_cell(folder: Path, table: str, column: str, cell: str) -> None:
    """Change the first cell of a column."""
    path = folder / "study" / f"{table}.csv"
    head, first, *others = path.read_text().splitlines()
    cells = first.split(",")
    cells[head.split(",").index(column)] = cell
    path.write_text("\n".join([head, ",".join(cells), *others]) + "\n")


@pytest.mark.parametrize(
    ("table", "column", "cell", "sentence"),
    [
        ("runs", "test_accuracy", "high", "study/runs.csv: cannot be read: could not convert string to float: 'high'"),
        ("epochs", "loss", "inf", "epochs.csv: column loss: holds what is no finite number"),
        ("epochs", "rate", "", "epochs.csv: column rate: has an empty cell"),
        ("sites", "node", "", "sites.csv: column node: has an empty cell"),
    ],
)
def test_a_damaged_table_is_refused_by_its_name(
    folder: Path, table: str, column: str, cell: str, sentence: str
) -> None:
    change_cell(folder, table, column, cell)
    outcome = run_command(folder, "report", "study", "-o", "page.html")
    assert (outcome.exit_code, outcome.stderr) == (2, f"sparsetrain: {sentence}\n")
    assert not (folder / "page.html").exists()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("rates", 3, "a list"), ("name", None, "text"), ("failures", [], "an object"), ("epochs", "15", "a whole number")],
)
def test_a_damaged_record_is_refused_by_its_field(folder: Path, field: str, value: object, words: str) -> None:
    path = folder / "study" / "training.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    outcome = run_command(folder, "report", "study", "-o", "page.html")
    assert (outcome.exit_code, outcome.stderr) == (2, f"sparsetrain: training.json: {field} must be {words}\n")


def test_a_table_that_is_missing_is_named(folder: Path) -> None:
    (folder / "study" / "sites.csv").unlink()
    outcome = run_command(folder, "report", "study", "-o", "page.html")
    assert (outcome.exit_code, outcome.stderr) == (2, "sparsetrain: study/sites.csv: there is no such file\n")


@pytest.mark.parametrize("further", [["study"], ["--baseline", "study"], ["--trace", "trace.json.gz"]])
def test_a_page_of_trainings_is_of_one_folder_alone(folder: Path, further: list[str]) -> None:
    outcome = run_command(folder, "report", "study", *further, "-o", "page.html")
    assert (outcome.exit_code, outcome.stderr) == (
        2, "sparsetrain: the page of trainings is of one folder, without --baseline and --trace\n",
    )  # fmt: skip
