"""An image pipeline that makes another dataset's images fit a network's input."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from workloads.datasets import load_dataset
from workloads.datasets.address import DatasetKind, find_kind, parse_address
from workloads.errors import InputError
from workloads.layers import ImageInput
from workloads.settings import ImagePipeline

# Mean and standard deviation of the training images' channels, as 0..1: of CIFAR-10 computed over the whole split, of
# CIFAR-100 the figures in common use, of image folders ImageNet's as torchvision's models state them.
CIFAR_SHAPE = (3, 32, 32)
STATISTICS = {
    DatasetKind.CIFAR10: ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
    DatasetKind.CIFAR100: ([0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]),
    DatasetKind.IMAGES: ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}


def fit_pipeline(address: str, size: ImageInput, pipeline: ImagePipeline) -> ImagePipeline:
    """Keep a pipeline whose images come out as the network's input, else make one that does.

    That one resizes where sizes differ, converts between 1 and 3 channels, and normalises: CIFAR's and, for image
    folders, ImageNet's customary figures, else mean and deviation of the dataset's training pixels.

    Raises:
        InputError: the dataset cannot be loaded.
    """
    place = parse_address(address, Path())
    kind = place.kind or find_kind(place.path)
    wanted = (size.channels, size.height, size.width)
    shape: tuple[int, ...] | None
    if kind in STATISTICS:
        mean, deviation = STATISTICS[kind]
        shape = None if kind is DatasetKind.IMAGES else CIFAR_SHAPE
    else:
        pixels = np.asarray(load_dataset(address).images)
        shape, mean, deviation = pixels.shape[1:], *_measure(pixels)
    if shape is not None and output_shape(shape, pipeline) == wanted:
        return pipeline
    channels = len(mean)
    if channels == size.channels:
        converted = None
    else:
        converted = size.channels
        mean, deviation = [float(np.mean(mean))], [float(np.mean(deviation))]
    has_size = shape is not None and shape[1:] == wanted[1:]
    return ImagePipeline.model_validate(
        {
            "resize": None if has_size else [size.height, size.width],
            "channels": converted if converted in (1, 3) else None,
            "mean": mean,
            "std": deviation,
        }
    )


def _measure(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, as 0..1; a channel of one colour is only shifted."""
    levels = np.arange(256) / 255
    counts = np.stack([np.bincount(channel.ravel(), minlength=256) for channel in pixels.swapaxes(0, 1)])
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ levels
    deviation = np.sqrt(np.maximum(share @ levels**2 - mean**2, 0))
    rounded = [round(float(value), 4) or 1.0 for value in deviation]
    return [round(float(value), 4) for value in mean], rounded


def output_shape(shape: tuple[int, ...], pipeline: ImagePipeline) -> tuple[int, ...]:
    """Shape that an image ``(C, H, W)`` of the dataset comes out with."""
    resize, padding = pipeline.resize, pipeline.padding
    height, width = shape[1:] if resize is None else (resize, resize) if isinstance(resize, int) else resize
    pad_height, pad_width = (padding, padding) if isinstance(padding, int) else padding
    return (pipeline.channels or shape[0], height + 2 * pad_height, width + 2 * pad_width)


def check_pipeline(pipeline: ImagePipeline, size: ImageInput) -> None:
    """Refuse a pipeline whose resizing cannot fit, before any image is made as large as it says.

    Raises:
        InputError: the images would not come out as high and wide as the network's input.
    """
    if pipeline.resize is None:
        return
    _, height, width = output_shape((size.channels, 1, 1), pipeline)
    if (height, width) != (size.height, size.width):
        raise InputError(
            f"images: resize and padding make {height} x {width} pixels (height x width), the network's input has "
            f"{size.height} x {size.width}"
        )
