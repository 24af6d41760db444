"""The batches of a training: which images, in which order, augmented and prepared as the network reads them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.datasets import Dataset
from workloads.draws import keyed_generator
from workloads.errors import InputError
from workloads.images import prepare_images
from workloads.losses import BatchTargets
from workloads.settings import ImagePipeline
from workloads.training.augmentation import Augmentation, augmentation_generator


@dataclass(frozen=True, eq=False)
class Batch:
    """Images ``(N, C, H, W)`` float32 as the network reads them, and what the losses compare with."""

    images: NDArray[np.float32]
    targets: BatchTargets


@dataclass(frozen=True, eq=False)
class BatchSource:
    """The images of one split of a data set, batch by batch.

    Attributes:
        batch: Images of each.
        losses: The names of those that may have targets of their own.
    """

    dataset: Dataset
    pipeline: ImagePipeline
    batch: int
    losses: tuple[str, ...]

    @property
    def epoch_iterations(self) -> int:
        """Whole batches of an epoch; the images that are left over wait for another epoch's order."""
        return len(self.dataset.images) // self.batch

    def load_batch(self, epoch: int, number: int, augmentation: Augmentation, seed: int) -> Batch:
        """Load a batch of an epoch, every image once an epoch, in an order drawn anew for each."""
        order = order_images(seed, epoch, len(self.dataset.images))
        chosen = order[number * self.batch : (number + 1) * self.batch]
        generator = augmentation_generator(seed, epoch, number)
        pixels = augmentation.change_pixels(self.dataset.images[chosen], generator)
        images = augmentation.cut_out(self.prepare(pixels), generator)
        return Batch(images, self.choose_targets(chosen))

    def list_all(self) -> Iterator[Batch]:
        """Give all images once, in their order and unchanged; the last batch may be short."""
        for start in range(0, len(self.dataset.images), self.batch):
            chosen = np.arange(start, min(start + self.batch, len(self.dataset.images)))
            yield Batch(self.prepare(self.dataset.images[chosen]), self.choose_targets(chosen))

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Prepare images as the network reads them."""
        return prepare_images(pixels, **self.pipeline.model_dump())

    def choose_targets(self, chosen: NDArray[np.intp]) -> BatchTargets:
        """Give the labels of chosen images, and the targets that the data set has for losses."""
        return BatchTargets(self.dataset.labels[chosen], self.dataset.choose_targets(chosen, self.losses))


@lru_cache(maxsize=4)
def order_images(seed: int, epoch: int, images: int) -> NDArray[np.intp]:
    """Draw the order in which an epoch takes the images; it is kept, and cannot be changed."""
    order = keyed_generator(seed, "batch", epoch).permutation(images)
    order.flags.writeable = False
    return order


def take_first(dataset: Dataset, images: int | None, field: str = "images") -> Dataset:
    """Give a data set's first images; all where None is asked for.

    Where images lie class by class, as in a folder of each, the first would be of few classes: they are taken evenly.

    Args:
        field: Where so many are asked for, as messages name it.

    Raises:
        InputError: it has not so many.
    """
    there = len(dataset.images)
    if images is None or images == there:
        return dataset
    if images > there:
        raise InputError(f"{field} is {images}, but {dataset.name} has {there} {dataset.split} images")
    labels = dataset.labels
    is_sorted = labels[0] != labels[-1] and bool((labels[1:] >= labels[:-1]).all())
    chosen = (2 * np.arange(images) + 1) * there // (2 * images) if is_sorted else np.arange(images)
    targets: dict[str, NDArray[Any]] = {name: every[chosen] for name, every in dataset.targets.items()}
    return dataclasses.replace(
        dataset, images=dataset.images[chosen], labels=labels[chosen], targets=targets,
        whole=dataset.fingerprint(),
    )  # fmt: skip
