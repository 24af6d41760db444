"""Where a run is written, what it may replace there, and that nothing is left where a command fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, TextIO

import pytest
from cli.command import Outcome, run_command, write_small

from reports.cli import main
from sim import simulate
from sim.results import run_directory
from sim.results.run_directory import RUN_FILES
from workloads.errors import InputError
from workloads.output_files import Move

QUICK = ("--arch", "ideal", "--layers", "fc", "--steps", "forward", "--baseline", "none", "--no-verify")


def run_small(folder: Path, *options: str) -> Outcome:
    """Simulate one step of the small workload into `run`."""
    return run_command(folder, "simulate", write_small(folder), *QUICK, "--out", "run", *options)


def read_all(folder: Path) -> dict[str, bytes]:
    """Read every file of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def list_names(folder: Path) -> list[str]:
    """List what a folder holds."""
    return sorted(path.name for path in folder.iterdir())


def test_a_foreign_folder_with_a_run_json_is_left_as_it_is(tmp_path: Path) -> None:
    for name, text in ((".git/config", "x"), ("src/main.c", "x"), ("run.json", "{}")):
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_small(tmp_path)
    before = read_all(tmp_path)
    for options in ((), ("--overwrite",)):
        outcome = run_small(tmp_path, *options)
        sentence = "--out run: run.json there is not as a run wrote it; choose another directory"
        assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (2, "", f"sparsetrain: {sentence}\n")
        assert read_all(tmp_path) == before


def test_the_same_run_is_repeated_and_what_lies_beside_its_files_stays(tmp_path: Path) -> None:
    assert run_small(tmp_path).exit_code == 0
    run = tmp_path / "run"
    first = read_all(run)
    (run / "notes.md").write_text("mine")
    (run / "pages").mkdir()
    (run / "pages" / "page.html").write_text("mine")
    (run / "actions.csv").unlink()
    assert run_small(tmp_path).exit_code == 0
    assert read_all(run) == {**first, "notes.md": b"mine", "pages/page.html": b"mine"}
    assert run_small(tmp_path, "--layers", "conv*", "--overwrite").exit_code == 0
    assert set(read_all(run)) == {*RUN_FILES, "notes.md", "pages/page.html"}
    assert (run / "steps.csv").read_bytes() != first["steps.csv"]


@pytest.mark.parametrize("name", RUN_FILES[1:])
@pytest.mark.parametrize("is_link", [False, True])
def test_a_file_of_a_run_that_was_changed_is_not_replaced(name: str, is_link: bool, tmp_path: Path) -> None:
    run_small(tmp_path)
    path = tmp_path / "run" / name
    if is_link:
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_text(path.read_text() + "a note\n")
    before = read_all(tmp_path)
    outcome = run_small(tmp_path, "--overwrite")
    sentence = f"--out run: {name} there is not as the run wrote it; move it away or choose another directory"
    assert (outcome.exit_code, outcome.stderr) == (2, f"sparsetrain: {sentence}\n")
    assert read_all(tmp_path) == before


@pytest.mark.parametrize(
    "change",
    [lambda record: record | {"verdict": "verified"}, lambda record: record | {"files": {}}, lambda _: [],
     lambda record: {**record, "files": {**record["files"], "notes": {}}}],
)  # fmt: skip
def test_a_record_that_was_changed_is_not_replaced(change: Callable[[dict[str, Any]], Any], tmp_path: Path) -> None:
    run_small(tmp_path)
    path = tmp_path / "run" / "run.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    outcome = run_small(tmp_path, "--overwrite")
    sentence = "--out run: run.json there is not as a run wrote it; choose another directory"
    assert (outcome.exit_code, outcome.stderr) == (2, f"sparsetrain: {sentence}\n")


def test_a_record_that_was_only_laid_out_anew_is_the_runs_own(tmp_path: Path) -> None:
    run_small(tmp_path)
    path = tmp_path / "run" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert run_small(tmp_path).exit_code == 0


