"""From the iterations of a training that machines executed to cycles and energy of all its epochs.

Between two such iterations, what a layer's step costs for the density of its operands is interpolated over the
iterations; the densities themselves are recorded in every epoch. How far the sums may be off is told by how well each
of these iterations is predicted from those before and behind it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.sampling.intervals import student_quantile
from sim.training.contenders import PRUNED
from sim.training.observed import CYCLES, ENERGY, Array, Numbers, ObservedSeries, Scope, read_series
from sim.training.spans import Span, cut_spans, find_densities, weigh_observations
from workloads.training.record import EpochRecord, find_reaching

# How a step's cost may follow the share of its multiplications: not at all, as their power, or in proportion.
EXPONENTS = (1.0, 0.75, 0.5, 0.25, 0.0)
# With fewer pairs of neighbours it follows in proportion.
LEAST_TO_CHOOSE = 3
# How many degrees of freedom a difference of neighbours is worth, as each is in two of them: J. von Neumann, R. Kent,
# H. Bellinson, B. Hart, "The mean square successive difference", Ann. Math. Stat. 12(2), 1941.
DIFFERENCE_SHARE = 2 / 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure that was interpolated.

    Attributes:
        low: Where its 95 % interval begins; None where too few iterations tell nothing of its width.
        high: Where it ends.
    """

    value: float
    low: float | None
    high: float | None

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval."""
        return None if self.high is None else self.high - self.value

    def holds(self, value: float) -> bool:
        """Tell whether a value lies in the interval, but for rounding."""
        if self.low is None or self.high is None:
            return True
        slack = 1e-9 * abs(self.value)
        return self.low - slack <= value <= self.high + slack

    def divide(self, divisor: float) -> Estimate:
        """Give it in another unit."""
        low, high = (None if end is None else end / divisor for end in (self.low, self.high))
        return Estimate(self.value / divisor, low, high)


@dataclass(frozen=True, slots=True)
class ScopeFigures:
    """What a machine takes for some iterations in a scope.

    Attributes:
        energy_pj: None on a machine without prices.
    """

    cycles: Estimate
    energy_pj: Estimate | None

    def row(self, prefix: str) -> dict[str, float | None]:
        """Give it as columns of a table."""
        row: dict[str, float | None] = {}
        for name, unit, figure in (("cycles", "", self.cycles), ("energy", "_pj", self.energy_pj)):
            row[f"{prefix}{name}{unit}"] = None if figure is None else figure.value
            row[f"{prefix}{name}_low"] = None if figure is None else figure.low
            row[f"{prefix}{name}_high"] = None if figure is None else figure.high
        return row


@dataclass(frozen=True, slots=True)
class MachineFigures:
    """What a machine takes for some iterations.

    Attributes:
        network: All but the update of parameters.
        convolutions: These alone.
        update: That alone, by the training's own optimiser; it depends on no values.
    """

    network: ScopeFigures
    convolutions: ScopeFigures
    update: ScopeFigures

    def seconds(self, clock_mhz: float) -> Estimate:
        """Give the time without updates."""
        return self.network.cycles.divide(clock_mhz * 1e6)

    def row(self) -> dict[str, float | None]:
        """Give it as columns of a table."""
        update = self.update.energy_pj
        return {
            **self.network.row(""),
            **self.convolutions.row("conv_"),
            "update_cycles": self.update.cycles.value,
            "update_energy_pj": None if update is None else update.value,
        }


@dataclass(frozen=True, eq=False)
class Model:
    """How the figures of a machine go on between what was observed.

    Attributes:
        costs: Of a batch for the share of its multiplications, with the exponents applied, `(K, R)`.
        shares: Of every span, with the exponents applied, `(S, R)`.
        weights: Of observations for the sum over each span, `(S, K)`.
        spread: Relative deviation of one iteration's sum from what the others tell; None where they tell nothing.
        degrees: Of freedom that it was estimated with.
        density_spread: Relative deviation of one iteration's sum by its densities from that of its span's mean.
        sampling: Relative half width of what was executed itself, where steps were sampled; all iterations share it.
    """

    spans: tuple[Span, ...]
    iterations: Numbers
    costs: Array
    shares: Array
    weights: Array
    spread: float | None
    degrees: float
    density_spread: float
    sampling: float

    def sum_spans(self) -> Array:
        """Give the figure of every span `(S,)`."""
        found: Array = np.einsum("sk,kr,sr->s", self.weights, self.costs, self.shares)
        return found

    def estimate(self, chosen: Sequence[int]) -> Estimate:
        """Sum some spans."""
        sums = self.sum_spans()
        value = math.fsum(sums[place] for place in chosen)
        half = 0.0
        if self.spread is not None:
            half = student_quantile(self.degrees) * math.sqrt(self.find_variance(chosen, sums))
        is_told = self.spread is not None or sum(self.spans[one].iterations for one in chosen) <= len(self.iterations)
        half = math.hypot(half, self.sampling * value)
        if not is_told or not math.isfinite(half):
            return Estimate(value, None, None)
        return Estimate(value, max(0.0, value - half), value + half)

    def find_variance(self, chosen: Sequence[int], sums: Array) -> float:
        """Find the variance of the error of a sum.

        Each observed iteration errs by itself, and stands for as many as its weight says; so do those that it stands
        for, and the densities of a span are the mean of those iterations in which they were counted.
        """
        assert self.spread is not None
        levels = {place: sums[place] / self.spans[place].iterations for place in chosen}
        own = np.array([levels[place] for place in chosen]) @ self.weights[list(chosen)]
        others, densities = 0.0, 0.0
        for place in chosen:
            span, level = self.spans[place], levels[place]
            seen = np.flatnonzero((self.iterations >= span.start) & (self.iterations < span.stop))
            own[seen] -= level
            others += (span.iterations - len(seen)) * level**2
            if span.recorded:
                share = max(0.0, 1 / span.recorded - 1 / span.iterations)
                densities += (span.iterations * level) ** 2 * share
        return float(self.spread**2 * (own @ own + others) + self.density_spread**2 * densities)


def fit(
    series: ObservedSeries,
    figure: str,
    scope: Scope,
    records: Sequence[EpochRecord],
    border: int,
    record_every: int,
) -> Model:
    """Fit what goes on between observed iterations.

    Args:
        scope: Whose rows count.
        border: The first iteration that is pruned; 0 where none or all are.
    """
    spans = cut_spans(records, border, record_every)
    weights = weigh_observations(spans, series.iterations, border)
    densities = find_densities(records, spans, weights, series, border)
    found = np.array([[row.share(one, series.policy) for row in series.rows] for one in densities])
    chosen = series.select(scope)
    values, found = series.figures[figure][:, chosen], found[:, chosen]
    shares, told = series.shares[:, chosen], series.told[:, chosen]
    pairs = list_pairs(series.iterations, border)
    exponents = choose_exponents(values, shares, pairs)
    shares, told, found = shares**exponents, told**exponents, found**exponents
    costs = values / shares
    spread, degrees = find_spread(values, shares, told, pairs)
    return Model(
        spans, series.iterations, costs, found, weights, spread, degrees,
        find_density_spread(values, shares, found, spans, series.iterations), series.sampling.get((scope, figure), 0.0),
    )  # fmt: skip


def list_pairs(iterations: Numbers, border: int) -> NDArray[np.intp]:
    """List the places of observed iterations that another one stands before, on the same side of the border."""
    behind = iterations >= border
    return np.flatnonzero(behind[1:] == behind[:-1]) + 1


def choose_exponents(values: Array, shares: Array, pairs: NDArray[np.intp]) -> Array:
    """Choose, for each row, how its figure follows its share: so that each iteration tells best of the next one."""
    if len(pairs) < LEAST_TO_CHOOSE:
        return np.ones(values.shape[1])
    errors = []
    for exponent in EXPONENTS:
        scaled = shares**exponent
        told = values[pairs - 1] / scaled[pairs - 1] * scaled[pairs]
        errors.append(((told - values[pairs]) ** 2).sum(axis=0))
    chosen: Array = np.array(EXPONENTS)[np.argmin(np.array(errors), axis=0)]
    return chosen


def find_spread(values: Array, shares: Array, told: Array, pairs: NDArray[np.intp]) -> tuple[float | None, float]:
    """Find how far an iteration's sum lies from what it should be, relative to it, and the degrees of freedom.

    Two neighbours differ by the errors of both, and by what changes from one to the other, which counts as error too.
    """
    if not len(pairs):
        return None, 1.0
    expected = (values[pairs - 1] / shares[pairs - 1] * told[pairs]).sum(axis=1)
    totals = values[pairs].sum(axis=1)
    errors = np.divide(expected - totals, totals, out=np.zeros(len(pairs)), where=totals > 0)
    return math.sqrt(float(errors @ errors) / (2 * len(pairs))), max(1.0, DIFFERENCE_SHARE * len(pairs))


def find_density_spread(
    values: Array, shares: Array, found: Array, spans: Sequence[Span], iterations: Numbers
) -> float:
    """Find how far an iteration's sum lies, by its densities, from that of the mean densities of its span."""
    squares = []
    for place, number in enumerate(iterations):
        mine = next(index for index, span in enumerate(spans) if span.start <= number < span.stop)
        total = values[place].sum()
        if total:
            squares.append(((values[place] * found[mine] / shares[place]).sum() / total - 1) ** 2)
    return math.sqrt(math.fsum(squares) / len(squares)) if squares else 0.0


