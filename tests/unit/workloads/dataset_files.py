"""Small files in the forms of datasets that users have, and the words of a refusal."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workloads.datasets import load_dataset
from workloads.errors import InputError

KINDS = "cifar10, cifar100, idx, images, npz"
FORMS = f"a name (fashion_mnist), a path, or KIND:PATH with one of the kinds {KINDS}"


def make_pixels(count: int, seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def refuse(address: str | Path, split: Any = "train", **options: Any) -> str:
    with pytest.raises(InputError) as error:
        load_dataset(address, split, **options)
    return str(error.value)


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    content = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_idx_folder(folder: Path, ending: str = ".gz") -> NDArray[np.uint8]:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    for prefix in ("train", "t10k"):
        write_idx(folder / f"{prefix}-images-idx3-ubyte{ending}", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte{ending}", np.array([4, 0], dtype=np.uint8))
    return images


def make_batch(pixels: NDArray[np.uint8], labels: list[int], key: bytes = b"labels") -> dict[bytes, Any]:
    """Make a batch as Python 2 wrote it: keys and text are bytes."""
    names = [f"{index}.png".encode() for index in range(len(labels))]
    return {b"batch_label": b"one", key: labels, b"data": pixels.reshape(len(pixels), -1), b"filenames": names}


def write_cifar10(folder: Path) -> tuple[NDArray[np.uint8], list[int]]:
    pixels, labels = make_pixels(12), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 1]
    for number in range(6):
        name = f"data_batch_{number + 1}" if number < 5 else "test_batch"
        part = slice(2 * number, 2 * number + 2)
        (folder / name).write_bytes(pickle.dumps(make_batch(pixels[part], labels[part]), protocol=2))
    return pixels, labels