def test_a_run_of_an_earlier_form_is_replaced_where_that_is_asked_for(tmp_path: Path) -> None:
    run_small(tmp_path)
    path = tmp_path / "run" / "run.json"
    record = {
        name: value for name, value in json.loads(path.read_text()).items() if name not in ("files", "record_sha256")
    }
    path.write_text(json.dumps(record | {"schema_version": 3}))
    outcome = run_small(tmp_path)
    assert outcome.stderr == (
        "sparsetrain: --out run: holds a run of form 3, which does not list its files; --overwrite replaces it, "
        "or choose another directory\n"
    )
    assert run_small(tmp_path, "--overwrite").exit_code == 0


OTHERS = [
    (["--layers", "conv*"], "layers is fc there, conv* here"),
    (["--steps", "gtw"], "steps is [forward] there, [gtw] here"),
    (["--batch", "3"], "workload.batch is 2 there, 3 here"),
    (["--seed", "3"], "workload.operands.seed is 1 there, 3 here"),
    (["--set", "array.groups=3"], "architecture.array.groups is 56 there, 3 here"),
    (["--operands", "synthetic"], "workload.operands.density.grad_output is 0.4 there, 0.5 here and 1 more"),
    (["--engine", "simpy"], "options.engine is compiled there, simpy here"),
    (["--sample", "0.5"], "options.sample is null there, 0.5 here"),
]


@pytest.mark.parametrize(("options", "difference"), OTHERS, ids=[" ".join(options) for options, _ in OTHERS])
def test_another_run_is_not_replaced_and_has_a_default_folder_of_its_own(
    options: list[str], difference: str, tmp_path: Path
) -> None:
    run_small(tmp_path)
    before = read_all(tmp_path)
    outcome = run_small(tmp_path, *options)
    sentence = f"--out run: holds another run ({difference}); --overwrite replaces it, or choose another directory"
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (2, "", f"sparsetrain: {sentence}\n")
    assert read_all(tmp_path) == before


FOLDERS = [
    ([], "small-ideal"),
    (["--batch", "2", "--seed", "1", "--layers", "?*", "--set", "array.groups=56"], "small-ideal"),
    (["--batch", "3", "--seed", "4"], "small-ideal-batch=3-seed=4"),
    (["--set", "clock_mhz=3", "--set", "array.groups=28"], "small-ideal-clock_mhz=3-array.groups=28"),
    (["--layers", "fc", "--steps", "gtw,gta", "--no-verify"], "small-ideal-steps=gta+gtw-layers=fc-verify=no"),
    (["--baseline", "none", "--layers", "conv?"], "small-ideal-baseline=none-layers=conv~900b7ec0"),
    (["--baseline", "natural, mask"], "small-ideal-baseline=natural+mask"),
    (["--operands", "synthetic", "--engine", "simpy"], "small-ideal-operands=synthetic-engine=simpy"),
    (["--sample", "0.50"], "small-ideal-sample=0.5"),
]


@pytest.mark.parametrize(("options", "folder"), FOLDERS, ids=[folder for _, folder in FOLDERS])
def test_the_default_folder_names_what_differs_from_workload_and_machine(
    options: list[str], folder: str, tmp_path: Path
) -> None:
    outcome = run_command(tmp_path, "simulate", write_small(tmp_path), "--arch", "ideal", *options)
    assert (outcome.exit_code, list_names(tmp_path / "out")) == (0, [folder])
    assert f"Results: out/{folder}/steps.csv, out/{folder}/run.json\n" in outcome.stdout


def test_a_long_default_folder_is_cut_and_told_apart_by_a_digest(tmp_path: Path) -> None:
    sets = [part for size in (3, 4) for part in ("--set", f"array.{'groups' if size == 3 else 'pes_per_group'}={size}")]
    more = ["--set", "clock_mhz=900", "--batch", "3", "--seed", "12345678901234", "--baseline", "natural,mask,ideal"]
    for steps in ("forward,gta", "forward,gtw"):
        run_command(tmp_path, "simulate", write_small(tmp_path), "--arch", "ideal", *sets, *more, "--steps", steps)
    folders = list_names(tmp_path / "out")
    assert len(folders) == 2
    assert all(
        len(folder) <= 130 and folder.startswith("small-ideal-clock_mhz=900-array.groups=3") for folder in folders
    )