@dataclass(frozen=True, slots=True)
class MachineTraining:
    """What a machine takes for a training.

    Attributes:
        epochs: What it takes for each.
        sums: What it takes for the first so many, from 1 to all of them.
    """

    policy: str
    machine: str
    epochs: tuple[MachineFigures, ...]
    sums: tuple[MachineFigures, ...]

    @property
    def whole(self) -> MachineFigures:
        """What it takes for all epochs."""
        return self.sums[-1]


@dataclass(frozen=True, slots=True)
class Target:
    """What it takes until an accuracy is reached.

    Attributes:
        epochs: Behind which the test images were first classified that well.
    """

    accuracy: float
    epochs: int
    machines: Mapping[tuple[str, str], MachineFigures]


def interpolate(
    records: Sequence[EpochRecord], *, record_every: int, fifo_depth: int | None = None
) -> tuple[MachineTraining, ...]:
    """Give cycles and energy of every epoch, and of all up to it, on each machine that executed iterations of them.

    Args:
        record_every: In every so manieth iteration of an epoch densities were counted.
        fifo_depth: So many iterations are not pruned, as the FIFO of thresholds is not full; None where pruning begins
            at once, or never.
    """
    return tuple(interpolate_series(series, records, record_every, fifo_depth or 0) for series in read_series(records))


