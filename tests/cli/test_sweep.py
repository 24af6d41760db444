"""`sparsetrain sweep`, `results`, `merge` and `report` on stores."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pandas as pd
import psutil
import pytest
from cli.command import run_command, write_small
from cli.malformed_sweeps import ALLOWED, MALFORMED_SWEEPS, SWEEP, MalformedSweep
from unit.sweep.small_sweeps import count_when_there
from waiting import HEAR_INTERRUPTS, PATIENCE_S, wait_for

from sim.architecture import list_architectures
from sim.sweep import load_sweep
from sim.sweep.design import ARCHITECTURE_ROOTS, WORKLOAD_ROOTS
from sim.sweep.metrics import OBJECTIVES
from workloads.words import list_words

# So many points that the signal comes while most of them are left.
LONG_POINTS = 24 * 10
LONG = SWEEP.replace("[1, 2]", str(list(range(1, 25)))).replace("[8, 16]", str(list(range(2, 22, 2))))
LONG_COLUMNS = ("workload", "array.groups", "dram.bytes_per_cycle", "cycles", "wait_dram_cycles", "dram_read_bytes",
                "dram_write_bytes", "status")  # fmt: skip


def write_sweep(folder: Path, text: str = SWEEP) -> str:
    write_small(folder)
    (folder / "sweep.yaml").write_text(text)
    return "sweep.yaml"


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swept")
    outcome = run_command(folder, "sweep", write_sweep(folder))
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert outcome.stdout == "Points: 4 done, 0 infeasible, 0 failed\nStore: out/small.sqlite\n"
    return folder


@pytest.mark.parametrize("case", MALFORMED_SWEEPS, ids=lambda case: case.name.replace(" ", "_"))
def test_a_malformed_sweep_is_answered_with_one_sentence(case: MalformedSweep, tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "sweep", write_sweep(tmp_path, case.text))
    names = {
        "{roots}": f"(the fields are {', '.join((*ARCHITECTURE_ROOTS, *WORKLOAD_ROOTS))})",
        "{objectives}": f"(the objectives are {list_words(OBJECTIVES)})",
        "{architectures}": f"(the presets are {', '.join(preset.name for preset in list_architectures())}; "
        "or give a YAML file)",
    }
    message = case.message
    for name, words in names.items():
        message = message.replace(name, words)
    start = "" if message.startswith("unknown") else "sweep.yaml"
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (2, "", f"sparsetrain: {start}{message}\n")
    assert outcome.files == ("small.yaml", "sweep.yaml")


def test_there_are_at_least_25_malformed_sweeps_of_different_names() -> None:
    assert len({case.name for case in MALFORMED_SWEEPS}) == len(MALFORMED_SWEEPS) >= 25


def test_a_dry_run_counts_the_points_and_writes_nothing(tmp_path: Path) -> None:
    text = SWEEP + "constraints: [array.groups * dram.bytes_per_cycle < 32]\n"
    outcome = run_command(tmp_path, "sweep", write_sweep(tmp_path, text), "--dry-run", "--jobs", "2")
    assert outcome.stdout.splitlines() == [
        "sweep.yaml: valid; 3 points, 1 more left out by constraints and budgets",
        "No estimate of the time: out/small.sqlite holds no earlier point of these workloads, and a dry run runs none.",
    ]
    assert (outcome.exit_code, outcome.files) == (0, ("small.yaml", "sweep.yaml"))


def test_a_dry_run_evaluates_nothing_and_estimates_from_the_points_in_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_command(tmp_path, "sweep", write_sweep(tmp_path))
    with sqlite3.connect(tmp_path / "out" / "small.sqlite") as connection:
        connection.execute("UPDATE evaluations SET seconds = 3")
    connection.close()
    monkeypatch.setattr("sim.sweep.evaluation.run_request", None)
    monkeypatch.setattr("sim.sweep.sweep.make_executor", None)
    outcome = run_command(tmp_path, "sweep", write_sweep(tmp_path, SWEEP.replace("[1, 2]", "[2, 3, 4]")), "--dry-run")
    assert outcome.stdout.splitlines() == [
        "sweep.yaml: valid; 6 points",
        "Estimated time with --jobs 1: 12.0 s for the 4 points that out/small.sqlite does not hold "
        "(from the mean of 4 earlier evaluations in it)",
    ]
    text = SWEEP + "search: {sampler: tpe, trials: 3, objectives: [cycles]}\n"
    searched = run_command(tmp_path, "sweep", write_sweep(tmp_path, text), "--dry-run", "--jobs", "2")
    assert searched.stdout.splitlines() == [
        "sweep.yaml: valid; 3 points at most (tpe search)",
        "Estimated time with --jobs 2: 4.5 s for the 3 points that out/small.sqlite does not hold "
        "(from the mean of 4 earlier evaluations in it)",
    ]


def test_a_second_start_runs_nothing(swept: Path) -> None:
    outcome = run_command(swept, "sweep", "sweep.yaml")
    assert outcome.stdout.splitlines()[0] == "Points: 0 done, 0 infeasible, 0 failed; 4 were there already"


def test_results_are_filtered_chosen_and_sorted(swept: Path) -> None:
    options = ["--where", "array.groups == 2 and cycles > 0", "--columns", "array.groups,dram.bytes_per_cycle,status"]
    outcome = run_command(swept, "results", "out/small.sqlite", *options, "--sort", "cycles")
    cells = [line.split() for line in outcome.stdout.splitlines() if line.strip() and "──" not in line]
    assert cells[0] == ["array.groups", "dram.bytes_per_cycle", "status"]
    assert sorted(cells[1:]) == [["2", "16", "done"], ["2", "8", "done"]]


@pytest.mark.parametrize("width", ["60", "80", "160"])
def test_results_fit_the_terminal_and_leave_nothing_out(swept: Path, width: str) -> None:
    shown = run_command(swept, "results", "out/small.sqlite", "--columns", ",".join(LONG_COLUMNS), columns=width).stdout
    assert max(len(line) for line in shown.splitlines()) <= int(width)
    for cell in load_sweep(swept / "out" / "small.sqlite")["dram_read_bytes"]:
        assert f"{cell:,}" in shown
    wide = run_command(swept, "results", "out/small.sqlite", "--columns", ",".join(LONG_COLUMNS), "--wide").stdout
    assert wide.splitlines()[0].split() == list(LONG_COLUMNS)


def test_results_are_written_as_csv_and_parquet(swept: Path, tmp_path: Path) -> None:
    csv, parquet = tmp_path / "points.csv", tmp_path / "points.parquet"
    outcome = run_command(swept, "results", "out/small.sqlite", "--csv", str(csv), "--parquet", str(parquet))
    assert outcome.exit_code == 0
    frame = load_sweep(swept / "out" / "small.sqlite")
    frame.attrs = {}
    pd.testing.assert_frame_equal(pd.read_parquet(parquet), frame)
    assert list(pd.read_csv(csv)["cycles"]) == list(frame["cycles"])


def test_results_show_sensitivity_and_front(swept: Path) -> None:
    outcome = run_command(swept, "results", "out/small.sqlite", "--sensitivity")
    assert {"array.groups", "dram.bytes_per_cycle"} <= set(outcome.stdout.split())
    front = run_command(swept, "results", "out/small.sqlite", "--pareto", "cycles", "--columns", "cycles")
    least = load_sweep(swept / "out" / "small.sqlite")["cycles"].min()
    assert f"{least:,}" in front.stdout.split()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--where", "cycle < 3"], "--where: 'cycle < 3' names 'cycle', which is unknown; did you mean 'cycles'?"),
        (["--sort", "cyclesx"], "--sort: there is no column 'cyclesx'; did you mean 'cycles'?"),
        (["--columns", "cyclesx"], "--columns: there is no column 'cyclesx'; did you mean 'cycles'?"),
        (["--pareto", "cyclesx"], "--pareto: there is no column 'cyclesx'; did you mean 'cycles'?"),
        (["--columns", ","], "--columns: no column is named; the columns are workload, architecture, "),
        (["--pareto", " , "], "--pareto: no column is named; the columns are workload, architecture, "),
    ],
)
def test_results_refuse_unknown_columns(options: list[str], message: str, swept: Path) -> None:
    outcome = run_command(swept, "results", "out/small.sqlite", *options)
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith(f"sparsetrain: {message}")
    assert outcome.stderr.endswith(" more, which --csv FILE writes\n" if "columns are" in outcome.stderr else "?\n")
    assert len(outcome.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--columns", "cycles,cycles"], "--columns: the column 'cycles' is named 2 times; once is enough"),
        (["--pareto", "cycles,energy_pj,cycles"], "--pareto: the column 'cycles' is named 2 times; once is enough"),
        (["--pareto", "workload"],
         "--pareto: the column 'workload' holds no numbers; a front is of numbers, such as cycles"),
        (["--pareto", "cycles,array.skip_zeros"],
         "--pareto: the column 'array.skip_zeros' holds no numbers; a front is of numbers, such as cycles"),
        (["--pareto", "speedup"], "--pareto: no point has a value of 'speedup'"),
        (["--where", "cycles"], "--where: 'cycles' gives {cycles}; a condition must give true or false"),
        (["--where", "workload < 3"], "--where: 'workload < 3' cannot be computed for workload = 'small': "
         "'<' not supported between instances of 'str' and 'int'"),
        (["--where", ""], f"--where: '' is not a condition; {ALLOWED}"),
    ],
)  # fmt: skip
def test_results_refuse_what_makes_no_table(options: list[str], message: str, swept: Path) -> None:
    outcome = run_command(swept, "results", "out/small.sqlite", *options)
    cycles = load_sweep(swept / "out" / "small.sqlite")["cycles"][0]
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert outcome.stderr == f"sparsetrain: {message.replace('{cycles}', str(cycles))}\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--timeout", given], f"the timeout of a point must be a finite number of seconds above 0, got {number}")
        for given, number in (("nan", "nan"), ("inf", "inf"), ("-inf", "-inf"), ("-1", "-1.0"), ("0", "0.0"))
    ]
    + [
        (["--memory", given], f"the memory of a point must be a number of MB from 1 to 16777216, got {given}")
        for given in ("0", "-5", "99999999999")
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_limits_of_a_point_that_limit_nothing_are_refused(
    options: list[str], message: str, dry: list[str], tmp_path: Path
) -> None:
    outcome = run_command(tmp_path, "sweep", write_sweep(tmp_path), *options, *dry)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (2, "", f"sparsetrain: {message}\n")
    assert outcome.files == ("small.yaml", "sweep.yaml")


def test_a_store_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite").write_text("no database, but long enough to be looked at " * 100)
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    for name, message in (
        ("none.sqlite", "there is no such store"),
        ("text.sqlite", "is not a store, or is damaged: file is not a database"),
        ("other.sqlite", "is a database, but not a store of sweeps"),
    ):
        outcome = run_command(tmp_path, "results", name)
        assert (outcome.exit_code, outcome.stderr) == (2, f"sparsetrain: {name}: {message}\n")


def test_stores_are_merged(swept: Path, tmp_path: Path) -> None:
    text = SWEEP.replace("[1, 2]", "[2, 3]")
    run_command(tmp_path, "sweep", write_sweep(tmp_path, text), "--store", "second.sqlite")
    first = str(swept / "out" / "small.sqlite")
    outcome = run_command(tmp_path, "merge", first, "second.sqlite", "--into", "all.sqlite")
    assert outcome.stdout.splitlines() == [
        f"{first}: 4 points added", "second.sqlite: 2 points added", "Store: all.sqlite",
    ]  # fmt: skip
    together = load_sweep([first, tmp_path / "second.sqlite"])
    merged = load_sweep(tmp_path / "all.sqlite")
    assert list(merged["key"]) == list(together["key"])
    assert list(merged["cycles"]) == list(together["cycles"])


def test_an_infeasible_point_is_a_result_with_its_reason(tmp_path: Path) -> None:
    text = SWEEP.replace("dram.bytes_per_cycle: [8, 16]", "array.accumulators: [1, 256]")
    outcome = run_command(tmp_path, "sweep", write_sweep(tmp_path, text))
    assert (outcome.exit_code, outcome.stdout.splitlines()[0]) == (0, "Points: 2 done, 2 infeasible, 0 failed")
    frame = load_sweep(tmp_path / "out" / "small.sqlite")
    refused = frame[frame["array.accumulators"] == 1]
    assert set(refused["status"]) == {"infeasible"}
    assert refused["reason"].str.contains("'conv1'").all()
    assert refused["cycles"].isna().all()


def test_the_page_of_a_store_holds_its_points_and_escapes_what_users_wrote(swept: Path, tmp_path: Path) -> None:
    outcome = run_command(swept, "report", "out/small.sqlite", "-o", str(tmp_path / "page.html"))
    assert outcome.exit_code == 0
    page = (tmp_path / "page.html").read_text()
    assert "4 points (4 done, 0 infeasible, 0 failed) of small" in page
    for words in ("Pareto front", "Which parameter moves what?", "Best in cycles", "All points"):
        assert words in page
    for cycles in load_sweep(swept / "out" / "small.sqlite")["cycles"]:
        assert str(cycles) in page


def start_long_sweep(folder: Path) -> subprocess.Popen[bytes]:
    """Start the command in a process of its own, and wait until its first points are stored."""
    write_sweep(folder, LONG)
    code = HEAR_INTERRUPTS + "from reports.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", code, "sweep", "sweep.yaml", "--no-sharing"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    wait_for(lambda: process.poll() is not None or count_when_there(folder / "out" / "small.sqlite") >= 2, "a point")
    assert process.poll() is None
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_is_stopped_leaves_no_process_and_goes_on(number: signal.Signals, tmp_path: Path) -> None:
    process = start_long_sweep(tmp_path)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    process.send_signal(number)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    if number == signal.SIGINT:
        sentence = "sparsetrain: interrupted; what was finished is in out/small.sqlite, and the same command goes on\n"
        assert (process.returncode, stderr.decode()) == (130, sentence)
    _, alive = psutil.wait_procs(workers, timeout=PATIENCE_S)
    assert alive == []
    kept = len(load_sweep(tmp_path / "out" / "small.sqlite"))
    outcome = run_command(tmp_path, "sweep", "sweep.yaml")
    assert outcome.stdout.splitlines()[0] == (
        f"Points: {LONG_POINTS - kept} done, 0 infeasible, 0 failed; {kept} were there already"
    )


def test_points_of_a_sampled_sweep_tell_their_intervals(tmp_path: Path) -> None:
    write_sweep(tmp_path, "sample: 0.5\nbaseline: skipping-off\n" + SWEEP.replace("baseline: skipping-off\n", ""))
    outcome = run_command(tmp_path, "sweep", "sweep.yaml")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    frame = load_sweep(tmp_path / "out" / "small.sqlite")
    assert (frame["sampled_fraction"] <= 1).all()
    assert (frame["cycles_ci95"] >= 0).all()
