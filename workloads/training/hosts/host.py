"""What trains: the reference in numpy, or another library that does the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from workloads.training.batches import Batch
from workloads.training.evaluation import Score
from workloads.training.plan import TrainingPlan
from workloads.training.record import BatchOutcome
from workloads.training.state import TrainingState


class OpenTraining(Protocol):
    """A training under way."""

    @property
    def state(self) -> TrainingState:
        """Give the state between two iterations, in float32 numpy arrays that nobody changes any more."""
        ...

    def train_batch(self, batch: Batch) -> BatchOutcome:
        """Run the next iteration and update the state.

        Raises:
            NotFiniteError: the loss or a gradient is no finite number; the state is what it was.
        """
        ...

    def end_epoch(self) -> None:
        """Count an epoch as done."""
        ...

    def evaluate(self, batches: Iterable[Batch]) -> Score:
        """Compute loss and accuracy of images in evaluation mode."""
        ...


class TrainingHost(Protocol):
    """An engine that trains."""

    name: str

    def open(self, plan: TrainingPlan, state: TrainingState) -> OpenTraining:
        """Go on with a training from a state."""
        ...
