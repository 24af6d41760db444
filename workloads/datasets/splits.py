"""The training and the test images of one dataset, each decoded once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from workloads.datasets.dataset import Dataset, Split, describe_size
from workloads.datasets.loader import load_dataset
from workloads.errors import InputError
from workloads.words import list_words


@dataclass(frozen=True)
class DatasetSplits:
    """Both splits of a dataset, of one numbering of classes; each is loaded when it is first asked for, and then kept.

    Attributes:
        address: A shipped name, a path, or KIND:PATH, as `load_dataset` takes it.
        resize: A size for images of an image folder.
        in_memory: Read the images of an image folder into one array, once; otherwise they are read anew each time that
            they are chosen. Those of the other forms are in memory anyway.
    """

    address: str | os.PathLike[str]
    base_directory: Path = Path()
    resize: int | Sequence[int] | None = None
    in_memory: bool = True

    @cached_property
    def train(self) -> Dataset:
        """The images to train on: uint8 ``(n, C, H, W)`` with labels int64 ``(n,)``.

        Raises:
            InputError: there are none, or they cannot be loaded.
        """
        return self._load("train")

    @cached_property
    def test(self) -> Dataset:
        """The images to test on, of the same size and with the classes of the training images.

        Raises:
            InputError: there are none, they cannot be loaded, or they are not of the training images' kind.
        """
        train, test = self.train, self._load("test")
        if test.class_names != train.class_names:
            raise InputError(
                f"{self.address}: the class folders of its splits differ: {list_words(train.class_names)} to train on, "
                f"{list_words(test.class_names)} to test on"
            )
        if (highest := int(test.labels.max())) >= train.classes:
            raise InputError(
                f"{self.address}: its test images have the label {highest}, its training images only 0 to "
                f"{train.classes - 1}"
            )
        if isinstance(train.images, np.ndarray) and isinstance(test.images, np.ndarray):
            shapes = train.images.shape[1:], test.images.shape[1:]
            if shapes[0] != shapes[1]:
                raise InputError(
                    f"{self.address}: its splits have images of several sizes, {_describe(train)} to train on and "
                    f"{_describe(test)} to test on (channels x height x width)"
                )
        return replace(test, classes=train.classes)

    def _load(self, split: Split) -> Dataset:
        dataset = load_dataset(self.address, split, base_directory=self.base_directory, resize=self.resize)
        return dataset.in_memory() if self.in_memory else dataset


def _describe(dataset: Dataset) -> str:
    assert isinstance(dataset.images, np.ndarray)
    return f"{dataset.images.shape[1]} x {describe_size(dataset.images)}"
