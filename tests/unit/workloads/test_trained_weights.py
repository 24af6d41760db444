"""Trained weights: their record, what they fit, and what a run says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workloads import trained_record
from workloads.datasets import load_dataset
from workloads.datasets.families import FAMILIES, are_kin
from workloads.errors import InputError
from workloads.host import initial_parameters
from workloads.opening import check_operands, open_operands
from workloads.operand_choice import choose_operands
from workloads.settings import ImagePipeline
from workloads.sources.host import HostOperands
from workloads.trained_record import (
    TRAINED_DIRECTORY,
    TrainedRecord,
    describe_dataset,
    find_record,
    read_record,
    trained_names,
    write_trained,
)
from workloads.weights import load_statistics, load_weights
from workloads.workload import Workload, load_workload, make_workload
from workloads.yaml_file import parse_yaml

TEXT = """\
name: small
batch: 2
input: {channels: 1, height: 28, width: 28}
layers:
  - {name: conv1, type: conv2d, out_channels: 2, kernel: 5, stride: 4}
  - {name: bn1, type: batch_norm}
  - {name: relu1, type: relu}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 10}
  - {name: loss, type: softmax_cross_entropy}
operands: {source: host, dataset: fashion_mnist, seed: 1, weights: WEIGHTS, images: {mean: 0.5}}
"""
TRAINED = "weights trained on 6000 images of fashion_mnist to a test accuracy of 87.5 % (1000 images)"
LARGEST_BYTES = 1.5e6


def workload(weights: str = "trained", folder: Path = Path(), **changed: str) -> Workload:
    text = TEXT.replace("WEIGHTS", weights)
    for old, new in changed.items():
        text = text.replace(old, new)
    return make_workload(parse_yaml(text, "net.yaml"), folder)


def write(path: Path, **changed: Any) -> TrainedRecord:
    arrays: dict[str, Any] = dict(initial_parameters(workload("random").network, 7))
    arrays |= {"bn1/mean": np.array([1, 2], np.float32), "bn1/variance": np.array([3, 4], np.float32)}
    arrays |= changed.pop("arrays", {})
    record = {
        "workload": "small",
        "trained_on": describe_dataset(load_dataset("fashion_mnist")),
        "tested_on": describe_dataset(load_dataset("fashion_mnist", "test")),
        "images": ImagePipeline(mean=0.5),
        "test_accuracy": 0.875,
        "epochs": 3,
        "command": "sparsetrain train small",
        "date": "2026-11-25",
        "version": "0.1.0",
    }
    return write_trained(path, {name: one for name, one in arrays.items() if one is not None}, **record | changed)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "trained"
    folder.mkdir()
    write(folder / "small.npz")
    monkeypatch.setattr(trained_record, "TRAINED_DIRECTORY", folder)
    return folder / "small.npz"


def write_other_images(path: Path) -> str:
    np.savez(path, train_images=np.full((4, 28, 28), 200, np.uint8), train_labels=np.arange(4))
    return f"npz:{path}"


def refuse(given: Workload) -> str:
    with pytest.raises(InputError) as error:
        check_operands(given)
    with pytest.raises(InputError) as at_run:
        open_operands(given)
    assert str(at_run.value) == str(error.value)
    return str(error.value)


@pytest.mark.usefixtures("shipped")
def test_trained_weights_are_taken_and_the_run_says_on_what_they_were_trained() -> None:
    given = workload()
    stream = open_operands(given)
    assert stream.headline == f"one host training iteration on 2 images of fashion_mnist, {TRAINED}, seed 1"
    assert "unrepresentative" not in stream.headline
    assert stream.notices == ()
    assert stream.facts["weights"]["test_accuracy"] == 0.875
    expected = initial_parameters(given.network, 7)["conv1/weight"]
    np.testing.assert_array_equal(next(stream.layers).weight, expected)
    assert given.resolved()["operands"]["weights"] == "trained"


def test_without_a_word_weights_are_random_and_the_resolved_workload_says_so() -> None:
    source = workload("random").form.operands
    assert isinstance(source, HostOperands)
    assert HostOperands(source="host", dataset="fashion_mnist", seed=1).weights == "random"
    assert workload("random").resolved()["operands"]["weights"] == "random"


@pytest.mark.usefixtures("shipped")
def test_the_choice_of_weights_is_overridden_both_ways() -> None:
    for given, choice in (("trained", "random"), ("random", "trained")):
        source = choose_operands(workload(given), weights=choice).form.operands
        assert isinstance(source, HostOperands)
        assert source.weights == choice


def test_weights_that_do_not_ship_are_refused_by_name(shipped: Path) -> None:
    assert refuse(workload(**{"name: small": "name: smal"})) == (
        "net.yaml: no trained weights ship for 'smal'; did you mean 'small'? (they are for small); operands take "
        "weights: random or weights: FILE.npz"
    )
    shipped.unlink()
    assert refuse(workload()) == (
        "net.yaml: no trained weights ship for 'small' (there are none for any); operands take weights: random or "
        "weights: FILE.npz"
    )


def test_trained_weights_are_refused_on_other_images(shipped: Path, tmp_path: Path) -> None:
    write_other_images(tmp_path / "own.npz")
    assert refuse(workload(folder=tmp_path, **{"fashion_mnist": "own.npz"})) == (
        "net.yaml: the trained weights of 'small' do not fit: they were trained on fashion_mnist, and the images are "
        f"own; take weights: random, or weights: {shipped}, which takes them all the same and calls them "
        "unrepresentative"
    )
    write_other_images(tmp_path / "fashion_mnist.npz")
    words = refuse(workload(folder=tmp_path, **{"dataset: fashion_mnist": "dataset: fashion_mnist.npz"}))
    assert "trained on fashion_mnist, and the images are other images of the same name;" in words


@pytest.mark.usefixtures("shipped")
def test_trained_weights_are_refused_on_images_prepared_in_another_way() -> None:
    words = refuse(workload(**{"mean: 0.5": "mean: 0.25, std: 0.5"}))
    assert words.startswith(
        "net.yaml: the trained weights of 'small' do not fit: they were trained on images prepared by {mean: 0.5}, "
        "and these are prepared by {mean: 0.25, std: 0.5}; take weights: random, or weights: "
    )
    check_operands(workload(**{"mean: 0.5": "mean: [0.5]"}))


def test_other_data_make_trained_weights_unrepresentative(shipped: Path, tmp_path: Path) -> None:
    chosen = choose_operands(workload(), data=write_other_images(tmp_path / "own.npz"))
    source = chosen.form.operands
    assert isinstance(source, HostOperands)
    assert source.weights == str(shipped)
    stream, difference = open_operands(chosen), "they were trained on fashion_mnist, and the images are own"
    assert stream.headline == (
        f"one host training iteration on 2 images of own, {TRAINED}, unrepresentative here: {difference}, seed 1"
    )
    assert stream.notices[0] == f"the weights of small.npz are unrepresentative here: {difference}"


def test_the_same_data_under_another_address_are_the_same(shipped: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.npz").write_bytes(
        (Path(trained_record.__file__).parent / "datasets/fashion_mnist.npz").read_bytes()
    )
    headline = open_operands(choose_operands(workload(), data=f"npz:{tmp_path}/copy.npz")).headline
    assert headline == f"one host training iteration on 2 images of copy, {TRAINED}, seed 1"
    assert shipped.is_file()


def test_the_shipped_subset_is_kin_of_the_whole_and_of_nothing_else() -> None:
    subset = load_dataset("fashion_mnist").fingerprint()
    (whole,) = next(iter(FAMILIES)) - {subset}
    assert are_kin(subset, whole)
    assert are_kin("0" * 16, "0" * 16)
    assert not are_kin(subset, "0" * 16)


def test_a_file_without_a_record_is_taken_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "w.npz")
    find_record(tmp_path / "w.npz").unlink()
    stream = open_operands(workload("w.npz", tmp_path))
    assert stream.headline == "one host training iteration on 2 images of fashion_mnist, weights of w.npz, seed 1"


def test_records_that_do_not_fit_are_refused(shipped: Path) -> None:
    path = find_record(shipped)
    assert path == shipped.parent / "small.trained.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"sha256": "0" * 64}))
    assert refuse(workload()) == (
        f"{path}: is the record of other weights than small.npz, whose sha256 is {record['sha256'][:12]}..., not "
        "000000000000...; remove it, or write both anew"
    )
    path.write_text(json.dumps(record | {"test_accuracy": 87.5}))
    assert refuse(workload()) == f"{path}, line 1: test_accuracy must be a number from 0.0 to 1.0, got 87.5"
    path.unlink()
    assert refuse(workload()) == f"{path}: there is no such file; it says on what small.npz was trained"


def test_weights_and_record_are_written_with_the_same_bytes_at_every_time(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.npz"), write(tmp_path / "b.npz")
    assert first == second == read_record(tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    half = write(tmp_path / "half.npz", dtype="float16")
    assert half.sha256 != first.sha256
    network = workload("random").network
    np.testing.assert_allclose(
        load_weights(tmp_path / "half.npz", network)["fc/weight"],
        load_weights(tmp_path / "a.npz", network)["fc/weight"],
        rtol=2**-11,  # Half of the last place of float16.
        atol=2**-25,
    )


def test_numbers_that_the_file_cannot_hold_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    large = {"fc/bias": np.full(10, 1e5, np.float32)}
    with pytest.raises(InputError) as error:
        write(tmp_path / "w.npz", arrays=large, dtype="float16")
    assert str(error.value) == (
        f"{tmp_path}/w.npz: the array 'fc/bias' holds numbers that float16 cannot; weights must be finite"
    )
    assert list(tmp_path.iterdir()) == []


def test_running_statistics_are_read_for_evaluation_alone(tmp_path: Path) -> None:
    network, path = workload("random").network, tmp_path / "w.npz"
    write(path)
    statistics = load_statistics(path, network)
    assert {name: array.tolist() for name, array in statistics.items()} == {"bn1/mean": [1, 2], "bn1/variance": [3, 4]}
    assert "bn1/mean" not in load_weights(path, network)
    for changed, message in (
        ({"bn1/variance": None},
         "the array 'bn1/variance' is missing; 'small' needs the running mean and variance of each batch norm to be "
         "evaluated"),
        ({"bn1/variance": np.array([1, -1], np.float32)},
         "the array 'bn1/variance' holds -1.0; a variance is not negative"),
    ):  # fmt: skip
        write(path, arrays=changed)
        with pytest.raises(InputError) as error:
            load_statistics(path, network)
        assert str(error.value) == f"{path}: {message}"
    write(path, arrays={"fc/mean": np.zeros(10, np.float32)})
    with pytest.raises(InputError, match=r"the array 'fc/mean' is no parameter of 'small'"):
        load_weights(path, network)


def test_what_ships_is_small_fits_its_preset_and_has_a_record() -> None:
    for name in trained_names():
        path = TRAINED_DIRECTORY / f"{name}.npz"
        assert path.stat().st_size < LARGEST_BYTES
        preset = choose_operands(load_workload(name), weights="trained")
        check_operands(preset)
        load_statistics(path, preset.network)
        record = read_record(path)
        assert record is not None
        assert record.workload == name
