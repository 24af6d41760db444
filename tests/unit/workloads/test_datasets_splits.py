"""Both splits of a dataset: decoded once, with one numbering of classes, and told apart from other data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from unit.workloads.dataset_files import make_pixels, write_cifar10, write_idx_folder

from workloads.datasets import DatasetSplits, load_dataset
from workloads.datasets import splits as module
from workloads.errors import InputError
from workloads.training.batches import take_first


def write_npz(path: Path, **changed: Any) -> None:
    pixels = make_pixels(6)
    arrays = {
        "train_images": pixels[:4],
        "train_labels": np.array([0, 1, 2, 1]),
        "test_images": pixels[4:],
        "test_labels": np.array([1, 0]),
    } | changed
    np.savez(path, **arrays)


def write_images(folder: Path, images: NDArray[np.uint8], classes: tuple[str, ...] = ("cat", "dog")) -> None:
    for number, image in enumerate(images):
        (folder / classes[number % len(classes)]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / classes[number % len(classes)] / f"{number}.png")


def refuse_test(address: Path, **options: Any) -> str:
    with pytest.raises(InputError) as error:
        _ = DatasetSplits(address, **options).test
    return str(error.value)


def test_the_shipped_subset_has_6000_images_to_train_on_and_1000_to_test_on() -> None:
    splits = DatasetSplits("fashion_mnist")
    assert (len(splits.train.images), len(splits.test.images)) == (6000, 1000)
    assert (splits.train.classes, splits.test.classes) == (10, 10)


def test_each_split_is_loaded_once_and_only_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx_folder(tmp_path)
    asked: list[str] = []

    def load(address: Any, split: Any, **options: Any) -> Any:
        asked.append(split)
        return load_dataset(address, split, **options)

    monkeypatch.setattr(module, "load_dataset", load)
    splits = DatasetSplits(tmp_path.name, tmp_path.parent)
    assert asked == []
    for _ in range(2):
        assert len(splits.train.images) == 2
    assert asked == ["train"]
    for _ in range(2):
        assert len(splits.test.images) == 2
    assert asked == ["train", "test"]


def test_cifar_batches_have_both_splits(tmp_path: Path) -> None:
    pixels, labels = write_cifar10(tmp_path)
    splits = DatasetSplits(tmp_path)
    np.testing.assert_array_equal(splits.train.images, pixels[:10])
    np.testing.assert_array_equal(splits.test.images, pixels[10:])
    assert splits.test.labels.tolist() == labels[10:]


def test_a_test_split_has_the_classes_of_the_training_images(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    write_npz(path)
    assert load_dataset(path, "test").classes == 2
    assert DatasetSplits(path).test.classes == 3


def test_image_folders_are_read_into_one_array_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = make_pixels(7)
    write_images(tmp_path / "train", pixels[:5])
    write_images(tmp_path / "test", pixels[5:])
    monkeypatch.setattr("workloads.datasets.dataset.IMAGES_AT_ONCE", 2)
    splits = DatasetSplits(tmp_path)
    order = [0, 2, 4, 1, 3]
    assert isinstance(splits.train.images, np.ndarray)
    np.testing.assert_array_equal(splits.train.images, pixels[order])
    assert splits.train.class_names == ("cat", "dog")
    assert splits.train.in_memory() is splits.train
    from_files = DatasetSplits(tmp_path, in_memory=False)
    assert not isinstance(from_files.train.images, np.ndarray)
    np.testing.assert_array_equal(from_files.test.images[np.arange(2)], splits.test.images)
    assert from_files.train.fingerprint() == splits.train.fingerprint()


def test_images_of_several_sizes_are_refused_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workloads.datasets.dataset.IMAGES_AT_ONCE", 1)
    write_images(tmp_path / "train", make_pixels(1), ("cat",))
    write_images(tmp_path / "train", make_pixels(1)[:, :, :16], ("dog",))
    with pytest.raises(InputError) as error:
        _ = DatasetSplits(tmp_path).train
    assert str(error.value) == (
        f"{tmp_path.name}: the images of split 'train' have several sizes, such as 32 x 32 and 16 x 32 "
        "(height x width); images: {resize: [HEIGHT, WIDTH]} makes them equal"
    )
    assert DatasetSplits(tmp_path, resize=8).train.images[np.arange(2)].shape == (2, 3, 8, 8)


def test_a_dataset_without_a_test_split_is_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, train_images=make_pixels(2), train_labels=np.array([0, 1]))
    assert len(DatasetSplits(path).train.images) == 2
    assert refuse_test(path) == (
        f"{path}: has no split 'test': the array 'test_images' is missing; the file holds train_images, train_labels"
    )
    folder = tmp_path / "folder"
    write_images(folder, make_pixels(2))
    assert refuse_test(folder) == f"{folder}: has no folder test or val for the split 'test'"


def test_splits_of_other_classes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    write_npz(path, test_labels=np.array([1, 3]))
    assert refuse_test(path) == f"{path}: its test images have the label 3, its training images only 0 to 2"
    folder = tmp_path / "folder"
    write_images(folder / "train", make_pixels(3), ("cat", "cow", "dog"))
    write_images(folder / "val", make_pixels(2), ("cat", "dog"))
    assert refuse_test(folder) == (
        f"{folder}: the class folders of its splits differ: cat, cow, dog to train on, cat, dog to test on"
    )


def test_splits_of_other_sizes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    write_npz(path, test_images=make_pixels(2)[:, :, :16])
    assert refuse_test(path) == (
        f"{path}: its splits have images of several sizes, 3 x 32 x 32 to train on and 3 x 16 x 32 to test on "
        "(channels x height x width)"
    )


def test_a_fingerprint_tells_the_same_data_from_others_whatever_their_address(tmp_path: Path) -> None:
    first, copy = tmp_path / "first.npz", tmp_path / "copy.npz"
    write_npz(first)
    write_npz(copy)
    dataset = load_dataset(first)
    own = dataset.fingerprint()
    assert load_dataset(copy).fingerprint() == own
    assert load_dataset(first, "test").fingerprint() != own
    part = take_first(dataset, 2)
    assert (len(part.labels), part.fingerprint()) == (2, own)
    assert take_first(part, 1).fingerprint() == own
    assert replace(dataset, labels=np.array([0, 1, 2, 2])).fingerprint() != own
    assert replace(dataset, images=dataset.images[np.arange(4)] ^ 1).fingerprint() != own
