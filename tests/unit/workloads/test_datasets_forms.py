"""The forms of datasets that users have on disk; each test makes its own small files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from unit.workloads.dataset_files import (
    FORMS,
    KINDS,
    refuse,
    write_cifar10,
    write_idx,
    write_idx_folder,
)

from workloads.datasets import Dataset, load_dataset
from workloads.datasets.address import make_absolute
from workloads.errors import InputError
from workloads.image_fit import fit_pipeline
from workloads.images import select_batch
from workloads.layers import ImageInput
from workloads.settings import ImagePipeline


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
    assert refuse("cifar:set") == (f"dataset 'cifar:set' has the unknown kind 'cifar' (allowed are {FORMS})")
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


SIZE = ImageInput(channels=3, height=32, width=32)


def test_a_pipeline_that_fits_other_data_stays(tmp_path: Path) -> None:
    write_idx_folder(tmp_path)
    own = ImagePipeline(resize=28, padding=2, channels=3, mean=0.5)
    assert fit_pipeline(f"idx:{tmp_path}", SIZE, own) == own


def test_a_pipeline_is_made_where_the_own_one_does_not_fit(tmp_path: Path) -> None:
    # CIFAR's shape and statistics are known, so its files are not read.
    fitted = fit_pipeline(f"cifar10:{tmp_path}", SIZE, ImagePipeline(padding=2, channels=3, mean=0.5))
    assert fitted == ImagePipeline(mean=[0.4914, 0.4822, 0.4465], std=[0.247, 0.2435, 0.2616])
    grey = fit_pipeline(f"cifar10:{tmp_path}", ImageInput(channels=1, height=28, width=28), ImagePipeline())
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