def interpolate_series(
    series: ObservedSeries, records: Sequence[EpochRecord], record_every: int, fifo_depth: int
) -> MachineTraining:
    """Give what one machine takes."""
    border = fifo_depth if series.policy == PRUNED else 0
    models = {
        (scope, figure): fit(series, figure, scope, records, border, record_every)
        for scope in Scope
        for figure in series.figures
    }
    spans = models[Scope.NETWORK, CYCLES].spans

    def sum_scope(scope: Scope, chosen: Sequence[int]) -> ScopeFigures:
        energy = models.get((scope, ENERGY))
        return ScopeFigures(models[scope, CYCLES].estimate(chosen), None if energy is None else energy.estimate(chosen))

    def sum_epochs(first: int, last: int) -> MachineFigures:
        chosen = [place for place, span in enumerate(spans) if first <= span.epoch <= last]
        return MachineFigures(
            sum_scope(Scope.NETWORK, chosen), sum_scope(Scope.CONVOLUTIONS, chosen), sum_scope(Scope.UPDATE, chosen)
        )

    return MachineTraining(
        series.policy,
        series.machine,
        tuple(sum_epochs(epoch, epoch) for epoch in range(len(records))),
        tuple(sum_epochs(0, epoch) for epoch in range(len(records))),
    )


def list_rows(trainings: Iterable[MachineTraining]) -> list[dict[str, Any]]:
    """List what machines take for each epoch, as rows of a table."""
    return [
        {"epoch": number, "policy": one.policy, "machine": one.machine, **figures.row()}
        for one in trainings
        for number, figures in enumerate(one.epochs, 1)
    ]


def find_target(records: Sequence[EpochRecord], trainings: Iterable[MachineTraining], accuracy: float) -> Target | None:
    """Find what it takes until the test images are first classified with an accuracy; None where they never are."""
    epochs = find_reaching(records, accuracy)
    if epochs is None:
        return None
    return Target(accuracy, epochs, {(one.policy, one.machine): one.sums[epochs - 1] for one in trainings})