@pytest.mark.parametrize("out", [".", "..", "/", "{folder}", "run/.."])
def test_a_folder_that_is_or_holds_the_working_directory_is_refused(out: str, tmp_path: Path) -> None:
    write_small(tmp_path)
    given = out.replace("{folder}", str(tmp_path))
    outcome = run_small(tmp_path, "--out", given)
    shown = str(Path(given))
    sentence = f"--out {shown}: is or holds the working directory; name a directory of the run's own"
    assert (outcome.exit_code, outcome.stderr, outcome.files) == (2, f"sparsetrain: {sentence}\n", ("small.yaml",))


def test_outputs_that_cannot_be_where_they_are_asked_for_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for options, sentence in (
        (["--out", "pipe"], "--out pipe: is a pipe; a directory is needed"),
        (["--out", "x/run", "--save-outputs", "x"],
         "--save-outputs x: the run itself is written there; choose another file"),
        (["--out", "run", "--save-outputs", "other/../run/steps.csv"],
         "--save-outputs other/../run/steps.csv: the run itself is written there; choose another file"),
        (["--save-outputs", "a.json.gz", "--trace", "a.json.gz"],
         "--trace a.json.gz: the machine's values are written there; choose another file"),
    ):  # fmt: skip
        outcome = run_small(tmp_path, *options)
        assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (2, "", f"sparsetrain: {sentence}\n")
    assert list_names(tmp_path) == ["pipe", "small.yaml"]


@pytest.mark.parametrize("option", ["--save-outputs", "--trace"])
def test_a_run_is_not_left_where_another_output_fails(option: str, tmp_path: Path) -> None:
    (tmp_path / "full.json.gz").symlink_to("/dev/full")
    outcome = run_small(tmp_path, "--out", "deep/run", option, "full.json.gz")
    assert outcome.exit_code == 2
    *notices, last = outcome.stderr.splitlines()
    assert last == f"sparsetrain: {option} full.json.gz: cannot be written: No space left on device"
    assert len(notices) == (option == "--trace")
    assert list_names(tmp_path) == ["full.json.gz", "small.yaml"]


