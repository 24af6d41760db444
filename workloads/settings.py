"""Settings of a workload's YAML form that the rooms which act on them share with it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
    model_validator,
)

from workloads.layers import StrictModel
from workloads.pruners.row_groups import RowGroups
from workloads.pruners.table import NORMAL, THRESHOLD_MODELS

WorkloadName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$", max_length=128)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
PlainText = Annotated[str, StringConstraints(min_length=1)]
ImageSize = Annotated[int, Field(ge=1, le=2**16)]
ImagePadding = Annotated[int, Field(ge=0, le=2**12)]
PositiveFloat = Annotated[float, Field(gt=0.0)]


def check_threshold_model(name: str) -> str:
    """Give back the name of a registered threshold model.

    Raises:
        ValueError: nothing is registered under it.
    """
    if not THRESHOLD_MODELS.is_registered(name):
        raise ValueError(f"unknown threshold model '{name}'; registered are {', '.join(THRESHOLD_MODELS.names())}")
    return name


class Density(StrictModel):
    """The probability with which an element of each tensor is nonzero."""

    input: Fraction = 1.0
    grad_output: Fraction = 1.0
    weight: Fraction = 1.0


class ImagePipeline(StrictModel):
    """How images become the network's input, as keyword arguments of `workloads.images.prepare_images`.

    In this order: resized to [height, width] or to a square; padded with zeros; one channel repeated to 3 or 3 averaged
    to one; less the mean, divided by the standard deviation, each one number or one for each channel.
    """

    resize: ImageSize | Annotated[list[ImageSize], Field(min_length=2, max_length=2)] | None = None
    padding: ImagePadding | Annotated[list[ImagePadding], Field(min_length=2, max_length=2)] = 0
    channels: Literal[1, 3] | None = None
    mean: float | Annotated[list[float], Field(min_length=1)] | None = None
    std: PositiveFloat | Annotated[list[PositiveFloat], Field(min_length=1)] | None = None

    def spelled_out(self) -> dict[str, tuple[float, ...] | None]:
        """Give every field as numbers in one form, so that pipelines that do the same are equal."""
        both, channels = ("resize", "padding"), ("channels", "mean", "std")
        told: dict[str, tuple[float, ...] | None] = {}
        for name in (*both, *channels):
            value = getattr(self, name)
            numbers = tuple(value) if isinstance(value, list) else None if value is None else (value,)
            # One number stands for height and width, and for every channel.
            told[name] = numbers[:1] if numbers is not None and len(set(numbers)) == 1 else numbers
        return told


class Clustering(StrictModel):
    """How the zeros of a synthetic tensor stand together; `workloads.fields` defines the model.

    Attributes:
        correlation_length: Of a channel's Gaussian field, in elements.
        channel_variance: Shares of the field's variance that all elements of a channel, and all elements of an image,
            have in common.
        image_variance: Shares of the field's variance that all elements of a channel, and all elements of an image,
            have in common.
    """

    correlation_length: Annotated[float, Field(ge=0.0, le=64.0)] = 0.8
    channel_variance: Fraction = 0.3
    image_variance: Fraction = 0.005

    @model_validator(mode="after")
    def _leave_variance_to_the_elements(self) -> Clustering:
        if self.channel_variance + self.image_variance >= 1:
            raise ValueError(
                "channel_variance and image_variance must sum to less than 1, "
                f"got {self.channel_variance} and {self.image_variance}"
            )
        return self


class PruningForm(StrictModel):
    """What all ways of pruning gradients have in common.

    Attributes:
        feeds: Which steps read pruned gradients, `for` in a file: GTA and GTW, or GTA alone, while GTW and whatever
            else reads the gradient find it unpruned.
    """

    feeds: Literal["both", "gta"] = Field(default="both", alias="for")

    @model_serializer(mode="wrap")
    def _write_alias(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write the field under the name that it has in a file; pydantic before 2.11 has no setting for that."""
        return {"for" if name == "feeds" else name: value for name, value in write(self).items()}


class GradientPruning(PruningForm):
    """Stochastic pruning of gradients; `workloads.pruning` defines it.

    Attributes:
        rate: Share of a gradient's elements below its threshold.
        threshold: `fifo` takes the mean of the last fifo_depth batches' thresholds, after warmup_batches iterations on
            the host; `own_batch` takes the batch's own.
        model: How a gradient's threshold follows from its values: a name of `workloads.pruners.table`.
    """

    method: Literal["stochastic"] = "stochastic"
    rate: Rate
    fifo_depth: Annotated[int, Field(ge=1, le=1024)] = 5
    threshold: Literal["fifo", "own_batch"] = "fifo"
    warmup_batches: Annotated[int, Field(ge=0, le=65536)] = 6
    model: Annotated[str, AfterValidator(check_threshold_model)] = NORMAL

    @model_validator(mode="after")
    def _fill_the_fifo(self) -> GradientPruning:
        if self.threshold == "fifo" and self.warmup_batches < self.fifo_depth:
            raise ValueError(
                f"warmup_batches must be at least fifo_depth, or nothing would be pruned, "
                f"got {self.warmup_batches} and {self.fifo_depth}"
            )
        return self

    @property
    def first_iteration(self) -> int:
        """The number of the first iteration that is simulated: that of iterations which fill the FIFO."""
        return self.warmup_batches if self.threshold == "fifo" else 0

    @property
    def unpruned_iterations(self) -> int:
        """How many iterations of a training pass before the FIFO of thresholds is full, and the first is pruned."""
        return self.fifo_depth if self.rate and self.threshold == "fifo" else 0


class GroupPruning(PruningForm):
    """N:M pruning of gradients along rows, which is biased; `workloads.pruners.row_groups` defines it.

    Attributes:
        n: How many of the largest magnitudes stay.
        m: Of how many neighbours in a row.
    """

    method: Literal["n_m"]
    n: Annotated[int, Field(ge=1, le=31)]
    m: Annotated[int, Field(ge=2, le=32)]

    @model_validator(mode="after")
    def _prune_some(self) -> GroupPruning:
        if self.n >= self.m:
            raise ValueError(f"n must be below m, or nothing would be pruned, got {self.n} and {self.m}")
        return self

    @property
    def groups(self) -> RowGroups:
        """How many of how many neighbours stay."""
        return RowGroups(self.n, self.m)

    @property
    def rate(self) -> float:
        """The share of a whole group that does not stay."""
        return 1 - self.n / self.m

    @property
    def fifo_depth(self) -> int:
        """The depth of a FIFO of thresholds, which stays empty."""
        return 1

    @property
    def unpruned_iterations(self) -> int:
        """How many iterations of a training are not pruned: none."""
        return 0

    @property
    def first_iteration(self) -> int:
        """The number of the first iteration that is simulated; there is no FIFO to fill."""
        return 0


def name_method(given: Any) -> Any:
    """Let pruning without a method be stochastic."""
    return {"method": "stochastic", **given} if isinstance(given, dict) else given


Pruning = Annotated[GradientPruning | GroupPruning, Field(discriminator="method"), BeforeValidator(name_method)]
