"""The shipped subset of Fashion-MNIST, its making, and the loaders' errors."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workloads import datasets
from workloads.datasets import load_dataset
from workloads.datasets.idx import read_idx
from workloads.datasets.loader import Split
from workloads.datasets.make_fashion_mnist import make_subset, select_balanced
from workloads.errors import InputError
from workloads.npz_file import write_npz

FOLDER = Path(datasets.__file__).parent
# Of images and labels, as loaded; the file's own bytes depend on the version of zlib.
CONTENT_SHA256: dict[Split, str] = {
    "train": "72f721b5094227a699c596adec78bcf18f5bff9b84bfa366770c22b5cef02e95",
    "test": "557876127aaf141a638a6a7b29468259a2b6ccb4da45b4b92cfc3587832313fa",
}


@pytest.mark.parametrize(("split", "images_per_class"), [("train", 600), ("test", 100)])
def test_the_shipped_subset_is_balanced_and_has_its_recorded_content(split: Split, images_per_class: int) -> None:
    dataset = load_dataset("fashion_mnist", split)
    assert (dataset.name, dataset.split, dataset.classes) == ("fashion_mnist", split, 10)
    assert dataset.images.dtype == np.uint8
    assert dataset.images.shape == (10 * images_per_class, 1, 28, 28)
    assert dataset.labels.dtype == np.int64
    assert np.bincount(dataset.labels).tolist() == [images_per_class] * 10
    content = dataset.images.tobytes() + dataset.labels.astype("<i8").tobytes()
    assert hashlib.sha256(content).hexdigest() == CONTENT_SHA256[split]


def test_no_image_of_the_subset_stands_in_both_splits() -> None:
    train, test = (
        {image.tobytes() for image in load_dataset("fashion_mnist", split).images} for split in ("train", "test")
    )
    assert len(train) == 6000
    assert not train & test


def test_the_shipped_file_is_small_and_has_its_licence_beside_it() -> None:
    assert (FOLDER / "fashion_mnist.npz").stat().st_size < 6_000_000
    licence = (FOLDER / "LICENSE.fashion-mnist").read_text()
    assert "The MIT License (MIT)" in licence
    assert "Copyright (c) 2017 Zalando SE" in licence


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    content = header + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("name", ["images.gz", "images"])
def test_an_idx_file_is_read_back(tmp_path: Path, name: str) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / name, array)
    np.testing.assert_array_equal(read_idx(tmp_path / name), array)


def test_damaged_idx_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "images"
    whole = bytes((0, 0, 8, 2)) + struct.pack(">2I", 2, 3) + bytes(6)
    faults = {
        whole[:-1]: "the header announces 2 x 3 bytes, the file holds 5",
        whole + b"0": "the header announces 2 x 3 bytes, the file holds more",
        whole[:11]: "ends within its header of 2 axes",
        b"\0\0\x0d" + whole[3:]: "does not start as an IDX file of unsigned bytes does (00 00 08)",
        b"": "does not start as an IDX file of unsigned bytes does (00 00 08)",
    }
    for content, message in faults.items():
        path.write_bytes(content)
        with pytest.raises(InputError) as error:
            read_idx(path)
        assert str(error.value) == f"{path}: {message}"


def test_unreadable_idx_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    with pytest.raises(InputError) as error:
        read_idx(path)
    assert str(error.value) == f"{path}: there is no such file"
    for content in (gzip.compress(bytes((0, 0, 8, 1, 0, 0, 0, 100)) + bytes(100))[:-9], b"plain bytes"):
        path.write_bytes(content)
        with pytest.raises(InputError) as error:
            read_idx(path)
        assert str(error.value) == f"{path}: cannot be read; it is damaged or truncated"


def test_the_first_images_of_each_class_are_selected_in_their_order() -> None:
    labels = np.array([3, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 3, *range(10)], dtype=np.uint8)
    assert select_balanced(labels, 1).tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]
    with pytest.raises(ValueError, match=r"^every class must have 3 images, got \[3, 2, 2, 3, 2, 2, 2, 2, 2, 2\]$"):
        select_balanced(labels, 3)


def test_the_subset_is_made_from_the_four_files_of_the_original(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    originals: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}
    for prefix, count in (("train", 6100), ("t10k", 1100)):
        images = random.integers(0, 256, (count, 2, 2), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", labels)
        originals[prefix] = images, labels
    subset = make_subset(tmp_path)
    assert list(subset) == ["train_images", "train_labels", "test_images", "test_labels"]
    for split, prefix, count in (("train", "train", 6000), ("test", "t10k", 1000)):
        images, labels = originals[prefix]
        np.testing.assert_array_equal(subset[f"{split}_images"], images[:count])
        np.testing.assert_array_equal(subset[f"{split}_labels"], labels[:count])


def make_arrays(**changed: Any) -> dict[str, Any]:
    images, labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.array([0, 4], dtype=np.uint8)
    return {"train_images": images, "train_labels": labels, **changed}


def test_a_written_npz_is_the_same_at_every_time_and_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = make_arrays()
    write_npz(tmp_path / "first.npz", arrays)
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_npz(tmp_path / "second.npz", arrays)
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    dataset = load_dataset(tmp_path / "first.npz")
    assert (dataset.name, dataset.split, dataset.classes) == ("first", "train", 5)
    np.testing.assert_array_equal(dataset.images, arrays["train_images"][:, None])
    np.testing.assert_array_equal(dataset.labels, [0, 4])


def test_images_with_a_channel_axis_are_taken_as_they_are(tmp_path: Path) -> None:
    path, images = tmp_path / "colour.npz", np.zeros((2, 3, 4, 5), dtype=np.uint8)
    np.savez(path, **make_arrays(train_images=images))
    assert load_dataset(path).images.shape == (2, 3, 4, 5)


def refuse(name_or_path: str | Path, split: Any = "train") -> str:
    with pytest.raises(InputError) as error:
        load_dataset(name_or_path, split)
    return str(error.value)


def test_unknown_names_splits_and_files_are_refused(tmp_path: Path) -> None:
    kinds = "cifar10, cifar100, idx, images, npz"
    forms = f"a name (fashion_mnist), a path, or KIND:PATH with one of the kinds {kinds}"
    assert refuse("mnist") == f"dataset 'mnist' is unknown; allowed are {forms}"
    assert refuse("fashion_mnist", "validation") == "split 'validation' is unknown; allowed are train, test"
    assert refuse(tmp_path / "none.npz") == f"{tmp_path / 'none.npz'}: there is no such file"
    assert refuse(tmp_path / "none") == f"dataset '{tmp_path / 'none'}' is unknown; allowed are {forms}"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"train_images": np.zeros((2, 3, 4))},
            "train_images must be uint8 of shape (n, H, W) or (n, C, H, W), got float64 of shape (2, 3, 4)",
        ),
        (
            {"train_images": np.zeros((2, 3), dtype=np.uint8)},
            "train_images must be uint8 of shape (n, H, W) or (n, C, H, W), got uint8 of shape (2, 3)",
        ),
        ({"train_images": np.zeros((0, 3, 4), dtype=np.uint8)}, "train_images is empty, shape (0, 3, 4)"),
        ({"train_labels": np.arange(3)}, "train_labels must be integers of shape (2,), got int64 of shape (3,)"),
        ({"train_labels": np.zeros(2)}, "train_labels must be integers of shape (2,), got float64 of shape (2,)"),
        ({"train_labels": np.array([0, -1])}, "train_labels must not be negative, got -1"),
        (
            {"train_labels": np.array([{}, []], dtype=object)},
            "array 'train_labels' holds pickled Python objects, which are never loaded",
        ),
    ],
)
def test_arrays_that_are_no_labelled_images_are_refused(
    tmp_path: Path, changed: dict[str, NDArray[Any]], message: str
) -> None:
    path = tmp_path / "wrong.npz"
    np.savez(path, **make_arrays(**changed))
    assert refuse(path) == f"{path}: {message}"


def test_a_file_without_the_split_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.npz"
    np.savez(path, **make_arrays())
    assert (
        refuse(path, "test")
        == f"{path}: has no split 'test': the array 'test_images' is missing; the file holds train_images, train_labels"
    )


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "damaged.npz"
    expected = "a zip archive of .npy arrays, as numpy.savez writes it, is expected"
    np.savez_compressed(path, **make_arrays())
    whole = path.read_bytes()
    for content, fault in (
        (b"", f"is not an .npz file; {expected}"),
        (whole[:100], f"is cut off or damaged; {expected}"),
        (b"no zip file", f"is not an .npz file; {expected}"),
        (
            whole[:60] + b"\xff" * 20 + whole[80:],
            "array 'train_images' is damaged: Error -3 while decompressing data: invalid block type",
        ),
    ):
        path.write_bytes(content)
        assert refuse(path) == f"{path}: {fault}"
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    assert refuse(path) == f"{path}: is a single .npy array, not an .npz file of named arrays"
