"""Seeded augmentation of the images of a batch: cropped, flipped, and a square cut out of them.

All draws are keyed by (seed, epoch, number of the batch), so that a training that goes on draws what it would have.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from workloads.arrays import BoolArray
from workloads.draws import keyed_generator
from workloads.layers import StrictModel

Pixels = Annotated[int, Field(ge=0, le=2**12)]


class Augmentation(StrictModel):
    """What is done to training images, in this order.

    Attributes:
        crop: A window of the image's own size at a place drawn in the image with so many pixels of zeros around it.
        flip: Half of the images are mirrored left to right.
        cutout: A square of so many pixels around a pixel that is drawn, as far as it lies in the image, is set to 0 in
            what the network reads (T. DeVries, G. W. Taylor, "Improved regularization of convolutional neural networks
            with cutout", arXiv 1708.04552, section 3.2).
    """

    crop: Pixels = 0
    flip: bool = False
    cutout: Pixels = 0

    def change_pixels(self, images: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
        """Crop and flip images ``(n, C, H, W)`` as the data set has them."""
        if self.crop:
            images = crop_images(images, self.crop, generator)
        if self.flip:
            is_flipped = generator.random(len(images)) < 0.5
            images = np.where(is_flipped[:, None, None, None], images[..., ::-1], images)
        return images

    def cut_out(self, images: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
        """Cut a square out of each image ``(n, C, H, W)`` that the network reads."""
        if not self.cutout:
            return images
        n, _, H, W = images.shape
        rows, columns = (mark_cut(generator, n, size, self.cutout) for size in (H, W))
        cut: NDArray[np.float32] = np.where((rows[:, :, None] & columns[:, None, :])[:, None], np.float32(0), images)
        return cut


def mark_cut(generator: np.random.Generator, images: int, size: int, length: int) -> BoolArray:
    """Draw which of the places along an axis are cut out of each image: ``(images, size)``."""
    places, first = np.arange(size), generator.integers(size, size=(images, 1)) - length // 2
    return np.asarray((first <= places) & (places < first + length))


def crop_images(images: NDArray[np.uint8], padding: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Take a window at a place of its own out of each padded image."""
    n, C, H, W = images.shape
    padded = np.zeros((n, C, H + 2 * padding, W + 2 * padding), dtype=images.dtype)
    padded[:, :, padding : padding + H, padding : padding + W] = images
    top, left = generator.integers(2 * padding + 1, size=n), generator.integers(2 * padding + 1, size=n)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (H, W), axis=(2, 3))
    chosen: NDArray[np.uint8] = windows[np.arange(n), :, top, left]
    return chosen


def augmentation_generator(seed: int, epoch: int, batch: int) -> np.random.Generator:
    """Make the generator of a batch's draws."""
    return keyed_generator(seed, "augmentation", epoch, batch)
