"""A study of trainings as the reports read it: its record, its tables, and means over its seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev
from types import UnionType
from typing import Any, Protocol

import numpy as np
import pandas as pd

from sim.sampling.intervals import student_quantile
from workloads.errors import InputError

# What a page reads of each table; that of machines and sites is read where they hold rows.
NEEDED = {
    "epochs": ("rate", "seed", "epoch", "iterations", "loss", "accuracy", "test_loss", "test_accuracy"),
    "tensors": ("rate", "seed", "epoch", "layer", "tensor", "density"),
    "sites": (
        "rate", "seed", "epoch", "node", "writer", "place", "threshold", "own_threshold", "density_before",
        "density_after", "snapped", "aimed_density",
    ),
    "machines": ("rate", "seed", "epoch", "policy", "machine", "cycles"),
    "runs": ("rate", "seed", "test_accuracy", "gradient_density"),
    "table": ("rate", "seeds", "reached"),
}  # fmt: skip
KEYS = ("rate", "seed", "epoch", "layer", "tensor", "node", "writer", "place", "policy", "machine")
WORD_COLUMNS = KEYS[3:]
# What a page reads of the record: the type of a field, and what it is in words.
RECORD_FIELDS: dict[str, tuple[type | UnionType, str]] = {
    "name": (str, "text"),
    "epochs": (int, "a whole number"),
    "rates": (list, "a list"),
    "seeds": (list, "a list"),
    "inputs": (dict, "an object"),
    "notices": (list | None, "a list"),
    "failures": (dict | None, "an object"),
    "target_accuracy": (int | float | None, "a number"),
}
MAY_BE_EMPTY = ("tensors", "sites", "machines")
SCOPES = {"": "whole network", "conv_": "convolutions"}
DENSE, OWN_UNPRUNED, OWN_PRUNED = "dense", "mask", "pruned"
POLICY_WORDS = {
    "dense": "dense: skips nothing",
    "natural": "skips zeros",
    "mask": "skips zeros and masked results",
    "pruned": "the same, gradients pruned",
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and what it lies between.

    Attributes:
        low: None where the width of its interval is not known, as `high`; the value where nothing was interpolated.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def is_exact(self) -> bool:
        """Whether nothing was interpolated."""
        return self.low == self.value == self.high


@dataclass(frozen=True, slots=True)
class Difference:
    """How the accuracy at a rate differs from that without pruning, seed by seed, in shares.

    Attributes:
        half_width: Of the 95 % interval of the mean difference; None where one seed tells none.
    """

    mean: float
    half_width: float | None
    seeds: int


@dataclass(frozen=True, eq=False)
class TrainingResults:
    """A study.

    Attributes:
        record: As ``training.json`` holds it.
        tables: By their names: epochs, tensors, sites, machines, runs, table.
    """

    record: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]

    @property
    def name(self) -> str:
        """The name of what was trained."""
        return str(self.record["name"])

    @property
    def rates(self) -> list[float]:
        """The rates of which a training has ended, the smallest first."""
        return [float(rate) for rate in sorted(self.tables["runs"]["rate"].unique())]

    @property
    def pruned_rates(self) -> list[float]:
        """The rates at which something is pruned."""
        return [rate for rate in self.rates if rate]

    @property
    def has_machine(self) -> bool:
        """Whether a machine executed anything."""
        return not self.tables["machines"].empty

    @property
    def has_energy(self) -> bool:
        """Whether the machine's actions have prices."""
        machines = self.tables["machines"]
        return "energy_pj" in machines and bool(machines["energy_pj"].notna().all()) and self.has_machine

    @property
    def has_sites(self) -> bool:
        """Whether anything was pruned."""
        return not self.tables["sites"].empty

    @property
    def has_thresholds(self) -> bool:
        """Whether a threshold decided on what was pruned."""
        return self.has_sites and bool((self.tables["sites"]["own_threshold"] > 0).any())

    @property
    def scopes(self) -> list[str]:
        """What the machine's figures are of, as the beginnings of their columns."""
        machines = self.tables["machines"]
        return [
            scope for scope in SCOPES if f"{scope}cycles" in machines and machines[f"{scope}cycles"].fillna(0).any()
        ]

    def setting(self, *path: str) -> Any:
        """Give a field of the inputs; None where there is no such field."""
        found: Any = self.record.get("inputs")
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    def seeds(self, rate: float) -> int:
        """Count the trainings at a rate that have ended."""
        return int((self.tables["runs"]["rate"] == rate).sum())

    def mean(self, rate: float, column: str) -> float | None:
        """Give the mean of a column of the runs at a rate; None where nothing is known."""
        runs = self.tables["runs"]
        values = runs.loc[runs["rate"] == rate, column].dropna() if column in runs else pd.Series(dtype=float)
        return float(values.mean()) if len(values) else None

    def compare_accuracy(self, rate: float) -> Difference | None:
        """Compare the test accuracy at a rate with that without pruning; None where no seed has both."""
        runs = self.tables["runs"].set_index(["rate", "seed"])["test_accuracy"].dropna()
        seeds = [seed for one, seed in runs.index if one == rate and (0.0, seed) in runs.index]
        gaps = [float(runs.loc[rate, seed] - runs.loc[0.0, seed]) for seed in seeds]
        if not gaps:
            return None
        width = None
        if len(gaps) > 1:
            width = student_quantile(len(gaps) - 1) * stdev(gaps) / math.sqrt(len(gaps))
        return Difference(fmean(gaps), width, len(gaps))

    def iterations(self, rate: float) -> float:
        """Give the iterations of a whole training at a rate."""
        epochs = self.tables["epochs"]
        return float(epochs[epochs["rate"] == rate].groupby("seed")["iterations"].max().mean())

    def total(self, rate: float, policy: str, figure: str) -> Estimate | None:
        """Sum a figure of a policy over the epochs of a training at a rate; the mean over the seeds.

        The ends of its interval are those of the whole training; where the runs do not tell them, the sums of those of
        the epochs, which are as wide as errors that are alike in all epochs make them.

        Args:
            figure: ``cycles`` or ``energy``, with ``conv_`` before it for convolutions alone.
        """
        rows = self.machine_rows(rate, policy)
        name = name_figure(figure)
        if rows.empty or name not in rows or rows[name].isna().any():
            return None
        value = self._sum_epochs(rows, name)
        assert value is not None
        ends = [self._mean_of_all(rate, f"{policy}_{figure}_{end}") for end in ("low", "high")]
        if None in ends:
            ends = [self._sum_epochs(rows, f"{figure}_{end}") for end in ("low", "high")]
        return Estimate(value, *ends)

    def _mean_of_all(self, rate: float, column: str) -> float | None:
        runs = self.tables["runs"]
        known = column in runs and bool(runs.loc[runs["rate"] == rate, column].notna().all())
        return self.mean(rate, column) if known else None

    def _sum_epochs(self, rows: pd.DataFrame, column: str) -> float | None:
        if column not in rows or rows[column].isna().any():
            return None
        return float(rows.groupby("seed")[column].sum().mean())

    def gain(self, rate: float, scope: str, figure: str) -> float | None:
        """Give how many times a figure of the machine the dense one takes, the mean over the seeds at a rate.

        Args:
            figure: ``speedup`` or ``energy_ratio``.
        """
        return self.mean(rate, f"{scope}{figure}")

    def machine_rows(self, rate: float, policy: str) -> pd.DataFrame:
        """Give the rows of a policy at a rate, of the first machine that has it; others are its baselines."""
        machines = self.tables["machines"]
        if machines.empty:
            return machines
        rows = machines[(machines["rate"] == rate) & (machines["policy"] == policy)]
        return rows[rows["machine"] == rows["machine"].iloc[0]] if len(rows) else rows


