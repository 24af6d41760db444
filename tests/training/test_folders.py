"""The folder of a study: what may lie there, what goes on, what is replaced, and what is left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_trainings import OPERANDS, TRAINING, write_images, write_training
from unit.sim.technology_tables import preset_data, write_table

from sim import content, read_training, train
from sim.sweep.identity import Identifier
from sim.sweep.space import load_space
from sim.training import request as request_module
from sim.training.folder import hold_training, tell_change
from sim.training.request import TrainOptions, make_train_request
from workloads.errors import InputError
from workloads.npz_file import write_npz

PAGE = "index.html"


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    return write_training(tmp_path)


def run(workload: Path, out: Path, **options: Any) -> Any:
    """Train for an epoch, without a machine."""
    return train(workload, out=out, **{"simulate": False, "epochs": 1, "prune": [0], **options})


def refuse(workload: Path, out: Path, **options: Any) -> str:
    with pytest.raises(InputError) as error:
        run(workload, out, **options)
    return str(error.value)


def list_files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_file_in_the_place_of_the_folder_is_refused(workload: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("mine")
    assert refuse(workload, out) == f"--out {out}: is a file; a folder is needed"
    assert out.read_text() == "mine"


@pytest.mark.parametrize("options", [{}, {"overwrite": True}], ids=["", "overwrite"])
def test_a_folder_with_other_files_is_refused(workload: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    assert refuse(workload, out, **options) == (
        f"--out {out}: holds other files; choose another folder, or an empty one"
    )
    assert list_files(out) == ["thesis.txt"]


def test_where_nothing_can_be_written_nothing_is_begun(workload: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "out"
    assert refuse(workload, out) == f"--out {out}: nothing can be written in {tmp_path / 'file'}"


def test_what_cannot_be_used_leaves_no_folder(workload: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert refuse(workload, out, host="nunpy") == "--host must be numpy or torch, got 'nunpy'; did you mean 'numpy'?"
    assert refuse(workload, out, prune=[0, 1.0]) == "a pruning rate must be at least 0 and below 1, got 1"
    assert refuse(workload, out, weights=tmp_path / "none.npz") == f"{tmp_path / 'none.npz'}: there is no such file"
    assert not out.exists()


def test_to_resume_there_has_to_be_a_training(workload: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert refuse(workload, out, resume=True) == f"--resume: there is no training in {out}"
    assert not out.exists()
    run(workload, out)
    run(workload, out, resume=True)


def test_a_study_takes_further_rates_and_seeds(workload: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(workload, out)
    checkpoint = out / "runs" / "rate0-seed5" / "checkpoint.npz"
    before = checkpoint.stat().st_ino, checkpoint.stat().st_mtime_ns
    found = run(workload, out, prune=[0, 0.5], seeds=2)
    assert (checkpoint.stat().st_ino, checkpoint.stat().st_mtime_ns) == before
    assert list(found.runs[["rate", "seed"]].itertuples(index=False, name=None)) == [
        (0.0, 5), (0.0, 6), (0.5, 5), (0.5, 6)
    ]  # fmt: skip
    assert (found.record["rates"], found.record["seeds"]) == ([0.0, 0.5], [5, 6])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 2}, "workload.training.epochs is 1 there, 2 here"),
        ({"images": 32, "batch": 4}, "workload.training.batch is 8 there, 4 here and 1 more"),
        ({"host": "torch"}, "host is numpy there, torch here"),
        ({"simulate": True, "sample": 0.5}, "sample is none there, 0.5 here"),
    ],
    ids=str,
)
def test_a_study_of_other_inputs_is_replaced_on_demand_alone(
    workload: Path, tmp_path: Path, options: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(workload, out, prune=[0.5])
    (out / PAGE).write_text("of the study")
    (out / "notes.txt").write_text("mine")
    before = {name: (out / name).read_bytes() for name in list_files(out)}
    # Whether torch is installed is not asked here.
    monkeypatch.setattr("sim.training.request.load_host", lambda _: None)
    monkeypatch.setattr("sim.training.study.run_study", lambda *_: None)
    assert refuse(workload, out, **options) == (
        f"--out {out}: holds a training with other inputs: {words}; choose another folder, or give --overwrite"
    )
    assert {name: (out / name).read_bytes() for name in list_files(out)} == before
    run(workload, out, **options, overwrite=True)
    assert list_files(out) == ["notes.txt", "training.json"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "--epochs 0: training.epochs must be a whole number from 1 to 1048576, got 0"),
        (
            {"images": 41, "batch": 4},
            "--batch 4 --images 41: training.images is 41, but images has 40 train images",
        ),
        ({"batch": 41}, "--batch 41: training.batch is 41, but there are 40 training images"),
        ({"test_images": 21}, "--test-images 21: training.test_images is 21, but images has 20 test images"),
        (
            {"simulate_every": 0, "simulate": True},
            "--simulate-every 0: training.simulate_at.every_epochs must be a whole number from 1 to 1048576, got 0",
        ),
    ],
    ids=str,
)
def test_a_file_is_not_blamed_for_an_option(
    workload: Path, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    assert refuse(workload, tmp_path / "out", **{"epochs": None, **options}) == f"{workload} with {words}"


def test_other_images_are_other_inputs(workload: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(workload, out)
    write_images(tmp_path / "images.npz", test=19)
    assert refuse(workload, out).startswith(
        f"--out {out}: holds a training with other inputs: workload.operands.dataset"
    )


def test_files_are_read_once_for_all_trainings_of_a_study(
    workload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    digest = content.digest_file
    monkeypatch.setattr(content, "digest_file", lambda path: (read.append(path), digest(path))[1])
    run(workload, tmp_path / "out", prune=[0, 0.5], seeds=2)
    assert [path.name for path in read] == ["images.npz"]


def test_a_file_of_masks_is_known_by_what_it_holds(tmp_path: Path) -> None:
    shape, digests, keys = (4, 4, 3, 3), [], []
    key_of = Identifier(load_space("envelope").form).workload_digest
    for folder, value in (("here", 1), ("there", 1), ("here", 0)):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        write_npz(place / "masks.npz", {"conv2/weight": np.full(shape, value, np.uint8)})
        masked = "sparsify: {method: file, path: masks.npz, layers: conv2}\n"
        path = write_training(place, rest=OPERANDS + masked + TRAINING)
        request = make_train_request(path, "ideal", {"prune": [0]})
        digests.append(request.digest(request.keys[0]))
        keys.append(key_of(request.workload))
    assert digests[0] == digests[1] != digests[2]
    assert keys[0] == keys[1] != keys[2]


def test_what_is_not_of_the_package_is_part_of_the_inputs(
    workload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write_table(tmp_path, preset_data("45nm"))
    options: TrainOptions = {"overrides": (f"technology={table}",)}
    assert "guests" not in make_train_request(workload, "sparsetrain", {}).describe()
    request = make_train_request(workload, "sparsetrain", options)
    first, key = request.describe(), request.keys[0]
    assert tell_change(first, request) == "the workload or its data"
    digests = {request.digest(key)}
    table.write_text(f"# edited\n{table.read_text()}")
    again = make_train_request(workload, "sparsetrain", options)
    digests.add(again.digest(key))
    assert tell_change(first, again) == "a technology's file, or an extension of another package, is another one"
    for version in ("1.0", "2.0"):
        monkeypatch.setattr(request_module, "list_providers", lambda _, now=version: [f"guest:Model/guest/{now}"])
        digests.add(make_train_request(workload, "sparsetrain", options).digest(key))
    monkeypatch.setattr(request_module, "describe_dataflow", lambda name: [name, "guest:Flow/guest/1.0"])
    digests.add(make_train_request(workload, "sparsetrain", options).digest(key))
    assert len(digests) == 5


def test_nothing_of_a_study_that_was_interrupted_outlives_the_next(
    workload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(workload, out)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("sim.training.study.run_jobs", stop)
        with pytest.raises(KeyboardInterrupt):
            run(workload, out, prune=[0.5])
        with pytest.raises(KeyboardInterrupt):
            run(workload, out, epochs=2, overwrite=True)
    assert list_files(out) == ["training.json"]
    with pytest.raises(InputError) as error:
        read_training(out)
    assert str(error.value) == f"{out}: no training has ended yet; the command that began them goes on"
    # Of a study that is done, a table that was taken away is missed by its name.
    run(workload, out, epochs=2)
    (out / "epochs.csv").unlink()
    with pytest.raises(InputError) as error:
        read_training(out)
    assert str(error.value) == f"{out / 'epochs.csv'}: there is no such file"


def test_a_record_names_nothing_that_is_removed(workload: Path, tmp_path: Path) -> None:
    out, mine = tmp_path / "out", tmp_path / "mine.csv"
    run(workload, out)
    mine.write_text("mine")
    edit(out, lambda record: record.update(files=[str(mine), "../mine.csv", 1]))
    run(workload, out, epochs=2, overwrite=True)
    assert mine.read_text() == "mine"


def edit(out: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a study's record."""
    record = json.loads((out / "training.json").read_text())
    change(record)
    (out / "training.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is damaged: it is no JSON"),
        ('{"kind": "training",', "is damaged: it is no JSON"),
        ("[" * 10**5, "is damaged: it is no JSON"),
        ("[]", "is no record of a training"),
        ('{"kind": "run", "schema": 1, "inputs": {}}', "is no record of a training"),
        ('{"kind": "training", "schema": 1, "inputs": []}', "is no record of a training"),
        ('{"kind": "training", "schema": 7, "inputs": {}}', "has the form 7; this version reads 1"),
        ('{"kind": "training", "inputs": {}}', "has the form None; this version reads 1"),
    ],
    ids=range(8),
)
def test_a_record_that_is_none_is_refused(workload: Path, tmp_path: Path, text: str, words: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "training.json").write_text(text)
    assert refuse(workload, out) == f"{out / 'training.json'}: {words}"
    assert list_files(out) == ["training.json"]
    with pytest.raises(InputError) as error:
        read_training(out)
    assert str(error.value) == f"{out / 'training.json'}: {words}"


