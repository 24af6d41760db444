"""What machines were found to take for iterations of a training, read from its records as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.iteration.policies import NATURAL
from sim.training.contenders import DENSE, PRUNED
from sim.training.observation import AS_TRAINED, UNPRUNED
from workloads.recomputation import RECOMPUTE
from workloads.row_kinds import COMPUTE_KINDS, CONVOLUTION_KINDS
from workloads.shapes import Step
from workloads.training.record import EpochRecord
from workloads.updates import UPDATE

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
Densities = Mapping[str, Mapping[str, float]]
CYCLES, ENERGY = "cycles", "energy_pj"
HALF_WIDTHS = {CYCLES: "cycles_ci95", ENERGY: "energy_ci95_pj"}
GRADIENT, FOR_GTA = "grad_output", "grad_output_for_gta"
# Added to a share of multiplications, as rows cost something without any, and a share may be 0.
LEAST_SHARE = 0.02


class Scope(StrEnum):
    """What is summed: convolutions alone, all but the update of parameters, that alone."""

    CONVOLUTIONS = "convolutions"
    NETWORK = "network"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class Row:
    """A step of a layer, or a pass, on a machine."""

    layer: str
    kind: str
    step: str

    def belongs_to(self, scope: Scope) -> bool:
        """Tell whether it counts in a scope."""
        match scope:
            case Scope.CONVOLUTIONS:
                return self.kind in CONVOLUTION_KINDS
            case Scope.NETWORK:
                return self.kind != UPDATE
            case Scope.UPDATE:
                return self.kind == UPDATE

    def share(self, densities: Mapping[str, Mapping[str, float]], policy: str) -> float:
        """Give which share of its multiplications is left, as far as densities tell; 1 of a pass."""
        if self.kind not in COMPUTE_KINDS or policy == DENSE:
            return 1.0
        one = densities[self.layer]
        match Step.FORWARD if self.step == RECOMPUTE else self.step:
            case Step.FORWARD:
                left = one["input"]
            case Step.GTA:
                # A mask is set where the input is not 0.
                left = one.get(FOR_GTA, one[GRADIENT]) * (1.0 if policy == NATURAL else one["input"])
            case Step.GTW:
                left = one[GRADIENT] * one["input"]
            case _:
                raise ValueError(f"a layer has no step {self.step!r}")
        return LEAST_SHARE + left


@dataclass(frozen=True, eq=False)
class ObservedSeries:
    """What one machine took for iterations of a training, each for a whole batch.

    Attributes:
        iterations: Their numbers, in order, `(K,)`.
        rows: Of each iteration.
        shares: Of multiplications, by what their densities tell, `(K, R)`.
        told: These shares as the iteration before tells them, where gradients are not recorded.
        figures: Cycles and energy `(K, R)`; without prices cycles alone.
        densities: Of the operands that it met, by layer and tensor, for each iteration.
        sources: To the density of what which layer reads these are in which ratio, for each iteration; None where the
            machine meets the gradients that are recorded.
        sampling: Half widths of 95 % intervals, relative to the sum of a scope, where steps were sampled: the largest.
    """

    policy: str
    machine: str
    iterations: Numbers
    rows: tuple[Row, ...]
    shares: Array
    told: Array
    figures: Mapping[str, Array]
    densities: tuple[Densities, ...]
    sources: tuple[Mapping[str, Mapping[str, Any]], ...] | None
    sampling: Mapping[tuple[Scope, str], float]

    def select(self, scope: Scope) -> NDArray[np.bool_]:
        """Tell which rows belong to a scope."""
        return np.array([row.belongs_to(scope) for row in self.rows])


def read_series(records: Sequence[EpochRecord]) -> tuple[ObservedSeries, ...]:
    """Read what machines took for iterations, one series a machine; nothing where none was executed."""
    found = sorted(
        (one for record in records for one in record.observations if "machines" in one),
        key=lambda one: int(one["iteration"]),
    )
    if not found:
        return ()
    return tuple(make_series(found, number) for number in range(len(found[0]["machines"])))


def make_series(found: Sequence[Mapping[str, Any]], number: int) -> ObservedSeries:
    """Make the series of a machine.

    Args:
        number: Of the machine among those of each observation.
    """
    told = [one["machines"][number] for one in found]
    policy = told[0]["policy"]
    rows = tuple(Row(row["layer"], row["kind"], row["step"]) for row in told[0]["rows"])
    densities = [one["densities"] for one in found]
    # A dense machine meets no values, and may be the only one: then none of an iteration without pruning are known.
    is_dense = policy == DENSE
    seen = [{} if is_dense else both[AS_TRAINED if policy == PRUNED else UNPRUNED] for both in densities]
    is_derived = policy not in (PRUNED, DENSE) and AS_TRAINED in densities[0]
    values = {
        figure: np.array([[row[figure] for row in one["rows"]] for one in told], dtype=np.float64)
        for figure in (CYCLES, ENERGY)
        if all(row[figure] is not None for one in told for row in one["rows"])
    }
    return ObservedSeries(
        policy=policy,
        machine=told[0]["machine"],
        iterations=np.array([int(one["iteration"]) for one in found]),
        rows=rows,
        shares=np.array([[row.share(one, policy) for row in rows] for one in seen]),
        told=np.array(
            [[row.share(one, policy) for row in rows] for one in (tell_next(found, seen) if is_derived else seen)]
        ),
        figures=values,
        densities=tuple(seen),
        sources=tuple(one["gradient_sources"] for one in found) if is_derived else None,
        sampling={
            (scope, figure): max(find_half_width(one.get(scope.value, {}), figure) for one in told)
            for scope in (Scope.CONVOLUTIONS, Scope.NETWORK)
            for figure in values
        },
    )


def find_half_width(told: Mapping[str, Any], figure: str) -> float:
    """Find the half width of the interval of a scope's figure, relative to it; 0 where no step was sampled."""
    width = told.get(HALF_WIDTHS[figure])
    return float(width / told[figure]) if width and told[figure] else 0.0


def tell_next(found: Sequence[Mapping[str, Any]], seen: Sequence[Densities]) -> list[Densities]:
    """Give the densities of each iteration with those of gradients as the iteration before it tells them."""
    told: list[Densities] = [seen[0]]
    for place in range(1, len(seen)):
        here, before, sources = seen[place], seen[place - 1], found[place - 1]["gradient_sources"]
        told.append(
            {
                layer: {
                    **one,
                    GRADIENT: before[layer][GRADIENT]
                    if layer not in sources
                    else sources[layer]["ratio"] * here[sources[layer]["layer"]]["input"],
                }
                for layer, one in here.items()
            }
        )
    return told
