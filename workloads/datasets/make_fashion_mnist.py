"""Make `fashion_mnist.npz`, a balanced subset of Fashion-MNIST, from the original's IDX files.

The original is Debian's package `dataset-fashion-mnist`, which installs into /usr/share/datasets/fashion-mnist::

    python -m workloads.datasets.make_fashion_mnist /usr/share/datasets/fashion-mnist

The subset is the first 600 training and the first 100 test images of each class, in the original's order.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.idx import read_idx
from workloads.datasets.loader import SHIPPED, Split
from workloads.npz_file import write_npz

CLASSES = 10
FILES: dict[Split, str] = {"train": "train", "test": "t10k"}
IMAGES_PER_CLASS: dict[Split, int] = {"train": 600, "test": 100}


def make_subset(folder: Path) -> dict[str, NDArray[np.uint8]]:
    """Select the subset from the folder of the four gzipped IDX files.

    Raises:
        InputError: a file is missing or damaged.
    """
    subset = {}
    for split, prefix in FILES.items():
        images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
        labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
        chosen = select_balanced(labels, IMAGES_PER_CLASS[split])
        subset[f"{split}_images"] = images[chosen]
        subset[f"{split}_labels"] = labels[chosen]
    return subset


def select_balanced(labels: NDArray[np.uint8], images_per_class: int) -> NDArray[np.intp]:
    """Indices of the first images of each class, in ascending order.

    Raises:
        ValueError: a class has fewer images.
    """
    chosen = [np.flatnonzero(labels == label)[:images_per_class] for label in range(CLASSES)]
    if any(len(indices) < images_per_class for indices in chosen):
        raise ValueError(f"every class must have {images_per_class} images, got {[len(indices) for indices in chosen]}")
    return np.sort(np.concatenate(chosen))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m workloads.datasets.make_fashion_mnist FOLDER")
    write_npz(SHIPPED["fashion_mnist"], make_subset(Path(sys.argv[1])))
