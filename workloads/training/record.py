"""What is kept of a training, epoch by epoch: scores, densities of every layer's tensors, what became of gradients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import fsum
from typing import Any

from workloads.training.evaluation import Score


@dataclass(frozen=True, slots=True)
class SiteOutcome:
    """What happened to one gradient in one iteration; shares are of all its elements.

    Attributes:
        threshold: What it was pruned with; 0 where it was not.
        own_threshold: What its own values give.
        sigma: Estimate of its deviation, from the mean magnitude; None where it was not asked for.
        pruned: The share that became 0.
        snapped: The share that became the threshold; None where it was not counted.
        aimed_density: What the threshold model expects behind a pruning with the gradient's own threshold.
    """

    threshold: float
    own_threshold: float
    density_before: float
    density_after: float
    sigma: float | None = None
    snapped: float | None = None
    aimed_density: float | None = None

    @property
    def pruned(self) -> float:
        """The share that became 0."""
        return self.density_before - self.density_after


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What one iteration was.

    Attributes:
        sites: By the node to whose output the gradient is.
        densities: Shares of nonzeros by (layer, tensor); empty where they were not counted.
    """

    loss: float
    accuracy: float | None
    sites: Mapping[str, SiteOutcome]
    densities: Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """The mean density of a layer's tensor over the iterations of an epoch that were counted."""

    layer: str
    tensor: str
    density: float


@dataclass(frozen=True, slots=True)
class SiteRecord:
    """Means over an epoch of what happened to a gradient; shares are of all its elements.

    Attributes:
        node: To whose output it is.
        writer: The layer, or pass, that writes it.
        place: Behind a mask or before a batch norm.
        threshold: What it was pruned with, by the mean of the FIFO.
        own_threshold: What its own values give.
        sigma: The estimated deviation, over the iterations that were counted, as `snapped`.
        aimed_density: What the threshold model expects to be left, beside density_after.
    """

    node: str
    writer: str
    place: str
    threshold: float
    own_threshold: float
    sigma: float | None
    density_before: float
    density_after: float
    pruned: float
    snapped: float | None
    aimed_density: float | None = None


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """An epoch of a training.

    Attributes:
        epoch: From 1.
        iterations: Done by its end, in all epochs.
        learning_rate: Of its last iteration.
        loss: Mean over its iterations, in training mode, as `accuracy`.
        test: Of the test images, in evaluation mode.
        observations: What was found where iterations were looked at.
    """

    epoch: int
    iterations: int
    learning_rate: float
    loss: float
    accuracy: float | None
    test: Score | None
    tensors: tuple[TensorRecord, ...]
    sites: tuple[SiteRecord, ...]
    observations: tuple[Mapping[str, Any], ...] = ()

    @property
    def gradient_density(self) -> float | None:
        """The mean density of the gradients that layers read, each counting once."""
        return mean([one.density for one in self.tensors if one.tensor == "grad_output"])


def find_reaching(records: Iterable[EpochRecord], accuracy: float) -> int | None:
    """Give the first epoch behind which the test images are classified with an accuracy; None where it never is."""
    for record in records:
        reached = None if record.test is None else record.test.accuracy
        if reached is not None and reached >= accuracy:
            return record.epoch
    return None


def mean(values: Iterable[float | None]) -> float | None:
    """Give the mean of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return fsum(known) / len(known) if known else None


def require_mean(values: Iterable[float]) -> float:
    """Give the mean of values of which there are some."""
    found = mean(values)
    assert found is not None
    return found


def average_tensors(outcomes: Iterable[BatchOutcome]) -> tuple[TensorRecord, ...]:
    """Average the densities of the iterations in which they were counted."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for outcome in outcomes:
        for key, density in outcome.densities.items():
            found[key].append(density)
    return tuple(TensorRecord(*key, require_mean(densities)) for key, densities in found.items())


def average_sites(outcomes: Iterable[BatchOutcome], sites: Mapping[str, tuple[str, str]]) -> tuple[SiteRecord, ...]:
    """Average what happened to gradients.

    Args:
        sites: Of each, what writes it and where it lies.
    """
    found: dict[str, list[SiteOutcome]] = defaultdict(list)
    for outcome in outcomes:
        for node, one in outcome.sites.items():
            found[node].append(one)
    return tuple(
        SiteRecord(
            node,
            *sites[node],
            threshold=require_mean(one.threshold for one in ones),
            own_threshold=require_mean(one.own_threshold for one in ones),
            sigma=mean(one.sigma for one in ones),
            density_before=require_mean(one.density_before for one in ones),
            density_after=require_mean(one.density_after for one in ones),
            pruned=require_mean(one.pruned for one in ones),
            snapped=mean(one.snapped for one in ones),
            aimed_density=mean(one.aimed_density for one in ones),
        )
        for node, ones in found.items()
    )
