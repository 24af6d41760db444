"""The `training` section of a workload: how the host trains it, and when the machine executes what it trains."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SerializeAsAny, model_validator

from workloads.layers import SIZE_LIMIT, PositiveInt, StrictModel
from workloads.optimisers.adam import Adam
from workloads.optimisers.adamw import AdamW
from workloads.optimisers.sgd import Sgd
from workloads.settings import PositiveFloat
from workloads.training.augmentation import Augmentation
from workloads.training.schedules import ConstantSchedule, EpochCount, Schedule

ShippedOptimiser = SerializeAsAny[Annotated[Sgd | Adam | AdamW, Field(discriminator="method")]]
Threads = Annotated[int, Field(ge=1, le=256)]


class SimulatedIterations(StrictModel):
    """Which iterations the machine executes, with the tensors of the training.

    Attributes:
        every_epochs: The first batch of every so manieth epoch, from the first on, the first that is pruned, and the
            last of all.
        images: The first so many images of the batch.
    """

    every_epochs: EpochCount = 1
    images: PositiveInt = 16


class TrainingForm(StrictModel):
    """A training on the host.

    Attributes:
        batch: Images of an iteration; the workload's own batch is that of a simulation alone.
        images: The first so many training images of the data set, or evenly taken ones where it has them class by
            class; all of them where it is left out.
        test_images: Likewise of the test images; 0 evaluates none, as where the data set has none.
        statistics_momentum: With which running statistics follow those of a batch.
        threads: That share the work of a training; of numpy's, no result depends on their number.
        record_every: Densities of operands are counted in every so manieth iteration, the first of an epoch among
            them; losses, thresholds and what is pruned in all.
    """

    epochs: EpochCount
    batch: PositiveInt = 64
    optimiser: ShippedOptimiser
    schedule: Schedule = ConstantSchedule(method="constant")
    augmentation: Augmentation = Augmentation()
    images: PositiveInt | None = None
    test_images: Annotated[int, Field(ge=0, le=SIZE_LIMIT)] | None = None
    statistics_momentum: Annotated[PositiveFloat, Field(le=1.0)] = 0.1
    threads: Threads = 2
    record_every: PositiveInt = 8
    simulate_at: SimulatedIterations | None = None

    @model_validator(mode="after")
    def _train_behind_the_warmup(self) -> TrainingForm:
        if self.schedule.warmup_epochs > self.epochs:
            raise ValueError(
                f"schedule.warmup_epochs must be at most the {self.epochs} epochs, got {self.schedule.warmup_epochs}"
            )
        return self
