"""How the learning rate runs over a training: a factor for each iteration, warmed up linearly at the beginning."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right
from math import cos, pi
from typing import Annotated, Literal

from pydantic import Field, model_validator

from workloads.layers import StrictModel

EpochCount = Annotated[int, Field(ge=1, le=2**20)]
Factor = Annotated[float, Field(ge=0.0, le=1.0)]


class ScheduleBase(StrictModel):
    """A schedule; over the first `warmup_epochs` the rate rises linearly, one step an iteration, to the optimiser's."""

    method: str
    warmup_epochs: Annotated[int, Field(ge=0, le=2**20)] = 0

    def scale(self, iteration: int, epoch_iterations: int, epochs: int) -> float:
        """Give the factor of the optimiser's learning rate in an iteration, counted from 0."""
        warmup = self.warmup_epochs * epoch_iterations
        if iteration < warmup:
            return (iteration + 1) / warmup
        return self.scale_behind_warmup(iteration - warmup, epoch_iterations, epochs - self.warmup_epochs)

    @abstractmethod
    def scale_behind_warmup(self, iteration: int, epoch_iterations: int, epochs: int) -> float:
        """Give the factor in an iteration counted from the end of the warm-up; `epochs` are those that follow it."""


class ConstantSchedule(ScheduleBase):
    """The optimiser's learning rate throughout."""

    method: Literal["constant"]

    def scale_behind_warmup(self, iteration: int, epoch_iterations: int, epochs: int) -> float:  # noqa: ARG002
        """Give 1."""
        return 1.0


class StepSchedule(ScheduleBase):
    """The rate falls by `factor` at the beginning of some epochs, or every so many, counted behind the warm-up.

    The form of torch.optim.lr_scheduler.MultiStepLR and StepLR.
    """

    method: Literal["step"]
    factor: Factor = 0.1
    at_epochs: Annotated[list[EpochCount], Field(min_length=1)] | None = None
    every_epochs: EpochCount | None = None

    @model_validator(mode="after")
    def _need_one_of_the_two(self) -> StepSchedule:
        if (self.at_epochs is None) == (self.every_epochs is None):
            raise ValueError("a step schedule needs at_epochs or every_epochs, and not both")
        return self

    def scale_behind_warmup(self, iteration: int, epoch_iterations: int, epochs: int) -> float:  # noqa: ARG002
        """Give the factor to the power of the steps that were made."""
        epoch = iteration // epoch_iterations
        if self.every_epochs is not None:
            return float(self.factor ** (epoch // self.every_epochs))
        return float(self.factor ** bisect_right(sorted(self.at_epochs or ()), epoch))


class CosineSchedule(ScheduleBase):
    """The rate falls along half a cosine to `final` times the optimiser's, one step an iteration.

    The form of torch.optim.lr_scheduler.CosineAnnealingLR that is stepped every iteration; after
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, equation 5.
    """

    method: Literal["cosine"]
    final: Factor = 0.0

    def scale_behind_warmup(self, iteration: int, epoch_iterations: int, epochs: int) -> float:
        """Give the place on the cosine."""
        share = iteration / max(1, epoch_iterations * epochs)
        return self.final + (1 - self.final) * (1 + cos(pi * share)) / 2


Schedule = Annotated[ConstantSchedule | StepSchedule | CosineSchedule, Field(discriminator="method")]
