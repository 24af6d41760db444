"""`sparsetrain simulate`: every option, what it prints, and the run directory it writes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.command import run_command, write_small

from sim import simulate
from sim.results.rows import describe_columns
from sim.run import Progress
from workloads.shapes import Step

RUN_FILES = ("actions.csv", "architecture.yaml", "run.json", "steps.csv", "workload.yaml")


def read_steps(directory: Path) -> list[dict[str, str]]:
    """Read the rows of a run's steps.csv."""
    with (directory / "steps.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def read_record(directory: Path) -> Any:
    """Read a run's run.json."""
    return json.loads((directory / "run.json").read_text())


def test_a_run_writes_its_directory_and_prints_table_clock_source_and_verdict(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "simulate", write_small(tmp_path), "--arch", "ideal")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert outcome.files == (*(f"out/small-ideal/{name}" for name in RUN_FILES), "small.yaml")
    cycles = read_record(tmp_path / "out" / "small-ideal")["totals"]["machines"]["ideal"]["network"]["cycles"]
    lines = outcome.stdout.splitlines()
    assert lines[0] == "small on ideal, beside ideal-dense"
    assert lines[-1] == "Results: out/small-ideal/steps.csv, out/small-ideal/run.json"
    assert {
        "Operands: synthetic integers (unrepresentative: random zeros), seed 1.",
        f"Clock: 800 MHz; the iteration's {cycles:,} cycles on ideal take {cycles / 800e3:,.3f} ms.",
        "Verdict: verified; all 18 outputs are the reference's, 18 of them exactly, the others within the bound of "
        "float32 rounding (largest difference 0).",
    } <= set(lines)


def test_the_table_names_what_was_overridden(tmp_path: Path) -> None:
    changed = ["--set", "array.groups=2", "--baseline", "skipping-off,natural"]
    outcome = run_command(tmp_path, "simulate", write_small(tmp_path), "--arch", "ideal", *changed)
    lines = outcome.stdout.splitlines()
    assert lines[0].rstrip() == "small on ideal[array.groups=2], beside ideal[array.groups=2]-dense"
    assert "What each kind of sparsity buys, beside ideal[array.groups=2]-dense" in [line.rstrip() for line in lines]


def test_the_columns_are_the_declared_ones_in_their_order(tmp_path: Path) -> None:
    run_command(tmp_path, "simulate", write_small(tmp_path), "--arch", "ideal", "--out", "run")
    header = (tmp_path / "run" / "steps.csv").read_text().splitlines()[0]
    assert header.split(",") == [name for name, _, _ in describe_columns()]


def test_the_record_names_versions_inputs_totals_and_verdict(tmp_path: Path) -> None:
    run_command(
        tmp_path, "simulate", write_small(tmp_path), "--arch", "ideal", "--out", "run", "--set", "array.groups=2"
    )
    record = read_record(tmp_path / "run")
    assert record["schema_version"] >= 1
    assert record["workload"]["name"] == "small"
    assert record["architecture"]["array"]["groups"] == 2
    assert record["baseline"]["array"]["groups"] == 2
    assert (record["architecture"]["array"]["skip_zeros"], record["baseline"]["array"]["skip_zeros"]) == (True, False)
    assert (record["seed"], record["verdict"], record["failures"]) == (1, "verified", [])
    rows = read_steps(tmp_path / "run")
    for machine, totals in record["totals"]["machines"].items():
        mine = [row for row in rows if row["machine"] == machine]
        assert totals["network"]["cycles"] == sum(int(row["cycles"]) for row in mine)
        convolutions = [row for row in mine if row["kind"] == "conv2d"]
        assert totals["convolutions"]["cycles"] == sum(int(row["cycles"]) for row in convolutions)
    assert len(record["totals"]["machines"]) == 2


def test_the_resolved_files_of_a_run_repeat_it(tmp_path: Path) -> None:
    run_command(
        tmp_path,
        "simulate",
        write_small(tmp_path),
        "--arch",
        "ideal",
        "--out",
        "first",
        "--set",
        "array.groups=3",
        "--seed",
        "5",
    )
    again = ["simulate", "first/workload.yaml", "--arch", "first/architecture.yaml", "--out", "second"]
    assert run_command(tmp_path, *again).exit_code == 0
    for name in ("steps.csv", "architecture.yaml"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name
    first, second = (read_record(tmp_path / name) for name in ("first", "second"))
    assert first["architecture"]["name"] == "ideal[array.groups=3]"
    differing = {name for name in first | second if first[name] != second[name]}
    # The layers' fields stand in another order in the second workload.yaml.
    assert differing <= {"files", "record_sha256"}


@pytest.mark.parametrize(
    ("options", "layers", "steps", "machines"),
    [
        ([], {"conv1", "conv2", "fc"}, {"forward", "gta", "gtw"}, {"ideal", "ideal-dense"}),
        (["--layers", "conv*"], {"conv1", "conv2"}, {"forward", "gta", "gtw"}, {"ideal", "ideal-dense"}),
        (["--layers", "fc"], {"fc"}, {"forward", "gta", "gtw"}, {"ideal", "ideal-dense"}),
        (["--steps", "gtw, forward"], {"conv1", "conv2", "fc"}, {"forward", "gtw"}, {"ideal", "ideal-dense"}),
        (["--baseline", "none"], {"conv1", "conv2", "fc"}, {"forward", "gta", "gtw"}, {"ideal"}),
        (["--baseline", "ideal-dense"], {"conv1", "conv2", "fc"}, {"forward", "gta", "gtw"}, {"ideal", "ideal-dense"}),
        (["--arch", "ideal-dense"], {"conv1", "conv2", "fc"}, {"forward", "gta", "gtw"}, {"ideal-dense"}),
    ],
)
def test_options_choose_layers_steps_and_machines(
    options: list[str], layers: set[str], steps: set[str], machines: set[str], tmp_path: Path
) -> None:
    assert (
        run_command(tmp_path, "simulate", write_small(tmp_path), "--arch", "ideal", "--out", "run", *options).exit_code
        == 0
    )
    rows = read_steps(tmp_path / "run")
    assert {row["layer"] for row in rows} == layers
    assert {row["step"] for row in rows} == steps
    assert {row["machine"] for row in rows} == machines
    assert len(rows) == len(layers) * len(steps) * len(machines)


def test_batch_and_seed_replace_those_of_the_file(tmp_path: Path) -> None:
    options = ["--batch", "3", "--seed", "9", "--no-verify", "--out", "run"]
    assert run_command(tmp_path, "simulate", write_small(tmp_path), "--arch", "ideal", *options).exit_code == 0
    record = read_record(tmp_path / "run")
    assert (record["workload"]["batch"], record["workload"]["operands"]["seed"], record["seed"]) == (3, 9, 9)


def test_without_verification_nothing_is_called_verified(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "simulate", write_small(tmp_path), "--arch", "ideal", "--no-verify", "--out", "run")
    assert "Verdict: not verified; no values were computed.\n" in outcome.stdout
    rows = read_steps(tmp_path / "run")
    assert {(row["verified"], row["verdict"], row["max_abs_error"]) for row in rows} == {("False", "none", "")}
    assert read_record(tmp_path / "run")["verdict"] == "not verified"


def test_outputs_are_saved_without_verification_too_and_inside_the_run(tmp_path: Path) -> None:
    options = ["--no-verify", "--out", "run", "--save-outputs", "run/values.npz"]
    for _ in range(2):
        assert run_command(tmp_path, "simulate", write_small(tmp_path), "--arch", "ideal", *options).exit_code == 0
        with np.load(tmp_path / "run" / "values.npz") as outputs:
            assert sorted(outputs) == sorted(f"{name}/{step}" for name in ("conv1", "conv2", "fc") for step in Step)
            assert outputs["conv1/forward"].shape == (2, 4, 6, 5)
            assert not any(np.isnan(outputs[name]).any() for name in outputs)


def test_the_same_seed_gives_the_same_bytes_in_any_number_of_processes(tmp_path: Path) -> None:
    workload = write_small(tmp_path)
    for name, jobs in (("first", "1"), ("second", "1"), ("third", "2")):
        options = ["--jobs", jobs, "--out", name, "--save-outputs", f"{name}.npz"]
        assert run_command(tmp_path, "simulate", workload, "--arch", "ideal", *options).exit_code == 0
    for name in RUN_FILES:
        contents = [(tmp_path / run / name).read_bytes() for run in ("first", "second", "third")]
        assert contents[0] == contents[1] == contents[2], name
    with np.load(tmp_path / "first.npz") as first, np.load(tmp_path / "third.npz") as third:
        assert list(first) == list(third)
        assert all(np.array_equal(first[name], third[name]) for name in first)


def test_another_seed_gives_other_operands(tmp_path: Path) -> None:
    workload = write_small(tmp_path)
    for seed in ("1", "2"):
        run_command(tmp_path, "simulate", workload, "--arch", "ideal", "--seed", seed, "--no-verify", "--out", seed)
    assert (tmp_path / "1" / "steps.csv").read_bytes() != (tmp_path / "2" / "steps.csv").read_bytes()


def test_a_host_iteration_is_the_same_in_one_and_two_processes(tmp_path: Path) -> None:
    for jobs in ("1", "2"):
        options = ["--layers", "fc*", "--batch", "2", "--baseline", "none", "--jobs", jobs, "--out", jobs]
        assert run_command(tmp_path, "simulate", "lenet5", "--arch", "ideal", *options).exit_code == 0
    for name in RUN_FILES:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name


def test_progress_counts_up_to_the_whole(tmp_path: Path) -> None:
    seen: list[Progress] = []
    result = simulate(tmp_path / write_small(tmp_path), "ideal", verify=False, on_progress=seen.append)
    assert [(step.layer, step.step) for step in seen] == [
        (step.layer, step.step) for step in result.steps if step.machine == "ideal"
    ]
    assert [step.done_macs for step in seen] == sorted(step.done_macs for step in seen)
    assert seen[-1].done_macs == seen[-1].total_macs


def test_the_python_interface_gives_rows_totals_and_no_directory(tmp_path: Path) -> None:
    result = simulate(tmp_path / write_small(tmp_path), "ideal", overrides=["array.groups=4"], steps=["forward"])
    assert result.is_correct
    assert result.directory is None
    assert list(result.frame["step"].unique()) == ["forward"]
    machine = "ideal[array.groups=4]"
    assert result.totals["machines"][machine]["network"]["cycles"] == sum(
        step.cycles for step in result.steps if step.machine == machine
    )
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


def test_a_pipe_gets_no_progress_bar_and_no_escape_codes(tmp_path: Path) -> None:
    write_small(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", "from reports.cli import main; main()", "simulate", "small.yaml", "--arch", "ideal"],
        cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    # On a very slow machine lines of progress are due; a bar never is.
    assert [line for line in done.stderr.splitlines() if not line.startswith("sparsetrain: ")] == []
    assert "\x1b" not in done.stdout + done.stderr
    assert "Verdict: verified" in done.stdout
