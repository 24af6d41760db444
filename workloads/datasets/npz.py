"""Labelled images in an .npz file: `train_images`, `train_labels` and perhaps `train_targets`, and those of `test`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from workloads.datasets.dataset import Dataset, Split, check_arrays, make_dataset
from workloads.errors import InputError
from workloads.npz_file import ArrayArchive, open_npz
from workloads.words import list_words


def load_npz(path: Path, split: Split) -> Dataset:
    """Load a split: images uint8 ``(n, H, W)`` or ``(n, C, H, W)``, labels integers ``(n,)``; nothing is unpickled.

    Targets of losses are numbers ``(n, ...)``: `train_targets/NAME` those of the loss of this name, `train_targets`
    those of all other losses.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    names = (f"{split}_images", f"{split}_labels")
    with open_npz(path) as arrays:
        missing = [name for name in names if name not in arrays]
        if missing:
            lacks = f"has no split '{split}': the array '{missing[0]}' is missing"
            raise InputError(f"{path}: {lacks}; the file holds {list_words(arrays)}")
        headers = [arrays.header(name) for name in names]
        check_arrays(path, split, *((one.dtype, one.shape) for one in headers))
        images, labels = arrays[names[0]], arrays[names[1]]
        targets = _load_targets(path, split, arrays, len(images))
    return replace(make_dataset(path, path.stem, split, images, labels), targets=targets)


def _load_targets(path: Path, split: Split, arrays: ArrayArchive, count: int) -> dict[str, NDArray[Any]]:
    targets: dict[str, NDArray[Any]] = {}
    for name in arrays:
        first, _, loss = name.partition("/")
        if first != f"{split}_targets":
            continue
        header = arrays.header(name)
        if header.dtype.kind not in "iuf" or header.shape[:1] != (count,):
            raise InputError(
                f"{path}: {name} must be numbers of shape ({count}, ...), got {header.dtype} of shape {header.shape}"
            )
        targets[loss] = arrays[name]
    return targets
