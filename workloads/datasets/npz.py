"""Labelled images in an .npz file: `train_images` and `train_labels`, `test_images` and `test_labels`."""

from __future__ import annotations

from pathlib import Path

from workloads.datasets.dataset import Dataset, Split, check_arrays, make_dataset
from workloads.errors import InputError
from workloads.npz_file import open_npz
from workloads.words import list_words


def load_npz(path: Path, split: Split) -> Dataset:
    """Load a split: images uint8 ``(n, H, W)`` or ``(n, C, H, W)``, labels integers ``(n,)``; nothing is unpickled.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    names = (f"{split}_images", f"{split}_labels")
    with open_npz(path) as arrays:
        missing = [name for name in names if name not in arrays]
        if missing:
            raise InputError(f"{path}: array '{missing[0]}' is missing; the file holds {list_words(arrays)}")
        headers = [arrays.header(name) for name in names]
        check_arrays(path, split, *((one.dtype, one.shape) for one in headers))
        images, labels = arrays[names[0]], arrays[names[1]]
    return make_dataset(path, path.stem, split, images, labels)
