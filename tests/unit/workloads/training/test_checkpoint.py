"""Checkpoints: what is read back is what was written, and anything else is refused in one sentence."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_trainings import EPOCHS, OPERANDS, TRAINING, make_plan

from workloads.errors import InputError
from workloads.npz_file import open_npz, write_npz
from workloads.training.checkpoint import load_checkpoint, save_checkpoint
from workloads.training.evaluation import Score
from workloads.training.hosts.numpy_host import NumpyHost
from workloads.training.loop import Training, TrainingResult
from workloads.training.plan import TrainingPlan
from workloads.training.state import TrainingState

Arrays = dict[str, Any]
ANEW = "remove it to begin this training anew, or choose another folder"


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> TrainingPlan:
    return make_plan(tmp_path_factory.mktemp("plan"))


@pytest.fixture(scope="module")
def done(plan: TrainingPlan) -> TrainingResult:
    return Training(plan, NumpyHost()).run()


@pytest.fixture
def written(done: TrainingResult, tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, done.state, done.records, "digest")
    return path


def list_arrays(state: TrainingState) -> Arrays:
    slots = {f"{slot}/{name}": values for name, one in state.optimiser.slots.items() for slot, values in one.items()}
    return {**state.parameters, **state.statistics, **slots}


def change(path: Path, edit: Callable[[Arrays, dict[str, Any]], object]) -> None:
    """Write a checkpoint anew with other arrays, or with something else beside them."""
    with open_npz(path) as archive:
        arrays = {name: archive[name] for name in archive}
    meta = json.loads(arrays.pop("meta").tobytes())
    edit(arrays, meta)
    write_npz(path, {"meta": np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays})


def refuse(path: Path, plan: TrainingPlan) -> str:
    with pytest.raises(InputError) as error:
        load_checkpoint(path, "digest", plan.begin())
    return str(error.value)


def test_a_state_and_its_records_are_read_back_to_the_bit(
    written: Path, plan: TrainingPlan, done: TrainingResult
) -> None:
    state, records = load_checkpoint(written, "digest", plan.begin())
    assert records == done.records
    assert (state.epoch, state.iteration) == (EPOCHS, plan.iterations)
    assert (state.optimiser.updates, state.pruning) == (done.state.optimiser.updates, done.state.pruning)
    found, expected = list_arrays(state), list_arrays(done.state)
    assert list(found) == list(expected)
    assert {name.partition("/")[0] for name in found} >= {"conv1", "bn1", "momentum"}
    for name, values in expected.items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(found[name], values)


def test_a_test_loss_that_overflows_is_read_back(written: Path, plan: TrainingPlan, done: TrainingResult) -> None:
    # Running statistics may not fit the last weights, however well the batches' own do.
    for loss in (math.inf, math.nan):
        last = dataclasses.replace(done.records[-1], test=Score(20, loss, 0.25))
        save_checkpoint(written, done.state, (*done.records[:-1], last), "digest")
        test = load_checkpoint(written, "digest", plan.begin())[1][-1].test
        assert test is not None
        np.testing.assert_array_equal([test.loss], [loss])


def test_the_same_training_gives_the_same_bytes(written: Path, plan: TrainingPlan, tmp_path: Path) -> None:
    other = tmp_path / "other.npz"
    Training(plan, NumpyHost(), other, "digest").run()
    assert other.read_bytes() == written.read_bytes()


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    written: Path, done: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(path: Path, _: Any, **__: Any) -> None:
        path.write_bytes(b"half of")
        raise OSError(28, "No space left on device")

    good = written.read_bytes()
    monkeypatch.setattr("workloads.training.checkpoint.write_npz", fill_the_disk)
    with pytest.raises(InputError) as error:
        save_checkpoint(written, done.state, done.records, "digest")
    assert str(error.value) == f"{written}: cannot be written in {written.parent}: No space left on device"
    assert [path.read_bytes() for path in written.parent.iterdir()] == [good]


def test_a_checkpoint_of_other_inputs_is_refused(written: Path, plan: TrainingPlan) -> None:
    change(written, lambda _, meta: meta.update(inputs="another"))
    assert refuse(written, plan) == (
        f"{written}: is the checkpoint of a training with other inputs (workload, data, settings or version); {ANEW}"
    )


def test_a_checkpoint_of_another_form_is_refused(written: Path, plan: TrainingPlan) -> None:
    change(written, lambda _, meta: meta.update(form=2))
    assert refuse(written, plan) == f"{written}: is a checkpoint of form 2; this version reads form 1"


def test_another_file_is_refused(tmp_path: Path, plan: TrainingPlan) -> None:
    path = tmp_path / "checkpoint.npz"
    write_npz(path, {"conv1/weight": np.ones(3)})
    assert refuse(path, plan) == f"{path}: is no checkpoint of a training"
    path.write_text("not at all")
    assert refuse(path, plan) == (
        f"{path}: is not an .npz file; a zip archive of .npy arrays, as numpy.savez writes it, is expected"
    )


def test_a_checkpoint_that_is_cut_off_is_refused(written: Path, plan: TrainingPlan) -> None:
    whole = written.read_bytes()
    written.write_bytes(whole[: len(whole) // 2])
    assert refuse(written, plan) == (
        f"{written}: is cut off or damaged; a zip archive of .npy arrays, as numpy.savez writes it, is expected"
    )


def test_a_byte_that_is_not_what_it_was_is_found(written: Path, plan: TrainingPlan, done: TrainingResult) -> None:
    whole = bytearray(written.read_bytes())
    whole[whole.index(np.asarray(done.state.parameters["fc/weight"]).tobytes())] ^= 1
    written.write_bytes(whole)
    assert refuse(written, plan) == (
        f"{written}: array 'parameters/fc/weight' is damaged: Bad CRC-32 for file 'parameters/fc/weight.npy'"
    )


@pytest.mark.parametrize(
    "edit",
    [
        lambda meta: meta.pop("inputs"), lambda meta: meta.pop("pruning"), lambda meta: meta.pop("form"),
        lambda meta: meta.update(form="1"), lambda meta: meta.update(epoch=1.5), lambda meta: meta.update(epoch=-1),
        lambda meta: meta.update(epoch=3), lambda meta: meta.update(updates=None), lambda meta: meta.update(more=1),
        lambda meta: meta["pruning"].update(depth=0), lambda meta: meta["pruning"].update(depth=2),
        lambda meta: meta["pruning"].update(taus=[]), lambda meta: meta.update(pruning=None),
        lambda meta: meta["records"][0].pop("loss"), lambda meta: meta["records"][0].update(loss="low"),
        lambda meta: meta["records"].pop(), lambda meta: meta.update(records=None),
    ],
)  # fmt: skip
def test_what_stands_beside_the_arrays_is_checked(
    written: Path, plan: TrainingPlan, edit: Callable[[dict[str, Any]], object]
) -> None:
    change(written, lambda _, meta: edit(meta))
    assert refuse(written, plan) == f"{written}: is a damaged checkpoint; {ANEW}"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"1", b"\xff", b"[" * 10**6], ids=lambda text: repr(text[:3]))
def test_what_is_no_text_of_a_checkpoint_is_refused(tmp_path: Path, plan: TrainingPlan, text: bytes) -> None:
    path = tmp_path / "checkpoint.npz"
    write_npz(path, {"meta": np.frombuffer(text, np.uint8)})
    assert refuse(path, plan) == f"{path}: is a damaged checkpoint; {ANEW}"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            lambda arrays: arrays.pop("parameters/fc/bias"),
            "'parameters/fc/bias' is missing, or belongs to no layer of the network",
        ),
        (
            lambda arrays: arrays.update({"statistics/bn2/mean": np.zeros(4, np.float32)}),
            "'statistics/bn2/mean' is missing, or belongs to no layer of the network",
        ),
        (
            lambda arrays: arrays.update({"parameters/fc/bias": np.zeros(4, np.float32)}),
            "'parameters/fc/bias' must be float32 of shape (3,), got float32 of shape (4,)",
        ),
        (
            lambda arrays: arrays.update({"parameters/fc/bias": np.zeros(3)}),
            "'parameters/fc/bias' must be float32 of shape (3,), got float64 of shape (3,)",
        ),
        (
            lambda arrays: arrays.update({"slots/momentum/fc/bias": np.zeros(4, np.float32)}),
            "'slots/momentum/fc/bias' belongs to no parameter of the network",
        ),
        (
            lambda arrays: arrays.update({"slots/momentum/fc/bias": np.zeros(3)}),
            "'slots/momentum/fc/bias' belongs to no parameter of the network",
        ),
        (
            lambda arrays: arrays.update({"slots/momentum/fc2/bias": np.zeros(3, np.float32)}),
            "'slots/momentum/fc2/bias' belongs to no parameter of the network",
        ),
    ],
)
def test_arrays_that_are_not_the_networks_are_refused(
    written: Path, plan: TrainingPlan, edit: Callable[[Arrays], object], words: str
) -> None:
    change(written, lambda arrays, _: edit(arrays))
    assert refuse(written, plan) == f"{written}: the array {words}; {ANEW}"


def test_a_pruned_state_is_none_of_a_training_without_pruning(written: Path, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, rest=OPERANDS + TRAINING)
    assert refuse(written, plan) == f"{written}: is a damaged checkpoint; {ANEW}"
