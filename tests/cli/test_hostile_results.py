"""Files of a run that were changed by hand, cut short or mixed up: refused in one sentence by what reads them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli.command import run_command, write_small
from cli.hostile_results import Case, damage_text, mutate_record, mutate_table
from cli.refusals import find_flaw

# Texts that nothing else in the files speaks of, and inputs that another machine with the same rows could have had.
HARMLESS = {
    "run.json": (
        "workload.name", "workload.description", "workload.operands.density", "workload.operands.seed",
        "workload.operands.integers",
        "architecture.dataflow", "architecture.clock_mhz", "architecture.array", "architecture.buffer",
        "architecture.dram", "architecture.ppu", "architecture.storage",
        "architecture.technology", "baseline.technology", "baseline.dataflow", "baseline.clock_mhz",
        "baseline.array", "baseline.buffer", "baseline.dram", "baseline.ppu", "baseline.storage", "layers", "seed",
        "operand_source", "policies.sparsetrain.", "machines.sparsetrain.technology", "machines.sparsetrain.warnings",
        "machines.sparsetrain.units.0.area_source", "machines.sparsetrain.units.0.leakage_source",
        "machines.sparsetrain.energy.0.source", "version", "workload.batch",
    ),
    "steps.csv": ("operands", "task_indices", "tolerance"),
    "actions.csv": (),
}  # fmt: skip
MOST_HARMLESS = {"run.json": 20, "steps.csv": 6, "actions.csv": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    assert run_command(folder, "simulate", write_small(folder), "--out", "run").exit_code == 0
    return folder


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder / "run", tmp_path / "run")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "family", "least"),
    [
        ("run.json", mutate_record, 450),
        ("run.json", damage_text, 13),
        ("steps.csv", mutate_table, 150),
        ("actions.csv", mutate_table, 50),
    ],
)
def test_what_no_run_is_written_with_is_refused_in_a_sentence(
    copy: Path, name: str, family: Callable[[str], Iterator[Case]], least: int
) -> None:
    path = copy / "run" / name
    cases = list(family(path.read_text()))
    flaws, accepted = [], []
    for case in cases:
        path.write_bytes(case.text.encode("utf-8", "surrogateescape"))
        outcome = run_command(copy, "explain", "run", "conv1", "gtw")
        if outcome.exit_code == 0 and case.name.startswith(HARMLESS[name]):
            accepted.append(case.name)
        elif flaw := find_flaw(outcome, "sparsetrain: run/", name):
            flaws.append((case.name, flaw))
    assert flaws == []
    assert len(cases) >= least
    assert len(accepted) <= MOST_HARMLESS[name]


def test_each_command_refuses_a_row_that_was_changed(copy: Path) -> None:
    path = copy / "run" / "steps.csv"
    rows = path.read_text().splitlines()
    names, cells = rows[0].split(","), rows[1].split(",")
    cells[names.index("cycles")] = "7"
    path.write_text("\n".join([rows[0], ",".join(cells), *rows[2:]]) + "\n")
    spent = sum(int(cells[names.index(name)]) for name in names if name.startswith("wait_") or name in STATES)
    for command in (["explain", "run", "conv1"], ["compare", "run", "run"], ["report", "run", "-o", "page.html"]):
        outcome = run_command(copy, *command)
        assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (
            2,
            "",
            "sparsetrain: run/steps.csv: the row of conv1 forward on sparsetrain: the groups' states sum to "
            f"{spent:,} cycles, but 56 groups have {7 * 56:,}\n",
        )
    assert not (copy / "page.html").exists()


STATES = ("busy_cycles", "idle_cycles")


def test_totals_that_do_not_follow_from_the_rows_are_refused(copy: Path) -> None:
    path = copy / "run" / "run.json"
    text = path.read_text()
    cycles = text.partition('"network": {\n          "cycles": ')[2].partition(",")[0]
    path.write_text(text.replace(f'"cycles": {cycles}', '"cycles": 1'))
    assert run_command(copy, "compare", "run", "run").stderr == (
        "sparsetrain: run/run.json: totals.machines.sparsetrain.network.cycles is 1, but by the rows of steps.csv it "
        f"is {cycles}\n"
    )


def test_a_cell_is_refused_with_its_line_and_what_is_allowed(copy: Path) -> None:
    path = copy / "run" / "steps.csv"
    path.write_text(path.read_text().replace(",conv2d,gtw,sparsetrain,", ",conv2d,gtw,sparsetrain,-", 1))
    line, row = next(
        (number, row) for number, row in enumerate(path.read_text().splitlines(), 1) if ",gtw,sparsetrain,-" in row
    )
    assert run_command(copy, "compare", "run", "run").stderr == (
        f"sparsetrain: run/steps.csv: line {line}: cycles must be a whole number from 0 to 9,007,199,254,740,992, got "
        f"'{row.split(',')[4]}'\n"
    )


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_loop(path: Path) -> None:
    path.symlink_to(path.name)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


@pytest.mark.parametrize("name", ["run.json", "steps.csv", "actions.csv"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (make_pipe, "is a pipe; a regular file is needed"),
        (Path.mkdir, "is a directory; a regular file is needed"),
        (make_device, "is a device; a regular file is needed"),
        (make_huge, "holds 1,099,511,627,776 bytes; at most {limit} are read"),
    ],
)
def test_what_is_no_file_of_a_sound_size_is_refused_without_reading_it(
    copy: Path, name: str, make: Callable[[Path], None], words: str
) -> None:
    (copy / "run" / name).unlink()
    make(copy / "run" / name)
    limit = f"{2**26 if name == 'run.json' else 2**28:,}"
    assert run_command(copy, "explain", "run", "conv1", "gtw").stderr == (
        f"sparsetrain: run/{name}: {words.format(limit=limit)}\n"
    )


@pytest.mark.parametrize("name", ["run.json", "steps.csv", "actions.csv"])
def test_a_link_that_leads_to_itself_is_refused(copy: Path, name: str) -> None:
    (copy / "run" / name).unlink()
    make_loop(copy / "run" / name)
    assert find_flaw(run_command(copy, "explain", "run", "conv1", "gtw"), name) is None


def test_files_of_two_runs_are_told_apart(copy: Path) -> None:
    (copy / "small.yaml").write_text((copy / "run" / "workload.yaml").read_text())
    assert run_command(copy, "simulate", "small.yaml", "--seed", "2", "--out", "other").exit_code == 0
    for name in ("steps.csv", "actions.csv"):
        kept = (copy / "run" / name).read_text()
        shutil.copy(copy / "other" / name, copy / "run" / name)
        assert find_flaw(run_command(copy, "explain", "run", "conv1", "gtw"), name) is None
        (copy / "run" / name).write_text(kept)
