"""A folder of IDX files, named as those of MNIST are."""

from __future__ import annotations

import re
from pathlib import Path

from workloads.datasets.dataset import Dataset, Split, make_dataset
from workloads.datasets.idx import read_idx
from workloads.errors import InputError
from workloads.user_file import resolve_path
from workloads.words import list_words

# MNIST calls its test split t10k, EMNIST and others test; EMNIST puts the name of a subset in front.
_SPLIT_NAMES: dict[Split, str] = {"train": "train", "test": "t10k|test"}
_FILE_NAME = r"(?:.*-)?(?:{split})-{content}[-.]idx{axes}-ubyte(?:\.gz)?"


def is_idx_folder(path: Path) -> bool:
    """Tell whether a folder holds IDX files of images."""
    pattern = re.compile(_FILE_NAME.format(split="train|t10k|test", content="images", axes=3))
    return path.is_dir() and any(pattern.fullmatch(entry.name) for entry in path.iterdir())


def load_idx_folder(path: Path, split: Split) -> Dataset:
    """Load `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, or those of `t10k`, gzipped (.gz) or not.

    Raises:
        InputError: a file is missing, there are several for one split, or one is damaged.
    """
    if not path.is_dir():
        raise InputError(f"{path}: is no folder; a folder of IDX files such as train-images-idx3-ubyte.gz is needed")
    images = read_idx(_find_file(path, split, "images", 3))
    labels = read_idx(_find_file(path, split, "labels", 1))
    if images.ndim != 3 or labels.ndim != 1:
        raise InputError(
            f"{path}: the IDX files of split '{split}' must have 3 axes (images) and 1 (labels), "
            f"got {images.ndim} and {labels.ndim}"
        )
    return make_dataset(path, resolve_path(path).name, split, images, labels)


def _find_file(folder: Path, split: Split, content: str, axes: int) -> Path:
    pattern = re.compile(_FILE_NAME.format(split=_SPLIT_NAMES[split], content=content, axes=axes))
    # Of a file and its gzipped copy, which have one name but for the ending, the plain one is read.
    found = {entry.name.removesuffix(".gz"): entry for entry in sorted(folder.iterdir(), reverse=True)
             if pattern.fullmatch(entry.name)}  # fmt: skip
    usual = f"{_SPLIT_NAMES[split].split('|')[0]}-{content}-idx{axes}-ubyte"
    if not found:
        raise InputError(f"{folder}: holds no IDX file of split '{split}' such as {usual}.gz")
    if len(found) > 1:
        raise InputError(
            f"{folder}: holds several IDX files of split '{split}' ({list_words(sorted(found))}); "
            "put one dataset in a folder of its own"
        )
    return next(iter(found.values()))
