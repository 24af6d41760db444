"""The weights that a training ends with, as a file that other commands read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sim.training.request import TrainRequest
from sim.training.study import TrainingStudy
from sim.training.tables import RunRecord
from sim.version import MODEL_VERSION
from workloads.errors import InputError
from workloads.npz_file import open_npz
from workloads.profile_table import write_profile
from workloads.trained_record import describe_dataset, write_trained
from workloads.training.opening import TrainingChoice, open_training
from workloads.training.profile_rows import list_profile_rows

KINDS = ("parameters/", "statistics/")


def read_trained(checkpoint: Path) -> dict[str, NDArray[np.float32]]:
    """Read parameters and running statistics from a checkpoint, ``<layer>/weight``, ``<layer>/mean`` and so on.

    Raises:
        InputError: the file is missing or damaged.
    """
    with open_npz(checkpoint) as archive:
        return {name.removeprefix(kind): archive[name] for kind in KINDS for name in archive if name.startswith(kind)}


def choose_profiled(trainings: Sequence[RunRecord]) -> dict[float, RunRecord]:
    """Give the first training at each rate that ran all its epochs, the smallest rate first."""
    first = {run.key.rate: run for run in reversed(trainings) if run.has_ended}
    return {rate: first[rate] for rate in sorted(first)}


def save_profile(trainings: Sequence[RunRecord], path: Path, comment: str) -> None:
    """Write the densities of all epochs of the first training at each rate that ended as a profile.

    Raises:
        InputError: the file cannot be written.
    """
    rows = [row for rate, run in choose_profiled(trainings).items() for row in list_profile_rows(run.records, rate)]
    write_profile(path, rows, comment)


def save_weights(
    request: TrainRequest, study: TrainingStudy, path: Path, *, command: str, dtype: Literal["float16", "float32"]
) -> None:
    """Write the weights of a study's first training, and the record of how they came about beside them.

    Args:
        command: What makes them anew.

    Raises:
        InputError: no epoch was completed, or the files cannot be written.
    """
    if not study.trainings or study.trainings[0].key != request.keys[0]:
        raise InputError(f"--save-weights {path}: nothing is written, since the first training completed no epoch")
    run = study.trainings[0]
    plan = open_training(request.workload, TrainingChoice(run.key.rate, run.key.seed, request.weights))
    test = run.records[-1].test
    if plan.test is None or test is None or test.accuracy is None:
        raise InputError(f"--save-weights {path}: nothing is written, since no accuracy on test images is known")
    write_trained(
        path,
        read_trained(study.checkpoints[0]),
        dtype=dtype,
        workload=request.workload.name,
        trained_on=describe_dataset(plan.train.dataset),
        tested_on=describe_dataset(plan.test.dataset),
        images=plan.train.pipeline,
        test_accuracy=test.accuracy,
        epochs=len(run.records),
        command=command,
        date=date.today().isoformat(),
        version=MODEL_VERSION,
    )
