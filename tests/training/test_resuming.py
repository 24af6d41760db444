"""Trainings that are killed, and go on as if nothing had happened: to the bit, whatever the moment."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import pytest
from killed_trainings import MOVED, WRITING, WRITTEN, start_killed
from small_trainings import EPOCH_ITERATIONS, write_training

from sim import train
from sim.training.execution import StudyProgress

# An iteration is told, and the end of an epoch behind its checkpoint; what goes on tells first from where.
EPOCH = EPOCH_ITERATIONS + 1
KILLED = -signal.SIGKILL


def read_all(folder: Path) -> dict[str, bytes]:
    """Read what a study leaves."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_training(tmp_path_factory.mktemp("workload"))


def test_a_training_that_is_killed_ten_times_ends_as_one_that_is_not(workload: Path, tmp_path: Path) -> None:
    moments = [
        ("told", 1), ("told", EPOCH_ITERATIONS), (WRITING, 1), (WRITTEN, 1), (MOVED, 1),
        ("told", 2), ("told", 1 + EPOCH), (WRITTEN, 1), ("told", 1 + EPOCH + 2), (WRITING, 1),
    ]  # fmt: skip
    options = {"simulate": False, "prune": [0.5]}
    found, words = start_killed(moments, workload, tmp_path / "killed", options)
    assert (found, words) == ([KILLED] * 10 + [0], "")
    train(workload, out=tmp_path / "whole", **options)
    assert read_all(tmp_path / "killed") == read_all(tmp_path / "whole")


def test_processes_that_are_killed_are_gone_on_with_by_others(workload: Path, tmp_path: Path) -> None:
    options = {"simulate": False, "prune": [0, 0.9], "seeds": 2}
    found, words = start_killed(
        [("told", 7), ("told", 3 * EPOCH)], workload, tmp_path / "killed", {**options, "jobs": 2}
    )
    assert found == [KILLED, KILLED, 0], words
    train(workload, out=tmp_path / "whole", **options)
    assert read_all(tmp_path / "killed") == read_all(tmp_path / "whole")


def test_what_was_begun_before_the_folder_was_a_studys_does_not_stand_in_the_way(
    workload: Path, tmp_path: Path
) -> None:
    leftover = tmp_path / ".sparsetrain-0123456789abcdef.partial"
    leftover.write_text("half of a rec")
    train(workload, out=tmp_path, simulate=False, epochs=1)
    assert not leftover.exists()


def test_what_machines_execute_is_the_same_behind_an_interruption(workload: Path, tmp_path: Path) -> None:
    options = {"prune": [0.5], "simulate_images": 4, "epochs": 3}

    def interrupt(moment: int, progress: StudyProgress) -> None:
        if progress.training.iterations == moment:
            raise KeyboardInterrupt

    for moment in (EPOCH_ITERATIONS + 2, 2 * EPOCH_ITERATIONS + 1):
        with pytest.raises(KeyboardInterrupt):
            train(workload, "ideal", out=tmp_path / "cut", on_progress=partial(interrupt, moment), **options)
    train(workload, "ideal", out=tmp_path / "cut", **options)
    train(workload, "ideal", out=tmp_path / "whole", **options)
    found = read_all(tmp_path / "cut")
    assert found == read_all(tmp_path / "whole")
    assert found["machines.csv"].count(b"\n") > 3 * 3
