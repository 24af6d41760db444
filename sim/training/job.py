"""One training of a study, as any process can run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sim.iteration.policies import Contender
from sim.training.folder import hold_training, remove_leftovers
from sim.training.request import RunKey, TrainRequest
from workloads.errors import InputError
from workloads.training.checkpoint import load_checkpoint
from workloads.training.hosts.table import load_host
from workloads.training.loop import NoObserver, Observer, Training, TrainingProgress
from workloads.training.opening import TrainingChoice, open_training
from workloads.training.plan import TrainingPlan
from workloads.training.record import EpochRecord
from workloads.workload import Workload


@dataclass(frozen=True, eq=False)
class TrainJob:
    """A training, and where its checkpoint lies."""

    workload: Workload
    key: RunKey
    host: str
    weights: str | Path | None
    contenders: tuple[Contender, ...]
    sample: str | float | None
    checkpoint: Path
    digest: str

    def plan(self) -> TrainingPlan:
        """Load what the training needs.

        Raises:
            InputError: it is missing, or does not fit.
        """
        return open_training(self.workload, TrainingChoice(self.key.rate, self.key.seed, self.weights))

    def run(self, on_progress: Callable[[TrainingProgress], None]) -> tuple[EpochRecord, ...]:
        """Train to the end, from the checkpoint where there is one.

        Raises:
            InputError: something does not fit, the numbers overflow, or another process trains there.
        """
        plan = self.plan()
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        with hold_training(self.checkpoint.parent):
            remove_leftovers(self.checkpoint.parent)
            training = Training(plan, load_host(self.host), self.checkpoint, self.digest, self.make_observer(plan))
            return training.run(on_progress).records

    def make_observer(self, plan: TrainingPlan) -> Observer:
        """Make what executes iterations on the machine; nothing where none is to be."""
        if not self.contenders or plan.form.simulate_at is None:
            return NoObserver()
        from sim.training.observation import MachineObserver

        return MachineObserver(plan, self.workload, self.contenders, sample=self.sample)

    def read_records(self) -> tuple[EpochRecord, ...]:
        """Give what is recorded of the epochs that are done; nothing where the checkpoint cannot be used."""
        if not self.checkpoint.exists():
            return ()
        try:
            return load_checkpoint(self.checkpoint, self.digest, self.plan().begin())[1]
        except InputError:
            return ()


def make_job(request: TrainRequest, key: RunKey, checkpoint: Path) -> TrainJob:
    """Make the job of one training of a study."""
    return TrainJob(
        request.workload, key, request.host, request.weights, request.contenders, request.sample, checkpoint,
        request.digest(key),
    )  # fmt: skip
