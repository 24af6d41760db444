"""Load labelled images by a dataset's name or from an .npz file."""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from workloads.errors import InputError

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")
SHIPPED = {"fashion_mnist": Path(__file__).with_name("fashion_mnist.npz")}


@dataclass(frozen=True, eq=False)
class Dataset:
    """One split of a dataset: images ``(n, C, H, W)`` uint8, labels ``(n,)`` int64 in [0, classes)."""

    name: str
    split: Split
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: int


def load_dataset(name_or_path: str | os.PathLike[str], split: Split = "train") -> Dataset:
    """Load a split of a shipped dataset, by name, or of an .npz file.

    The file holds `train_images` and `train_labels`, `test_images` and `test_labels`: images uint8 of shape
    ``(n, H, W)`` or ``(n, C, H, W)``, labels integers ``(n,)``. Nothing is ever unpickled.

    Raises:
        InputError: the name is unknown, or the file is missing, damaged, or holds something else.
    """
    if split not in SPLITS:
        raise InputError(f"split '{split}' is unknown; allowed are {', '.join(SPLITS)}")
    path = SHIPPED.get(os.fspath(name_or_path), Path(name_or_path))
    if path.suffix != ".npz":
        raise InputError(f"dataset '{path}' is unknown; allowed are {', '.join(SHIPPED)} or the path of an .npz file")
    images, labels = _read_split(path, split)
    _check_split(path, split, images, labels)
    if images.ndim == 3:
        images = images[:, None]
    return Dataset(path.stem, split, images, labels.astype(np.int64), int(labels.max()) + 1)


def _read_split(path: Path, split: Split) -> tuple[NDArray[Any], NDArray[Any]]:
    names = (f"{split}_images", f"{split}_labels")
    try:
        with path.open("rb") as stream:
            arrays = np.load(stream, allow_pickle=False)
            if not isinstance(arrays, NpzFile):
                raise InputError(f"{path}: is one plain array; an .npz file of {' and '.join(names)} is needed")
            missing = [name for name in names if name not in arrays]
            if missing:
                raise InputError(f"{path}: array '{missing[0]}' is missing; the file holds {', '.join(arrays)}")
            return arrays[names[0]], arrays[names[1]]
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except (OSError, EOFError, ValueError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as an .npz file of plain arrays; it is damaged or pickled") from error


def _check_split(path: Path, split: Split, images: NDArray[Any], labels: NDArray[Any]) -> None:
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise InputError(
            f"{path}: {split}_images must be uint8 of shape (n, H, W) or (n, C, H, W), "
            f"got {images.dtype} of shape {images.shape}"
        )
    if images.size == 0:
        raise InputError(f"{path}: {split}_images is empty, shape {images.shape}")
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise InputError(
            f"{path}: {split}_labels must be integers of shape {images.shape[:1]}, "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0:
        raise InputError(f"{path}: {split}_labels must not be negative, got {labels.min()}")
