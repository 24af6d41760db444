"""What a loaded dataset is: labelled images of one split, held in memory or read from files when they are chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from workloads.errors import InputError
from workloads.memory import require_memory

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")
IMAGES_AT_ONCE = 256
FINGERPRINT_IMAGES = 64
FINGERPRINT_DIGITS = 16


class Images(Protocol):
    """Images of one size that are read when they are chosen; a numpy array ``(n, C, H, W)`` is the other form."""

    def __len__(self) -> int:
        """Give the number of images."""
        ...

    def __getitem__(self, chosen: NDArray[np.intp], /) -> NDArray[np.uint8]:
        """Give the chosen images ``(n, C, H, W)``, in the order of their indices."""
        ...

    def smallest_size(self, chosen: NDArray[np.intp]) -> tuple[int, int]:
        """Give the least height and the least width among the chosen images' files."""
        ...


@dataclass(frozen=True, eq=False)
class Dataset:
    """One split of a dataset: images ``(n, C, H, W)`` uint8, labels ``(n,)`` int64 in [0, classes).

    Attributes:
        targets: What losses compare their scores with in the place of the labels, ``(n, ...)``, by the losses' names;
            ``''`` stands for every other loss.
        class_names: In the order of the labels, where the form has names; empty otherwise.
        whole: The fingerprint of the data set that these images are a part of; empty where they are all.
    """

    name: str
    split: Split
    images: NDArray[np.uint8] | Images
    labels: NDArray[np.int64]
    classes: int
    targets: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    whole: str = ""

    def in_memory(self) -> Dataset:
        """Give the dataset with all its images read from their files into one array; itself where they are one.

        Raises:
            InputError: an image cannot be read or is of another size, or they need more memory than there is.
        """
        if isinstance(self.images, np.ndarray):
            return self
        count = len(self.labels)
        first = self.images[np.arange(1)]
        require_memory(count * first.nbytes, f"the {count} images of split '{self.split}' of {self.name}")
        images = np.empty((count, *first.shape[1:]), np.uint8)
        for start in range(0, count, IMAGES_AT_ONCE):
            chosen = np.arange(start, min(start + IMAGES_AT_ONCE, count))
            read = self.images[chosen]
            if read.shape[1:] != first.shape[1:]:
                raise InputError(
                    f"{self.name}: the images of split '{self.split}' have several sizes, such as "
                    f"{describe_size(first)} and {describe_size(read)} (height x width); "
                    "images: {resize: [HEIGHT, WIDTH]} makes them equal"
                )
            images[chosen] = read
        return replace(self, images=images)

    def fingerprint(self) -> str:
        """Give a digest of the labels and of some images, by which the same data are known under another address.

        A part has that of the whole.
        """
        if self.whole:
            return self.whole
        count = len(self.labels)
        some = np.unique(np.linspace(0, count - 1, FINGERPRINT_IMAGES).astype(np.intp))
        pixels = self.images[some]
        digest = sha256(f"{self.split} {count} {pixels.shape[1:]}".encode())
        digest.update(self.labels.astype("<i8").tobytes())
        digest.update(np.ascontiguousarray(pixels).tobytes())
        return digest.hexdigest()[:FINGERPRINT_DIGITS]

    def original_size(self, chosen: NDArray[np.intp]) -> tuple[int, int]:
        """Height and width of the chosen images before any resizing; where they differ, the least of each."""
        if isinstance(self.images, np.ndarray):
            return self.images.shape[2], self.images.shape[3]
        return self.images.smallest_size(chosen)

    def choose_targets(self, chosen: NDArray[np.intp], losses: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Give the chosen images' targets by the names of losses, and of what else the dataset names."""
        shared, named = self.targets.get(""), {name: every for name, every in self.targets.items() if name}
        given = named if shared is None else dict.fromkeys(losses, shared) | named
        return {name: every[chosen] for name, every in given.items()}


def describe_size(images: NDArray[np.uint8]) -> str:
    """Write height and width of images ``(n, C, H, W)``."""
    return f"{images.shape[2]} x {images.shape[3]}"


def make_dataset(
    place: object, name: str, split: Split, images: NDArray[Any], labels: NDArray[Any], classes: int | None = None
) -> Dataset:
    """Check arrays as labelled images: uint8 ``(n, H, W)`` or ``(n, C, H, W)``, and integers ``(n,)``.

    Args:
        place: The file or folder that a message names.
        classes: Default is the largest label and one.

    Raises:
        InputError: a shape, a type or a label does not fit.
    """
    check_arrays(place, split, (images.dtype, images.shape), (labels.dtype, labels.shape))
    if labels.min() < 0:
        raise InputError(f"{place}: {split}_labels must not be negative, got {labels.min()}")
    if classes is not None and labels.max() >= classes:
        raise InputError(f"{place}: {split}_labels must be below {classes}, got {labels.max()}")
    channelled = images[:, None] if images.ndim == 3 else images
    return Dataset(name, split, channelled, labels.astype(np.int64), classes or int(labels.max()) + 1)


def check_arrays(
    place: object,
    split: Split,
    images: tuple[np.dtype[Any], tuple[int, ...]],
    labels: tuple[np.dtype[Any], tuple[int, ...]],
) -> None:
    """Check type and shape of images and labels, which may be known from headers alone.

    Raises:
        InputError: one of them does not fit.
    """
    (dtype, shape), (label_dtype, label_shape) = images, labels
    if dtype != np.uint8 or len(shape) not in (3, 4):
        raise InputError(
            f"{place}: {split}_images must be uint8 of shape (n, H, W) or (n, C, H, W), got {dtype} of shape {shape}"
        )
    if 0 in shape:
        raise InputError(f"{place}: {split}_images is empty, shape {shape}")
    if label_dtype.kind not in "iu" or label_shape != shape[:1]:
        raise InputError(
            f"{place}: {split}_labels must be integers of shape {shape[:1]}, got {label_dtype} of shape {label_shape}"
        )
