"""What becomes of one training of a study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sim.training.job import TrainJob
from sim.training.request import RunKey
from workloads.errors import InputError
from workloads.training.loop import TrainingProgress
from workloads.training.record import EpochRecord


@dataclass(frozen=True, eq=False)
class Ended:
    """A training that has ended: its records, or why it has none.

    Attributes:
        records: Of the epochs that were completed.
    """

    key: RunKey
    records: tuple[EpochRecord, ...]
    failure: str | None = None


def run_job(job: TrainJob, tell: Callable[[TrainingProgress], None]) -> Ended:
    """Run a training; one that diverges, or cannot be run, does not stop the others."""
    try:
        return Ended(job.key, job.run(tell))
    except InputError as error:
        return Ended(job.key, job.read_records(), str(error))
