"""The iterations of a training in spans: epochs, cut where pruning begins, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from sim.training.observed import FOR_GTA, GRADIENT, Array, Densities, Numbers, ObservedSeries
from workloads.host import OUTPUT
from workloads.training.record import EpochRecord


@dataclass(frozen=True, slots=True)
class Span:
    """Successive iterations of an epoch.

    Attributes:
        epoch: From 0.
        start: The first iteration.
        stop: The one behind the last.
        recorded: In how many of them densities were counted.
    """

    epoch: int
    start: int
    stop: int
    recorded: int

    @property
    def iterations(self) -> int:
        """How many they are."""
        return self.stop - self.start


def cut_spans(records: Sequence[EpochRecord], border: int, record_every: int) -> tuple[Span, ...]:
    """Cut a training into its epochs, and the one that the border lies in at the border."""
    spans = []
    start = 0
    for epoch, record in enumerate(records):
        places = sorted({start, min(max(border, start), record.iterations), record.iterations})
        for first, stop in pairwise(places):
            recorded = sum((number - start) % record_every == 0 for number in range(first, stop))
            spans.append(Span(epoch, first, stop, recorded))
        start = record.iterations
    return tuple(spans)


def weigh_observations(spans: Sequence[Span], iterations: Numbers, border: int) -> Array:
    """Weigh what was observed for the sum over each span `(S, K)`: linear between two, the nearest beyond the ends.

    Nothing is interpolated across the border.
    """
    weights = np.zeros((len(spans), len(iterations)))
    unit = np.eye(len(iterations))
    for place, span in enumerate(spans):
        mine = np.flatnonzero((iterations < border) == (span.start < border))
        if not len(mine):
            mine = np.arange(len(iterations))
        for one in mine:
            numbers = np.arange(span.start, span.stop)
            weights[place, one] = np.interp(numbers, iterations[mine], unit[one, mine]).sum()
    return weights


def find_densities(
    records: Sequence[EpochRecord], spans: Sequence[Span], weights: Array, series: ObservedSeries, border: int
) -> list[Densities]:
    """Find the mean densities of every span, as a machine meets them.

    Those of inputs and weights are recorded, and those of gradients as they are trained with; without pruning
    these follow from what the next layers read. In an epoch that the border cuts, what was observed before it tells
    what the recorded mean has of it.
    """
    found: list[Densities] = []
    for place, span in enumerate(spans):
        recorded: dict[str, dict[str, float]] = {}
        # What no layer is computed from is recorded for profiles.
        for one in (one for one in records[span.epoch].tensors if one.tensor != OUTPUT):
            recorded.setdefault(one.layer, {})[one.tensor] = one.density
        shares = weights[place] / span.iterations
        inputs = {layer: tensors["input"] for layer, tensors in recorded.items()}
        others = [one for one in spans if one.epoch == span.epoch and one != span]
        for layer, tensors in recorded.items():
            for name in (GRADIENT, FOR_GTA) if others and series.sources is None else ():
                if name in tensors:
                    tensors[name] = split_mean(tensors[name], span, others[0], series, (layer, name), border)
            if series.sources is not None:
                # Nothing is pruned, for GTA as little as for all.
                tensors.pop(FOR_GTA, None)
                observed = float(shares @ [one[layer][GRADIENT] for one in series.densities])
                tensors[GRADIENT] = derive_density(inputs, series.sources, shares, layer, observed)
        found.append(recorded)
    return found


def derive_density(
    inputs: Mapping[str, float], sources: Sequence[Mapping[str, Any]], shares: Array, layer: str, observed: float
) -> float:
    """Derive the density that a layer's gradient has without pruning.

    Args:
        inputs: The densities of what layers read.
        shares: Of observations in the mean over the span.
        observed: The mean of what was observed, for a layer whose gradient follows no such density.
    """
    if not all(layer in one for one in sources):
        return observed
    return inputs[sources[0][layer]["layer"]] * float(shares @ [one[layer]["ratio"] for one in sources])


def split_mean(
    mean: float, span: Span, other: Span, series: ObservedSeries, tensor: tuple[str, str], border: int
) -> float:
    """Give a span's part of the mean of a cut epoch: what was observed before the border, the rest behind it."""
    layer, name = tensor
    observed = [one[layer][name] for one in series.densities]
    is_before = series.iterations < border
    mine = [one for one, before in zip(observed, is_before, strict=True) if before == (span.start < border)]
    if (span.start < border or not span.recorded) and mine:
        return mine[-1] if span.start < border else mine[0]
    before = [one for one, is_there in zip(observed, is_before, strict=True) if is_there]
    if not before or not span.recorded:
        return mean
    return max(0.0, (mean * (span.recorded + other.recorded) - before[-1] * other.recorded) / span.recorded)
