"""CIFAR-10 and CIFAR-100 in their python form: pickled batches in a folder or in the .tar.gz as it is distributed.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; a row of 3072 bytes is one 3x32x32 image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.batch_pickle import read_batch
from workloads.datasets.dataset import Dataset, Split, make_dataset
from workloads.datasets.file_set import FileSet
from workloads.errors import InputError
from workloads.words import list_words

IMAGE_SHAPE = (3, 32, 32)


@dataclass(frozen=True)
class CifarForm:
    """What a CIFAR dataset's files are called, and the key of its labels."""

    name: str
    classes: int
    label_key: str
    files: dict[Split, tuple[str, ...]]


CIFAR10 = CifarForm(
    "cifar10", 10, "labels", {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}
)
CIFAR100 = CifarForm("cifar100", 100, "fine_labels", {"train": ("train",), "test": ("test",)})


def load_cifar_batches(files: FileSet, form: CifarForm, split: Split) -> Dataset:
    """Load a split from its batches; the pickles are read without running anything of them.

    Raises:
        InputError: a batch is missing, damaged or refused, or its images and labels do not fit.
    """
    names = form.files[split]
    read = [_read_one(content, files.place(name), form) for name, content in zip(names, files.read(names), strict=True)]
    images = np.concatenate([images for images, _ in read])
    labels = np.concatenate([labels for _, labels in read])
    return make_dataset(files.label, form.name, split, images, labels, form.classes)


def _read_one(content: bytes, place: str, form: CifarForm) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    batch = read_batch(content, place)
    for key in ("data", form.label_key):
        if key not in batch:
            raise InputError(f"{place}: '{key}' is missing; the batch holds {list_words(sorted(batch))}")
    images: Any = batch["data"]
    size = int(np.prod(IMAGE_SHAPE))
    if not isinstance(images, np.ndarray) or images.ndim != 2 or images.shape[1] != size:
        found = f"shape {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise InputError(f"{place}: 'data' must be an array of shape (n, {size}), got {found}")
    labels: Any = batch[form.label_key]
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label < form.classes for label in labels):
        raise InputError(f"{place}: '{form.label_key}' must be a list of whole numbers from 0 to {form.classes - 1}")
    if len(labels) != len(images):
        raise InputError(f"{place}: holds {len(images)} images and {len(labels)} labels")
    return images.reshape(-1, *IMAGE_SHAPE), np.array(labels, dtype=np.int64)
