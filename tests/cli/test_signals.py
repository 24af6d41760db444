"""A command that a signal ends says so in one sentence, leaves nothing behind, and exits as shells expect."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from cli.command import run_command, write_small

from reports.signals import StoppedError

# A guard against a test that waits for ever, and no measure of anything.
DEADLINE_S = 240
SHARED_MEMORY = Path("/dev/shm")
INTERRUPTED = "sparsetrain: interrupted; nothing is left half written\n"


@dataclass
class Signalled:
    """A command on its way, the folder it runs in, and that of the files by which it says where it is."""

    process: subprocess.Popen[str]
    folder: Path
    marks: Path

    def wait_at(self, place: str, count: int = 1) -> list[int]:
        """Wait until so many processes are at a place; give their numbers."""
        until = time.monotonic() + DEADLINE_S
        while time.monotonic() < until and self.process.poll() is None:
            found = [int(path.name.rpartition("-")[2]) for path in self.marks.glob(f"{place}-*")]
            if len(found) >= count:
                return found
            time.sleep(0.01)
        raise AssertionError(f"not at '{place}': {self.process.communicate()}")

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; give the exit code and what was printed."""
        stdout, stderr = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, stdout, stderr


@contextmanager
def start(folder: Path, place: str, *arguments: str) -> Iterator[Signalled]:
    """Start the command with `folder` as the working directory, and its temporary files in a folder `temporary`."""
    marks = folder / "marks"
    for made in (marks, folder / "temporary", folder / "work"):
        made.mkdir()
    write_small(folder / "work")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path),
        "TMPDIR": str(folder / "temporary"),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.signalled_command", place, str(marks), *arguments],
        cwd=folder / "work", env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Signalled(process, folder, marks)
    finally:
        process.kill()
        process.communicate()


def list_left(folder: Path) -> list[str]:
    """List what lies in the working directory and in that of temporary files."""
    return sorted(
        path.relative_to(folder).as_posix() for name in ("work", "temporary") for path in (folder / name).rglob("*")
    )


def list_shared(number: int) -> list[str]:
    """List the shared memory that a process and its workers hold."""
    return [path.name for path in SHARED_MEMORY.glob("*") if str(number) in path.name.replace("-", "_").split("_")]


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("reports.cli", ["simulate", "small.yaml"]),
        ("sim.iteration.simulation", ["simulate", "small.yaml"]),
        ("sim.sweep.reading", ["results", "none.sqlite"]),
        ("reports.sweep_page", ["report", "none", "-o", "page.html"]),
        ("sim.sweep.store", ["merge", "none.sqlite", "--into", "all.sqlite"]),
    ],
)
def test_ctrl_c_while_a_command_imports_is_one_sentence(module: str, arguments: list[str], tmp_path: Path) -> None:
    with start(tmp_path, f"import:{module}", *arguments) as started:
        started.wait_at("import")
        started.process.send_signal(signal.SIGINT)
        assert started.end() == (130, "", INTERRUPTED)
    assert list_left(tmp_path) == ["work/small.yaml"]


def test_ctrl_c_while_kernels_compile_is_one_sentence_and_a_second_one_ends_at_once(tmp_path: Path) -> None:
    with start(tmp_path, "clean", "simulate", "small.yaml", "--engine", "simpy") as started:
        started.wait_at("compile")
        started.process.send_signal(signal.SIGINT)
        started.wait_at("clean")
        started.process.send_signal(signal.SIGINT)
        assert started.end() == (130, "", "sparsetrain: interrupted again; temporary files may be left\n")


def test_a_run_on_threads_that_is_hung_up_removes_its_temporary_files_and_waits_for_no_step(tmp_path: Path) -> None:
    with start(tmp_path, "step", "simulate", "lenet5", "--memory-limit", "1KiB", "--no-verify") as started:
        started.wait_at("step")
        assert any(path.suffix == ".bin" for path in (tmp_path / "temporary").rglob("*"))
        started.process.send_signal(signal.SIGHUP)
        assert started.end() == (129, "", "sparsetrain: ended by SIGHUP; nothing is left half written\n")
    assert list_left(tmp_path) == ["work/small.yaml"]


def test_a_signal_that_the_parent_ignores_stays_ignored(tmp_path: Path) -> None:
    with start(tmp_path, "nohup", "simulate", "small.yaml") as started:
        started.wait_at("step")
        started.process.send_signal(signal.SIGHUP)
        started.process.send_signal(signal.SIGTERM)
        assert started.end() == (143, "", "sparsetrain: ended by SIGTERM; nothing is left half written\n")


def test_a_run_that_is_ended_while_it_writes_leaves_no_staged_file(tmp_path: Path) -> None:
    with start(tmp_path, "write", "simulate", "small.yaml", "--out", "run", "--save-outputs", "values.npz") as started:
        started.wait_at("write")
        assert list_left(tmp_path) != ["work/small.yaml"]
        started.process.send_signal(signal.SIGTERM)
        assert started.end() == (143, "", "sparsetrain: ended by SIGTERM; nothing is left half written\n")
    assert list_left(tmp_path) == ["work/small.yaml"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_and_shared_memory_end_with_the_run(number: signal.Signals, tmp_path: Path) -> None:
    with start(tmp_path, "step", "simulate", "small.yaml", "--jobs", "2") as started:
        workers = started.wait_at("step", count=2)
        children = psutil.Process(started.process.pid).children(recursive=True)
        assert set(workers) <= {child.pid for child in children}
        # Ctrl-C on a terminal reaches the workers too, which leave it to their parent.
        for worker in workers:
            os.kill(worker, signal.SIGINT)
        started.process.send_signal(number)
        code, stdout, stderr = started.end()
        assert psutil.wait_procs(children, timeout=DEADLINE_S)[1] == []
    assert (code, stdout) == (143 if number == signal.SIGTERM else -number, "")
    if number == signal.SIGTERM:
        assert stderr == "sparsetrain: ended by SIGTERM; nothing is left half written\n"
    assert list_shared(started.process.pid) == []
    assert list_left(tmp_path) == ["work/small.yaml"]


def test_an_interruption_from_within_is_answered_as_the_signal_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sim.iteration.simulation.run_request", interrupt)
    outcome = run_command(tmp_path, "simulate", write_small(tmp_path))
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (130, "", INTERRUPTED)


def test_a_sweep_that_is_ended_says_where_its_points_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise StoppedError(signal.SIGTERM)

    monkeypatch.setattr("sim.sweep.sweep.run_sweep", stop)
    write_small(tmp_path)
    (tmp_path / "sweep.yaml").write_text("name: s\nworkloads: [small.yaml]\nparameters: {array.groups: [1]}\n")
    outcome = run_command(tmp_path, "sweep", "sweep.yaml")
    sentence = "ended by SIGTERM; what was finished is in out/s.sqlite, and the same command goes on"
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (143, "", f"sparsetrain: {sentence}\n")
