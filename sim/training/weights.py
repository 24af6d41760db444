"""The weights that a training ends with, as a file that other commands read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.training.tables import RunRecord
from workloads.errors import InputError
from workloads.npz_file import open_npz, write_npz
from workloads.output_files import replace_file
from workloads.profile_table import write_profile
from workloads.training.profile_rows import list_profile_rows

KINDS = ("parameters/", "statistics/")


def read_trained(checkpoint: Path) -> dict[str, NDArray[np.float32]]:
    """Read parameters and running statistics from a checkpoint, ``<layer>/weight``, ``<layer>/mean`` and so on.

    Raises:
        InputError: the file is missing or damaged.
    """
    with open_npz(checkpoint) as archive:
        return {name.removeprefix(kind): archive[name] for kind in KINDS for name in archive if name.startswith(kind)}


def save_profile(trainings: Sequence[RunRecord], path: Path, comment: str) -> None:
    """Write the densities of all epochs of the first training at each rate as a profile.

    Raises:
        InputError: the file cannot be written.
    """
    first = {run.key.rate: run for run in reversed(trainings)}
    rows = [row for rate in sorted(first) for row in list_profile_rows(first[rate].records, rate)]
    write_profile(path, rows, comment)


def save_weights(checkpoint: Path, path: Path, dtype: Any = np.float32) -> None:
    """Write the weights of a checkpoint into an .npz file.

    Raises:
        InputError: the checkpoint cannot be read, or the file not be written.
    """
    if not checkpoint.exists():
        raise InputError(f"{path}: cannot be written: {checkpoint} is missing, so no epoch was completed")
    arrays = {name: values.astype(dtype) for name, values in read_trained(checkpoint).items()}
    replace_file(path, lambda place: write_npz(place, arrays), "--save-weights")
