"""What a training is asked for, complete and checked: the network, its images, and how they are trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workloads.host import HostOptions
from workloads.network import Network
from workloads.pruners.site import find_sites
from workloads.pruning_sites import PruningSite
from workloads.settings import Pruning
from workloads.training.batches import Batch, BatchSource
from workloads.training.form import TrainingForm
from workloads.training.state import Arrays, TrainingState, begin_training


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """A training.

    Attributes:
        network: For the batch of the training.
        make_network: Gives it for another batch.
        parameters: Initial ones; None: drawn.
        masks: Of weights that stay zero, 1 where one lives, by parameters' names.
        test: None where no test images are evaluated.
    """

    network: Network
    make_network: Callable[[int], Network]
    form: TrainingForm
    pruning: Pruning | None
    seed: int
    train: BatchSource
    test: BatchSource | None
    parameters: Arrays | None = None
    masks: Arrays | None = None

    @property
    def epoch_iterations(self) -> int:
        """Iterations of an epoch."""
        return self.train.epoch_iterations

    @property
    def unpruned_iterations(self) -> int:
        """How many iterations pass before the first is pruned; 0 where pruning begins at once, or never does."""
        return 0 if self.pruning is None else self.pruning.unpruned_iterations

    @property
    def iterations(self) -> int:
        """Iterations of the whole training."""
        return self.epoch_iterations * self.form.epochs

    @property
    def host_options(self) -> HostOptions:
        """How the reference computes an iteration."""
        return HostOptions(threads=self.form.threads)

    def begin(self) -> TrainingState:
        """Make the state before the first iteration."""
        depth = None if self.pruning is None else self.pruning.fifo_depth
        return begin_training(self.network, self.seed, depth, self.parameters)

    def find_sites(self) -> dict[str, PruningSite]:
        """Find the gradients that are pruned; none where nothing is."""
        return {} if self.pruning is None else find_sites(self.network, self.pruning)

    def load_batch(self, iteration: int) -> Batch:
        """Load the batch of an iteration, counted from 0 over all epochs."""
        epoch, number = divmod(iteration, self.epoch_iterations)
        return self.train.load_batch(epoch, number, self.form.augmentation, self.seed)

    def learning_rate(self, iteration: int) -> float:
        """Give the learning rate of an iteration."""
        scale = self.form.schedule.scale(iteration, self.epoch_iterations, self.form.epochs)
        return self.form.optimiser.learning_rate * scale

    def is_recorded(self, iteration: int) -> bool:
        """Tell whether densities are counted in an iteration."""
        return iteration % self.epoch_iterations % self.form.record_every == 0