class Study(Protocol):
    """What a study of trainings is read from, as `sim.training.study.TrainingStudy` holds it."""

    @property
    def record(self) -> Mapping[str, Any]:
        """The contents of ``training.json``."""
        ...

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The tables by their names: epochs, tensors, sites, machines, runs, table."""
        ...


def read_results(study: Study) -> TrainingResults:
    """Check that a study holds what a report reads.

    Raises:
        InputError: a table is empty, lacks a column, or holds what no training is written with; so does the record.
    """
    for name, (kind, words) in RECORD_FIELDS.items():
        if not isinstance(study.record.get(name), kind):
            raise InputError(f"training.json: {name} must be {words}")
    for name, columns in NEEDED.items():
        frame = study.tables[name]
        if frame.empty:
            if name not in MAY_BE_EMPTY:
                raise InputError(f"{name}.csv: holds no rows: no training of this folder has ended")
            continue
        missing = [column for column in columns if column not in frame]
        if missing:
            raise InputError(f"{name}.csv: has no column {', '.join(missing)}; 'sparsetrain train' writes them")
        for column in frame:
            check_column(f"{name}.csv: column {column}", frame[column], str(column))
    return TrainingResults(study.record, choose_ended(study))


def choose_ended(study: Study) -> dict[str, pd.DataFrame]:
    """Give the rows of trainings that ran all their epochs; what one that diverged reached is no result of its rate.

    Raises:
        InputError: there are none.
    """
    runs = study.tables["runs"]
    if "epochs" in runs:
        runs = runs[runs["epochs"] >= study.record["epochs"]]
    if runs.empty:
        raise InputError("runs.csv: no training of this folder has ended")
    ended = pd.MultiIndex.from_frame(runs[["rate", "seed"]])
    return {
        name: frame[pd.MultiIndex.from_frame(frame[["rate", "seed"]]).isin(ended)] if "seed" in frame else frame
        for name, frame in study.tables.items()
    }


def check_column(place: str, values: pd.Series[Any], name: str) -> None:
    """Check the cells of a column.

    Raises:
        InputError: one that should be a number is none, is not finite, or an empty cell says where its row belongs.
    """
    if name in KEYS and (values.isna() | (values == "")).any():
        raise InputError(f"{place}: has an empty cell")
    if name in WORD_COLUMNS or values.isna().all():
        return
    if not pd.api.types.is_numeric_dtype(values):
        raise InputError(f"{place}: must hold numbers alone")
    if np.isinf(values.to_numpy(dtype=float)).any():
        raise InputError(f"{place}: holds what is no finite number")


def own_policy(rate: float) -> str:
    """Name the policy of the machine that is compared with the dense one."""
    return OWN_PRUNED if rate else OWN_UNPRUNED


def name_figure(figure: str) -> str:
    """Name the column of a figure of the machine."""
    return f"{figure}_pj" if figure.endswith("energy") else figure


@dataclass(frozen=True, slots=True)
class Aim:
    """What pruning at a rate aims at, and what it leaves; means over the sites.

    Attributes:
        before: Nonzeros among all elements, as `after`.
        aimed: What the threshold's model expects to be left of all elements; None where it is not told.
        kept: Left of the nonzeros; `least` and `most` are those of a site.
        below: Of the nonzeros, what was below the threshold; None where there is none, or it was not counted.
    """

    rate: float
    before: float
    aimed: float | None
    after: float
    kept: float
    least: float
    most: float
    below: float | None


def list_sites(results: TrainingResults) -> list[str]:
    """Name the pruned gradients in the order of the layers that write them."""
    layers = list(dict.fromkeys(results.tables["tensors"]["layer"])) if len(results.tables["tensors"]) else []
    writers = dict(zip(results.tables["sites"]["node"], results.tables["sites"]["writer"], strict=True))
    places = {layer: place for place, layer in enumerate(layers)}
    return sorted(writers, key=lambda node: places.get(writers[node], len(layers)))


def measure_kept(results: TrainingResults, rate: float) -> pd.DataFrame:
    """Give what the last epoch at a rate left of each gradient.

    Columns: node, before, aimed, after (nonzeros among all elements), kept, below (of the nonzeros before), the means
    over the seeds.
    """
    sites = results.tables["sites"]
    rows = sites[(sites["rate"] == rate) & (sites["density_before"] > 0)]
    rows = rows[rows["epoch"] == rows.groupby("seed")["epoch"].transform("max")]
    before, after = rows["density_before"], rows["density_after"]
    found = rows.assign(
        before=before,
        aimed=rows["aimed_density"].astype(float),
        after=after,
        kept=after / before,
        below=((before - after + rows["snapped"]) / before).where(rows["own_threshold"] > 0),
    )
    return found.groupby("node", sort=False)[["before", "aimed", "after", "kept", "below"]].mean().reset_index()


def measure_aims(results: TrainingResults) -> list[Aim]:
    """Compare what each rate aims at with what it left in the last epoch."""
    found = []
    for rate in results.pruned_rates:
        kept = measure_kept(results, rate)
        if len(kept):
            below, shares = kept["below"].dropna(), kept["kept"]
            aimed = kept["aimed"].dropna()
            aim = Aim(
                rate=rate,
                before=float(kept["before"].mean()),
                aimed=float(aimed.mean()) if len(aimed) else None,
                after=float(kept["after"].mean()),
                kept=float(shares.mean()),
                least=float(shares.min()),
                most=float(shares.max()),
                below=float(below.mean()) if len(below) else None,
            )
            found.append(aim)
    return found
