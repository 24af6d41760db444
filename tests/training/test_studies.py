"""Studies of small trainings: what they leave in their folder, whoever runs them, and what is read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_trainings import EPOCHS, OPERANDS, TRAINING, write_training

from sim import read_training, train
from sim.training import study
from sim.training.execution import Ended, run_jobs

HUGE = TRAINING.replace("learning_rate: 0.1", "learning_rate: 1.0e+30")


def run_backwards(jobs: list[Any], *others: Any) -> Iterator[Ended]:
    """Run trainings in the other order than they were asked for, as processes may."""
    yield from run_jobs(jobs[::-1], *others)


def test_a_study_without_unpruned_trainings_has_no_target(tmp_path: Path) -> None:
    found = train(write_training(tmp_path), out=tmp_path / "out", simulate=False, prune=[0.5])
    assert "target_accuracy" not in found.record
    assert found.runs["target_accuracy"].isna().all()
    assert list(found.table["reached"]) == [0]
    assert found.record["status"] == "done"
    assert len(read_training(tmp_path / "out").epochs) == EPOCHS


def test_nothing_depends_on_which_training_ends_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workload = write_training(tmp_path)
    train(workload, out=tmp_path / "forwards", simulate=False, prune=[0, 0.5], seeds=2)
    monkeypatch.setattr(study, "run_jobs", run_backwards)
    train(workload, out=tmp_path / "backwards", simulate=False, prune=[0, 0.5], seeds=2)
    names = {path.relative_to(tmp_path / "forwards") for path in (tmp_path / "forwards").rglob("*.*") if path.is_file()}
    assert len(names) >= 11
    for name in names:
        if name.suffix != ".parquet":
            assert (tmp_path / "forwards" / name).read_bytes() == (tmp_path / "backwards" / name).read_bytes(), name


def test_of_several_failures_the_first_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "run_jobs", run_backwards)
    workload = write_training(tmp_path, rest=OPERANDS + HUGE)
    with pytest.raises(ValueError, match=r"^the training diverges in iteration \d of epoch 1: ") as error:
        train(workload, out=tmp_path / "out", simulate=False, prune=[0, 0.5], seeds=2)
    with pytest.raises(ValueError, match=r"^the training diverges") as first:
        train(workload, out=tmp_path / "alone", simulate=False, prune=[0])
    assert str(error.value) == str(first.value)
    assert json.loads((tmp_path / "alone" / "training.json").read_text())["status"] == "running"
