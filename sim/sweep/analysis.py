"""What the points of a sweep tell: the Pareto front, the best points, and which parameter moves a metric how much."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim.sweep.job import Status
from sim.sweep.metrics import is_maximized

LARGEST_LEVELS = 12
BINS = 8


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How much one parameter moves one metric of one workload.

    Attributes:
        variance_fraction: The correlation ratio (eta squared) of the metric's logarithm, 0 to 1.
        effect_ratio: The largest over the smallest geometric mean of the metric at a value of the parameter, 1 or more.
        least_at: The values where these means are.
        most_at: The values where these means are.
        levels: How many values, or bins of values, were told apart.
    """

    workload: str
    parameter: str
    metric: str
    variance_fraction: float
    effect_ratio: float
    least_at: str
    most_at: str
    levels: int


def find_pareto(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Flag the rows of costs ``(points, objectives)`` that no other row beats: no worse in all, better in one.

    Rows that are equal are all kept; a row with NaN is never on the front.
    """
    usable = np.flatnonzero(np.isfinite(costs.sum(axis=1)))
    order = [int(usable[place]) for place in np.lexsort(costs[usable].T[::-1])]
    is_front = np.zeros(len(costs), dtype=np.bool_)
    front = np.empty((0, costs.shape[1]))
    for index in order:
        row = costs[index]
        beaten = (front <= row).all(axis=1) & (front < row).any(axis=1)
        if not beaten.any():
            is_front[index] = True
            front = np.vstack([front, row])
    return is_front


def select_pareto(frame: pd.DataFrame, objectives: Sequence[str]) -> pd.DataFrame:
    """Keep the points of each workload on its Pareto front, best in the first objective first."""
    done = frame[frame["status"] == Status.DONE]
    fronts = [part[find_pareto(make_costs(part, objectives))] for _, part in done.groupby("workload", sort=True)]
    if not fronts:
        return done
    ascending = [True, *(not is_maximized(objective) for objective in objectives)]
    return pd.concat(fronts).sort_values(["workload", *objectives], ascending=ascending, kind="stable")


def make_costs(frame: pd.DataFrame, objectives: Sequence[str]) -> NDArray[np.float64]:
    """Give objectives as costs ``(points, objectives)``: what is to be maximized is negated."""
    columns = [
        (-1 if is_maximized(name) else 1) * frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        for name in objectives
    ]
    return np.stack(columns, axis=1)


def measure_sensitivity(
    frame: pd.DataFrame, parameters: Sequence[str], metrics: Sequence[str]
) -> tuple[Sensitivity, ...]:
    """Measure for each workload how much each parameter moves each metric, largest share of variance first.

    Method: one-way analysis of variance on the metric's logarithm. The share is the correlation ratio
    eta^2 = sum over values v of n_v (mean_v - mean)^2 / sum over points of (y - mean)^2 (Pearson, 1905), on a full grid
    the first-order Sobol' index. What is missing to 1 over all parameters is interaction. A number with more than 12
    values is cut into 8 bins of equal counts. Where the points are no full grid (constraints, random, search), values
    that occur together share their effects, and few points for each value make the share too large.
    """
    done = frame[frame["status"] == Status.DONE]
    found = []
    for workload, part in done.groupby("workload", sort=True):
        for metric in metrics:
            values = part[metric].to_numpy(dtype=np.float64, na_value=np.nan)
            usable = np.isfinite(values) & (values > 0)
            for parameter in parameters:
                labels, codes = label_levels(part[parameter][usable])
                if len(labels) > 1:
                    found.append(
                        compare_levels(str(workload), parameter, metric, np.log(values[usable]), codes, labels)
                    )
    return tuple(sorted(found, key=lambda one: (one.workload, one.metric, -one.variance_fraction, one.parameter)))


def compare_levels(
    workload: str, parameter: str, metric: str, values: NDArray[np.float64], codes: NDArray[np.int64], labels: list[str]
) -> Sensitivity:
    """Compare the mean of a metric's logarithm between the values of a parameter."""
    counts = np.bincount(codes, minlength=len(labels))
    means = np.bincount(codes, weights=values, minlength=len(labels)) / counts
    total = float(((values - values.mean()) ** 2).sum())
    between = float((counts * (means - values.mean()) ** 2).sum())
    return Sensitivity(
        workload=workload,
        parameter=parameter,
        metric=metric,
        variance_fraction=min(1.0, between / total) if total > 0 else 0.0,
        effect_ratio=float(np.exp(means.max() - means.min())),
        least_at=labels[int(means.argmin())],
        most_at=labels[int(means.argmax())],
        levels=len(labels),
    )


def label_levels(values: pd.Series[Any]) -> tuple[list[str], NDArray[np.int64]]:
    """Tell the values of a parameter apart: their labels in order, and for each point the place of its label."""
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if is_number and values.nunique() > LARGEST_LEVELS:
        numbers = values.astype(float).fillna(np.inf).to_numpy()
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, BINS + 1)))
        codes = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
        used, codes = np.unique(codes, return_inverse=True)
        return [f"{edges[place]:g} to {edges[place + 1]:g}" for place in used], codes.astype(np.int64)
    codes, levels = pd.factorize(values, sort=True, use_na_sentinel=False)
    return ["none" if pd.isna(level) else str(level) for level in levels], codes.astype(np.int64)


def tabulate_sensitivity(found: Sequence[Sensitivity]) -> pd.DataFrame:
    """Give sensitivities as a table."""
    names = list(Sensitivity.__dataclass_fields__)
    return pd.DataFrame([[getattr(one, name) for name in names] for one in found], columns=names)


def measure_hypervolume(costs: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Give the volume that costs ``(points, objectives)`` dominate below a reference point, for any few objectives."""
    kept = costs[(costs < reference).all(axis=1)]
    kept = kept[find_pareto(kept)] if len(kept) else kept
    return sum_slices(np.unique(kept, axis=0), reference)


def sum_slices(front: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Sum the slices along the last objective."""
    if not len(front):
        return 0.0
    if front.shape[1] == 1:
        return float(reference[0] - front[:, 0].min())
    ordered = front[np.argsort(front[:, -1], kind="stable")]
    tops = [*ordered[1:, -1], reference[-1]]
    return math.fsum(
        float(top - ordered[place, -1]) * sum_slices(ordered[: place + 1, :-1], reference[:-1])
        for place, top in enumerate(tops)
        if top > ordered[place, -1]
    )