def test_a_record_of_unknown_inputs_is_of_others(workload: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(workload, out)
    for change in (
        lambda record: record["inputs"].pop("architecture"),
        lambda record: record["inputs"].update(workload=[]),
        lambda record: record.update(inputs={}),
    ):
        edit(out, change)
        assert refuse(workload, out).startswith(f"--out {out}: holds a training with other inputs: ")


def test_a_missing_folder_has_no_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_training(tmp_path / "none")
    assert str(error.value) == f"{tmp_path / 'none' / 'training.json'}: there is no such file"


def test_a_checkpoint_of_another_training_is_named(workload: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(workload, out)
    strange = tmp_path / "strange"
    run(workload, strange, epochs=2)
    checkpoint = Path("runs") / "rate0-seed5" / "checkpoint.npz"
    (out / checkpoint).write_bytes((strange / checkpoint).read_bytes())
    message = (
        f"{out / checkpoint}: is the checkpoint of a training with other inputs (workload, data, settings or version); "
        "remove it to begin this training anew, or choose another folder"
    )
    assert refuse(workload, out) == message
    # The other trainings of the study go on, and it is told that one did not.
    found = run(workload, out, prune=[0, 0.5])
    assert found.failures == {"rate0-seed5": message}
    assert (found.record["status"], found.record["failures"]) == ("failed", found.failures)
    assert list(found.runs["rate"]) == [0.5]
    (out / checkpoint).unlink()
    assert list(run(workload, out, prune=[0, 0.5]).runs["rate"]) == [0.0, 0.5]


def test_rates_that_differ_have_folders_of_their_own(workload: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rates = [0.0, -0.0, 0.5, 0.9999991, 0.9999992, 1e-7]
    found = run(workload, out, prune=rates)
    assert found.failures == {}
    assert sorted(path.name for path in (out / "runs").iterdir()) == [
        "rate0-seed5", "rate0.5-seed5", "rate0.9999991-seed5", "rate0.9999992-seed5", "rate1e-07-seed5",
    ]  # fmt: skip
    assert len(found.table) == 5


def test_a_training_that_another_process_runs_is_left_to_it(
    workload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.training.folder.HOLD_TRIES", 2)
    out = tmp_path / "out"
    held = out / "runs" / "rate0-seed5"
    run(workload, out, prune=[0.5])
    held.mkdir()
    begun = held / ".sparsetrain-0123456789abcdef.partial"
    begun.write_text("what the other one writes")
    with hold_training(held):
        found = run(workload, out, prune=[0, 0.5])
    assert found.failures == {"rate0-seed5": f"{held}: another process trains here; wait for its end"}
    assert list_files(held) == [begun.name]
    assert run(workload, out, prune=[0, 0.5]).failures == {}
    assert list_files(held) == ["checkpoint.npz"]
