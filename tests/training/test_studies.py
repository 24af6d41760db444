"""Studies of small trainings: what they leave in their folder, whoever runs them, and what is read back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from small_trainings import EPOCH_ITERATIONS, EPOCHS, LAYERS, OPERANDS, TRAINING, make_plan, write_training

from reports.train_command import describe_profile
from sim import read_training, train
from sim.training import study
from sim.training.execution import StudyProgress, run_jobs
from sim.training.outcome import Ended
from sim.training.request import make_train_request
from sim.training.weights import choose_profiled, read_trained, save_profile
from workloads import profile_table
from workloads.errors import InputError
from workloads.training.hosts.numpy_host import NumpyHost
from workloads.training.loop import Training, TrainingProgress

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
        assert (tmp_path / "forwards" / name).read_bytes() == (tmp_path / "backwards" / name).read_bytes(), name


def test_a_training_that_had_ended_tells_so_when_its_study_goes_on(tmp_path: Path) -> None:
    workload = write_training(tmp_path)
    train(workload, out=tmp_path / "out", simulate=False, prune=[0])
    told: list[StudyProgress] = []
    train(workload, out=tmp_path / "out", simulate=False, prune=[0], on_progress=told.append)
    total = EPOCHS * EPOCH_ITERATIONS
    assert [one.training for one in told] == [TrainingProgress(EPOCHS, EPOCHS, total, total, None)]


def test_a_study_is_shown_in_a_line(tmp_path: Path) -> None:
    found = train(write_training(tmp_path), out=tmp_path / "out", simulate=False, epochs=1, prune=[0])
    assert repr(found) == f"<TrainingStudy of small: rates [0.0], seeds [5], epochs 1, in {tmp_path / 'out'}>"


def test_of_several_failures_the_first_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "run_jobs", run_backwards)
    workload = write_training(tmp_path, rest=OPERANDS + HUGE)
    with pytest.raises(ValueError, match=r"^the training diverges in iteration \d of epoch 1: ") as error:
        train(workload, out=tmp_path / "out", simulate=False, prune=[0, 0.5], seeds=2)
    with pytest.raises(ValueError, match=r"^the training diverges") as first:
        train(workload, out=tmp_path / "alone", simulate=False, prune=[0])
    assert str(error.value) == str(first.value)
    record = json.loads((tmp_path / "alone" / "training.json").read_text())
    assert (record["status"], record["failures"]) == ("failed", {"rate0-seed5": str(first.value)})
    with pytest.raises(ValueError, match=r"alone: no training has ended; rate0-seed5: the training diverges") as again:
        read_training(tmp_path / "alone")
    assert str(again.value).endswith(str(first.value))


@pytest.mark.parametrize("rates", [[0], [0, 0.5]], ids=["unpruned", "pruned"])
def test_tables_are_read_back_to_the_last_digit(tmp_path: Path, rates: list[float]) -> None:
    # What other programs take for a missing value is the name of a layer here.
    layers = LAYERS.replace("conv1,", "NA,").replace("bn1,", "nan,").replace("relu2,", "None,")
    found = train(write_training(tmp_path, layers=layers), out=tmp_path / "out", simulate=False, prune=rates, seeds=2)
    back = read_training(tmp_path / "out")
    assert (back.record, back.failures) == (found.record, {})
    assert {"NA", "conv2"} <= set(back.tensors["layer"])
    for name in ("epochs", "tensors", "sites", "machines", "runs", "table"):
        pd.testing.assert_frame_equal(getattr(back, name), found.tables[name], check_exact=True)
    assert list(back.epochs.columns) == [
        "rate", "seed", "epoch", "iterations", "learning_rate", "loss", "accuracy", "test_loss", "test_accuracy",
        "gradient_density",
    ]  # fmt: skip


def test_rows_are_the_records_of_checkpoints(tmp_path: Path) -> None:
    found = train(write_training(tmp_path), out=tmp_path / "out", simulate=False, prune=[0.5])
    records = Training(make_plan(tmp_path, rate=0.5), NumpyHost()).run().records
    for row, record in zip(found.epochs.itertuples(), records, strict=True):
        assert (row.rate, row.seed, row.epoch, row.iterations) == (0.5, 5, record.epoch, record.iterations)
        assert (row.learning_rate, row.loss, row.accuracy) == (record.learning_rate, record.loss, record.accuracy)
        assert record.test is not None
        assert (row.test_loss, row.test_accuracy) == (record.test.loss, record.test.accuracy)
        assert row.gradient_density == record.gradient_density
    tensors = [(1, one.layer, one.tensor, one.density) for one in records[0].tensors]
    first = found.tensors[found.tensors["epoch"] == 1]
    assert list(first[["epoch", "layer", "tensor", "density"]].itertuples(index=False, name=None)) == tensors
    assert list(found.sites["node"]) == [one.node for record in records for one in record.sites]
    assert list(found.sites["threshold"]) == [one.threshold for record in records for one in record.sites]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prune": 0.9}, "prune must be a list of numbers from 0 to below 1, got 0.9"),
        ({"prune": "0,0.9"}, "prune must be a list of numbers from 0 to below 1, got '0,0.9'"),
        ({"prune": []}, "no rate of pruning is given; 0 trains without"),
        ({"seeds": 1.5}, "seeds must be a whole number from 1 to 1000, got 1.5"),
        ({"seeds": True}, "seeds must be a whole number from 1 to 1000, got True"),
        ({"seeds": 1001}, "seeds must be a whole number from 1 to 1000, got 1001"),
    ],
)
def test_rates_and_seeds_that_are_none_are_refused(tmp_path: Path, options: Any, words: str) -> None:
    with pytest.raises(InputError) as error:
        train(write_training(tmp_path), out=tmp_path / "out", **options)
    assert str(error.value) == words


def test_rates_may_be_an_array() -> None:
    request = make_train_request("lenet5", "ideal", {"prune": np.array([0.0, 0.9])})
    assert [key.rate for key in request.keys] == [0.0, 0.9]


def test_a_profile_is_of_the_first_training_at_each_rate_that_ended(tmp_path: Path) -> None:
    found = train(write_training(tmp_path), out=tmp_path / "out", simulate=False, prune=[0.5, 0], seeds=2)
    # What a training that diverges leaves: the epochs before.
    first, *others = found.trainings
    cut = dataclasses.replace(first, records=first.records[:-1], has_ended=False)
    left = dataclasses.replace(found, trainings=(cut, *others))
    chosen = choose_profiled(left.trainings)
    assert [(rate, run.key.seed) for rate, run in chosen.items()] == [(0.0, 5), (0.5, 6)]
    save_profile(left.trainings, tmp_path / "profile.csv", describe_profile(left, "sparsetrain train small.yaml"))
    assert f"{EPOCHS} epochs of all images, seeds 5, 6, host numpy" in (tmp_path / "profile.csv").read_text()
    table = profile_table.read_table(tmp_path / "profile.csv")
    for rate, run in chosen.items():
        rows = [row for row in table.rows if row.rate == rate]
        assert [row.epoch for row in rows] == sorted(row.epoch or 0 for row in rows)
        assert {row.epoch for row in rows} == set(range(1, EPOCHS + 1))
        counted = {(row.epoch, row.layer, row.tensor): row.density for row in rows}
        for record in run.records:
            for one in record.tensors:
                assert counted[record.epoch, one.layer, one.tensor] == pytest.approx(one.density, rel=5e-4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no such file"),
        ("rate,seed\n0,one\n", "cannot be read: could not convert string to float: 'one'"),
        ("rate\n1\n2,3\n", "cannot be read: Error tokenizing data. C error: Expected 1 fields in line 3, saw 2"),
    ],
)  # fmt: skip
def test_a_table_that_is_missing_or_damaged_is_named(tmp_path: Path, text: str | None, words: str) -> None:
    train(write_training(tmp_path), out=tmp_path / "out", simulate=False, epochs=1)
    path = tmp_path / "out" / "runs.csv"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(InputError) as error:
        read_training(tmp_path / "out")
    assert str(error.value) == f"{path}: {words}"


def test_a_process_that_is_ended_from_outside_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    workload, out = write_training(tmp_path), tmp_path / "out"
    ended: list[int] = []

    def end_one(progress: StudyProgress) -> None:
        if progress.training.record is not None and not ended:
            # Its parent started it, and the process that keeps track of resources, which is no worker.
            workers = [one for one in psutil.Process().children() if "resource_tracker" not in " ".join(one.cmdline())]
            ended.append(len(workers))
            # All of them: idle ones of earlier studies may be there too.
            for worker in workers:
                worker.kill()

    with pytest.raises(InputError) as error:
        # Far more epochs than are run before the first of them is told.
        train(workload, out=out, on_progress=end_one, jobs=2, simulate=False, prune=[0, 0.5], epochs=1000)
    assert str(error.value) == (
        "--jobs 2: a process was ended from outside, perhaps for want of memory; what its training and the others "
        "completed is kept, and fewer at a time need less"
    )
    assert len(ended) == 1
    kept = [read_trained(path) for path in out.rglob("checkpoint.npz")]
    assert kept
    assert all("fc/weight" in one for one in kept)
    assert json.loads((out / "training.json").read_text())["status"] == "running"


def test_parquet_files_hold_what_the_csv_files_do_and_none_outlives_its_table(tmp_path: Path) -> None:
    workload, out = write_training(tmp_path), tmp_path / "out"
    for rates in ([0, 0.5], [0]):
        found = train(workload, out=out, simulate=False, epochs=1, prune=rates)
        names = [name for name, frame in found.tables.items() if len(frame)]
        assert ("sites" in names) == (0.5 in rates)
        assert sorted(path.stem for path in out.glob("*.parquet")) == sorted(names)
        for name in names:
            frame = pd.read_parquet(out / f"{name}.parquet")
            pd.testing.assert_frame_equal(frame, found.tables[name], check_exact=True, check_dtype=False)
