"""The weights that a training ends with, as a file that other commands read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.errors import InputError
from workloads.npz_file import open_npz, write_npz
from workloads.output_files import replace_file

KINDS = ("parameters/", "statistics/")


def read_trained(checkpoint: Path) -> dict[str, NDArray[np.float32]]:
    """Read parameters and running statistics from a checkpoint, ``<layer>/weight``, ``<layer>/mean`` and so on.

    Raises:
        InputError: the file is missing or damaged.
    """
    with open_npz(checkpoint) as archive:
        return {name.removeprefix(kind): archive[name] for kind in KINDS for name in archive if name.startswith(kind)}


def save_weights(checkpoint: Path, path: Path, dtype: Any = np.float32) -> None:
    """Write the weights of a checkpoint into an .npz file.

    Raises:
        InputError: the checkpoint cannot be read, or the file not be written.
    """
    if not checkpoint.exists():
        raise InputError(f"{path}: cannot be written: {checkpoint} is missing, so no epoch was completed")
    arrays = {name: values.astype(dtype) for name, values in read_trained(checkpoint).items()}
    replace_file(path, lambda place: write_npz(place, arrays), "--save-weights")
