"""A training from its beginning, or from a checkpoint, to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from workloads.host import NotFiniteError, is_finite
from workloads.training.batches import Batch
from workloads.training.checkpoint import load_checkpoint, save_checkpoint
from workloads.training.hosts.host import OpenTraining, TrainingHost
from workloads.training.plan import TrainingPlan
from workloads.training.record import BatchOutcome, EpochRecord, average_sites, average_tensors, mean, require_mean
from workloads.training.state import TrainingState


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Where a training is.

    Attributes:
        iterations: Done, of all.
        outcome: Of the last one; None at the end of an epoch.
        record: Of the epoch that has just ended. Without one and without an outcome, the training goes on from there.
    """

    epoch: int
    epochs: int
    iterations: int
    total: int
    outcome: BatchOutcome | None
    record: EpochRecord | None = None


class Observer(Protocol):
    """Looks at some iterations of a training, before they are run; what it finds is kept with the epoch's record."""

    def wants(self, iteration: int) -> bool:
        """Tell whether an iteration is looked at."""
        ...

    def observe(self, state: TrainingState, batch: Batch) -> Mapping[str, Any]:
        """Look at the next iteration from a state; plain data are given back, as JSON holds them."""
        ...


class NoObserver:
    """Looks at nothing."""

    def wants(self, _iteration: int) -> bool:
        """Want none."""
        return False

    def observe(self, _state: TrainingState, _batch: Batch) -> Mapping[str, Any]:
        """Find nothing."""
        return {}


class DivergedError(NotFiniteError):
    """A training whose numbers overflow."""


@dataclass(frozen=True, eq=False)
class Training:
    """A training, and where its checkpoint lies.

    Attributes:
        checkpoint: The file; None keeps none.
        digest: Of all that the training depends on.
    """

    plan: TrainingPlan
    host: TrainingHost
    checkpoint: Path | None = None
    digest: str = ""
    observer: Observer = field(default_factory=NoObserver)

    def run(self, on_progress: Callable[[TrainingProgress], None] = lambda _: None) -> TrainingResult:
        """Train to the end, from the checkpoint where there is one.

        Raises:
            DivergedError: the numbers overflow; the checkpoint of the last good epoch stays.
            InputError: the checkpoint is damaged, is of another training, or cannot be written.
        """
        state, records = self.find_start()
        opened = self.host.open(self.plan, state)
        if state.epoch:
            on_progress(
                TrainingProgress(state.epoch, self.plan.form.epochs, state.iteration, self.plan.iterations, None)
            )
        for epoch in range(state.epoch, self.plan.form.epochs):
            records = (*records, self.run_epoch(opened, epoch, on_progress))
            if self.checkpoint is not None:
                save_checkpoint(self.checkpoint, opened.state, records, self.digest)
            done = opened.state.iteration
            on_progress(
                TrainingProgress(epoch + 1, self.plan.form.epochs, done, self.plan.iterations, None, records[-1])
            )
        return TrainingResult(opened.state, records)

    def find_start(self) -> tuple[TrainingState, tuple[EpochRecord, ...]]:
        """Give the state to go on from, and what is recorded of the epochs before."""
        beginning = self.plan.begin()
        if self.checkpoint is None or not self.checkpoint.exists():
            return beginning, ()
        return load_checkpoint(self.checkpoint, self.digest, beginning)

    def run_epoch(
        self, opened: OpenTraining, epoch: int, on_progress: Callable[[TrainingProgress], None]
    ) -> EpochRecord:
        """Run an epoch and evaluate behind it."""
        plan = self.plan
        outcomes: list[BatchOutcome] = []
        observations: list[Mapping[str, Any]] = []
        for iteration in range(epoch * plan.epoch_iterations, (epoch + 1) * plan.epoch_iterations):
            batch = plan.load_batch(iteration)
            with self.telling_divergence(iteration):
                if self.observer.wants(iteration):
                    observations.append({"iteration": iteration, **self.observer.observe(opened.state, batch)})
                outcomes.append(opened.train_batch(batch))
            on_progress(TrainingProgress(epoch + 1, plan.form.epochs, iteration + 1, plan.iterations, outcomes[-1]))
        opened.end_epoch()
        self.check_state(opened.state)
        sites = {node: (one.writer, one.place.value) for node, one in plan.find_sites().items()}
        return EpochRecord(
            epoch=epoch + 1,
            iterations=opened.state.iteration,
            learning_rate=plan.learning_rate(opened.state.iteration - 1),
            loss=require_mean(one.loss for one in outcomes),
            accuracy=mean(one.accuracy for one in outcomes),
            test=None if plan.test is None else opened.evaluate(plan.test.list_all()),
            tensors=average_tensors(outcomes),
            sites=average_sites(outcomes, sites),
            observations=tuple(observations),
        )

    @contextmanager
    def telling_divergence(self, iteration: int) -> Iterator[None]:
        """Tell of numbers that overflow in the block that they do so in an iteration.

        Raises:
            DivergedError: they do.
        """
        try:
            yield
        except NotFiniteError as error:
            epoch, number = divmod(iteration, self.plan.epoch_iterations)
            raise self.tell_divergence(f"in iteration {number + 1} of epoch {epoch + 1}: {error}", epoch) from None

    def check_state(self, state: TrainingState) -> None:
        """Refuse what no next iteration has met yet: an epoch's last update, as it would be kept.

        Raises:
            DivergedError: a number is not finite.
        """
        arrays = {f"parameter '{name}'": values for name, values in state.parameters.items()}
        arrays |= {f"running statistic '{name}'": values for name, values in state.statistics.items()}
        for parameter, slots in state.optimiser.slots.items():
            arrays |= {f"{slot} of '{parameter}'": values for slot, values in slots.items()}
        for name, values in arrays.items():
            if not is_finite(values):
                where = f"at the end of epoch {state.epoch}: the {name} is not finite"
                raise self.tell_divergence(where, state.epoch - 1)

    def tell_divergence(self, where: str, epochs: int) -> DivergedError:
        """Say where numbers overflow, and what is left.

        Args:
            epochs: How many were completed.
        """
        kept = "no epoch was completed"
        if epochs:
            kept = f"the checkpoint behind epoch {epochs} stays in {self.checkpoint}"
        if self.checkpoint is None:
            kept = "nothing is kept"
        return DivergedError(
            f"the training diverges {where}; {kept}; a lower learning_rate or a longer warm-up may help"
        )


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A training that has ended."""

    state: TrainingState
    records: tuple[EpochRecord, ...]
