"""A folder of images, one sub-folder for each class; only the images that are chosen are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workloads.datasets.dataset import Dataset, Split
from workloads.datasets.image_modes import open_image, read_colours
from workloads.errors import InputError
from workloads.user_file import FileForm, open_file, resolve_path

FORMATS = ("PNG", "JPEG")
FORM = FileForm("a PNG or JPEG image", limit_bytes=2**28)
ENDINGS = (".png", ".jpg", ".jpeg")
# Where there is no folder for the split, the class folders themselves are the training images.
SPLIT_FOLDERS: dict[Split, tuple[str, ...]] = {"train": ("train",), "test": ("test", "val")}


@dataclass(frozen=True)
class ImageFiles:
    """Image files as RGB of one size.

    Attributes:
        size: Height and width to which every image is resized bilinearly; None if all have one size, which is checked.
    """

    files: tuple[Path, ...]
    size: tuple[int, int] | None

    def __len__(self) -> int:
        """Give the number of images."""
        return len(self.files)

    def __getitem__(self, chosen: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Read the chosen images as ``(n, 3, H, W)``.

        Raises:
            InputError: one cannot be read, or their sizes differ and none is given.
        """
        images = [_read_image(self.files[index], self.size) for index in chosen]
        for index, image in zip(chosen, images, strict=True):
            if image.shape != images[0].shape:
                raise InputError(
                    f"{self.files[index]}: is {_words(image)} pixels (height x width), {self.files[chosen[0]]} is "
                    f"{_words(images[0])}; images: {{resize: [HEIGHT, WIDTH]}} makes them equal"
                )
        return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))

    def smallest_size(self, chosen: NDArray[np.intp]) -> tuple[int, int]:
        """Give the least height and the least width among the chosen files."""
        sizes = [_read_size(self.files[index]) for index in chosen]
        return min(height for height, _ in sizes), min(width for _, width in sizes)


def is_image_folder(path: Path) -> bool:
    """Tell whether a folder has class sub-folders with images, directly or below `train`."""
    top = path / "train" if (path / "train").is_dir() else path
    return top.is_dir() and any(_list_images(folder) for folder in _list_classes(top))


def load_image_folder(path: Path, split: Split, resize: int | Sequence[int] | None = None) -> Dataset:
    """List the images of a split: PATH/train/CLASS/*.png or .jpg, PATH/test (or val)/CLASS, or PATH/CLASS for training.

    Classes are numbered in the order of their names. With `resize` (one number: a square; or height, width) each image
    is resized as it is read, in uint8. Pixels are taken as they are stored: transparency and a camera's note of its
    orientation are left out.

    Raises:
        InputError: the folder, its classes or their images are missing.
    """
    top = _find_split(path, split)
    classes = _list_classes(top)
    listed = [(file, label) for label, folder in enumerate(classes) for file in _list_images(folder)]
    if not listed:
        raise InputError(f"{top}: holds no class sub-folders with {', '.join(ENDINGS)} images")
    height_width = (resize, resize) if isinstance(resize, int) else resize
    size = None if height_width is None else (height_width[0], height_width[1])
    images = ImageFiles(tuple(file for file, _ in listed), size)
    labels = np.array([label for _, label in listed], dtype=np.int64)
    return Dataset(
        resolve_path(path).name, split, images, labels, len(classes), class_names=tuple(one.name for one in classes)
    )


def _find_split(path: Path, split: Split) -> Path:
    if not path.is_dir():
        raise InputError(f"{path}: is no folder; a folder with one sub-folder for each class is needed")
    for name in SPLIT_FOLDERS[split]:
        if (path / name).is_dir():
            return path / name
    if split == "train" and not any((path / name).is_dir() for name in SPLIT_FOLDERS["test"]):
        return path
    raise InputError(f"{path}: has no folder {' or '.join(SPLIT_FOLDERS[split])} for the split '{split}'")


def _list_classes(top: Path) -> list[Path]:
    return sorted(entry for entry in top.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _list_images(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
    return [folder / name for name in sorted(names) if name.lower().endswith(ENDINGS)]


def _read_image(path: Path, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Read an image as ``(H, W, 3)``."""
    with open_file(path, FORM) as file, open_image(file, str(path), FORMATS) as image:
        colours = read_colours(image, str(path))
    if size is None or colours.shape[:2] == size:
        return colours
    return np.asarray(Image.fromarray(colours).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def _read_size(path: Path) -> tuple[int, int]:
    with open_file(path, FORM) as file, open_image(file, str(path), FORMATS) as image:
        return image.height, image.width


def _words(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[0]} x {image.shape[1]}"
