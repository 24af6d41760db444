"""From a dataset's images to a network's input: scaling, resizing, padding, channels, normalisation, batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workloads.datasets import Dataset
from workloads.draws import keyed_generator
from workloads.errors import InputError

FloatImages = NDArray[np.float32]


def prepare_images(
    images: NDArray[np.uint8],
    *,
    resize: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    channels: int | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
) -> FloatImages:
    """Turn images ``(n, C, H, W)`` uint8 into float32, in this order.

    Scaled to 0..1; resized bilinearly to `resize` (one number: a square; or height, width); padded by zeros, so that
    padding is background; one channel repeated to 3, or 3 averaged to one; less `mean`, divided by `std`, each one
    number or one for each channel after that.

    Raises:
        InputError: the channels cannot be converted, or mean or std do not fit them, or a std is not positive.
    """
    prepared = images.astype(np.float32) / np.float32(255)
    if resize is not None:
        prepared = _resize(prepared, *_both_axes(resize))
    pad_height, pad_width = _both_axes(padding)
    if pad_height or pad_width:
        prepared = np.pad(prepared, ((0, 0), (0, 0), (pad_height, pad_height), (pad_width, pad_width)))
    if channels is not None:
        prepared = _convert_channels(prepared, channels)
    if mean is not None:
        prepared = prepared - _per_channel("mean", mean, prepared.shape[1])
    if std is not None:
        deviation = _per_channel("std", std, prepared.shape[1])
        if (deviation <= 0).any():
            raise InputError(f"std must be positive, got {std}")
        prepared = prepared / deviation
    return np.ascontiguousarray(prepared)


def check_image_shape(shape: Sequence[int], expected: Sequence[int], dataset: str) -> None:
    """Refuse images that come out of their pipeline in another shape than the network's input ``(C, H, W)``.

    Raises:
        InputError: the shapes differ.
    """
    if tuple(shape) != tuple(expected):
        raise InputError(
            f"the images of {dataset} come out as {_describe(shape)} (channels x height x width), "
            f"the network's input is {_describe(expected)}; resize, padding and channels change the images"
        )


def select_batch(dataset: Dataset, batch: int, seed: int, iteration: int) -> NDArray[np.intp]:
    """Choose the images of one iteration: every image once per epoch, in an order drawn anew for each epoch."""
    size = len(dataset.images)
    epochs, positions = np.divmod(np.arange(iteration * batch, (iteration + 1) * batch), size)
    chosen = np.empty(batch, dtype=np.intp)
    for epoch in np.unique(epochs):
        order = keyed_generator(seed, "batch", int(epoch)).permutation(size)
        chosen[epochs == epoch] = order[positions[epochs == epoch]]
    return chosen


def _both_axes(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _resize(images: FloatImages, height: int, width: int) -> FloatImages:
    n, C = images.shape[:2]
    resized = np.empty((n, C, height, width), dtype=np.float32)
    for image in range(n):
        for channel in range(C):
            plane = Image.fromarray(images[image, channel])
            resized[image, channel] = np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR))
    return resized


def _convert_channels(images: FloatImages, channels: int) -> FloatImages:
    there = images.shape[1]
    if there == channels:
        return images
    if (there, channels) == (1, 3):
        return np.repeat(images, 3, axis=1)
    if (there, channels) == (3, 1):
        mean: FloatImages = images.mean(axis=1, keepdims=True)
        return mean
    raise InputError(f"images of {there} channels cannot be converted to {channels}; 1 to 3 and 3 to 1 are allowed")


def _per_channel(field: str, values: float | Sequence[float], channels: int) -> FloatImages:
    """One number or one for each channel, shaped ``(C, 1, 1)``."""
    vector = np.asarray(values, dtype=np.float32).reshape(-1, 1, 1)
    if len(vector) not in (1, channels):
        raise InputError(f"{field} must be one number or one for each of {channels} channels, got {len(vector)}")
    return vector


def _describe(shape: Sequence[int]) -> str:
    return " x ".join(str(size) for size in shape)