def open_unread() -> TextIO:
    """Open a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def open_full() -> TextIO:
    """Open a device that has no room."""
    return Path("/dev/full").open("w")


STDOUTS = [
    (open_unread, "the standard output was closed before everything was printed"),
    (open_full, "the standard output: No space left on device"),
]


@pytest.mark.parametrize(("make", "sentence"), STDOUTS, ids=["closed", "full"])
@pytest.mark.parametrize("is_there", [False, True])
def test_nothing_is_written_where_the_table_cannot_be_printed(
    make: Callable[[], TextIO], sentence: str, is_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if is_there:
        run_small(tmp_path)
    write_small(tmp_path)
    before = read_all(tmp_path)
    monkeypatch.chdir(tmp_path)
    arguments = ["simulate", "small.yaml", *QUICK, "--layers", "conv*", "--overwrite", "--out", "run",
                 "--save-outputs", "new/v.npz", "--trace", "t.json.gz"]  # fmt: skip
    with make() as stdout, redirect_stdout(stdout), pytest.raises(SystemExit) as ended:
        main(arguments)
    assert (ended.value.code, capsys.readouterr().err.splitlines()[-1]) == (2, f"sparsetrain: {sentence}")
    assert read_all(tmp_path) == before
    assert list_names(tmp_path) == (["run", "small.yaml"] if is_there else ["small.yaml"])


@pytest.mark.parametrize(("make", "sentence"), STDOUTS, ids=["closed", "full"])
@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["show", "lenet5"], ["technology", "14nm"]], ids=" ".join)
def test_a_command_that_only_prints_says_that_it_could_not(
    make: Callable[[], TextIO], sentence: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with make() as stdout, redirect_stdout(stdout), pytest.raises(SystemExit) as ended:
        main(arguments)
    assert (ended.value.code, capsys.readouterr().err) == (2, f"sparsetrain: {sentence}\n")


def test_a_closed_standard_output_is_refused_before_anything_runs(tmp_path: Path) -> None:
    write_small(tmp_path)
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec '{sys.executable}' -c 'from reports.cli import main; main()' simulate small.yaml >&-"],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    sentence = "the standard output is closed; give a file, a pipe or /dev/null"
    assert (done.returncode, done.stderr) == (2, f"sparsetrain: {sentence}\n")
    assert list_names(tmp_path) == ["small.yaml"]


class PlugPulledError(Exception):
    """Something that no one foresaw."""


@pytest.mark.parametrize("is_repeated", [False, True])
@pytest.mark.parametrize("moves", [0, 1, 3])
def test_a_failure_while_results_are_written_leaves_what_was_there(
    is_repeated: bool, moves: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_repeated:
        run_small(tmp_path)
    write_small(tmp_path)
    before = read_all(tmp_path)
    go, done = Move.go, []

    def go_until(move: Move) -> None:
        if len(done) == min(moves, 1 + 4 * is_repeated):
            raise PlugPulledError
        done.append(move)
        go(move)

    monkeypatch.setattr(Move, "go", go_until)
    with pytest.raises(PlugPulledError):
        run_small(tmp_path, "--overwrite", "--batch", "3", "--save-outputs", "values.npz")
    assert read_all(tmp_path) == before
    assert list_names(tmp_path) == (["run", "small.yaml"] if is_repeated else ["small.yaml"])


def test_a_failure_while_inputs_are_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pull_plug(_: object) -> str:
        raise PlugPulledError

    monkeypatch.setattr(run_directory, "dump_yaml", pull_plug)
    with pytest.raises(PlugPulledError):
        run_small(tmp_path)
    assert list_names(tmp_path) == ["small.yaml"]


def test_of_two_runs_that_write_one_folder_the_first_is_whole_and_the_second_is_told(tmp_path: Path) -> None:
    path, out = tmp_path / write_small(tmp_path), tmp_path / "run"
    arguments: dict[str, Any] = {"layers": "fc", "steps": ["forward"], "baseline": None, "out": out}
    with pytest.raises(InputError) as caught:
        simulate(path, "ideal", **arguments, on_written=lambda _: simulate(path, "ideal", **arguments) and None)
    sentence = "another run was written there meanwhile; choose another directory"
    assert str(caught.value) == f"--out {out}: {sentence}"
    assert sorted(read_all(tmp_path)) == [*(f"run/{name}" for name in sorted(RUN_FILES)), "small.yaml"]


def test_a_folder_reached_by_a_link_is_written_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to("disk/run")
    for _ in range(2):
        assert run_small(tmp_path).exit_code == 0
    assert (tmp_path / "run").is_symlink()
    assert list_names(tmp_path / "disk" / "run") == sorted(RUN_FILES)


def test_a_full_disk_is_told_by_file_and_folder(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here: that needs root")
    try:
        outcome = run_small(tmp_path, "--out", "disk/run")
        assert outcome.exit_code == 2
        assert outcome.stderr == (
            f"sparsetrain: --out disk/run/workload.yaml: cannot be written in {disk}/run: No space left on device\n"
        )
        assert list_names(disk) == []
        outcome = run_small(tmp_path, "--layers", "conv*", "--save-outputs", "disk/v.npz", "--batch", "20")
        assert outcome.exit_code == 2
        assert outcome.stderr == (
            f"sparsetrain: --save-outputs disk/v.npz: cannot be written in {disk}: No space left on device\n"
        )
        assert (list_names(disk), list_names(tmp_path)) == ([], ["disk", "small.yaml"])
    finally:
        subprocess.run(["umount", str(disk)], check=True)
