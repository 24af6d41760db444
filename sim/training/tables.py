"""The tables of a study: what is recorded of its trainings, row by row, and what follows from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from sim.training.interpolation import MachineFigures
from sim.training.request import RunKey
from workloads.training.record import EpochRecord, find_reaching

POLICIES = ("dense", "natural", "mask", "pruned")
# Half a point below the accuracy that is reached without pruning, as the target that energies are compared at.
TARGET_MARGIN = 0.005
TABLES = ("epochs", "tensors", "sites", "machines", "runs", "table")
KEYS = ("rate", "seed")
TEXTS = ("layer", "tensor", "node", "writer", "place", "policy", "machine")
EPOCH_COLUMNS = (
    *KEYS, "epoch", "iterations", "learning_rate", "loss", "accuracy", "test_loss", "test_accuracy",
    "gradient_density",
)  # fmt: skip
TENSOR_COLUMNS = (*KEYS, "epoch", "layer", "tensor", "density")
SITE_COLUMNS = (
    *KEYS, "epoch", "node", "writer", "place", "threshold", "own_threshold", "sigma", "density_before",
    "density_after", "pruned", "snapped", "aimed_density",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A training that has ended, or its epochs so far.

    Attributes:
        has_ended: Whether these are all of its epochs. One that diverged is a row of `runs`, and of no mean.
        machines: Of each epoch and policy, as the table `machines` has them.
        totals: What the first machine under each policy takes for all epochs, by the policy.
    """

    key: RunKey
    records: tuple[EpochRecord, ...]
    machines: tuple[Mapping[str, Any], ...] = ()
    totals: Mapping[str, MachineFigures] = field(default_factory=dict)
    has_ended: bool = True

    @property
    def accuracy(self) -> float | None:
        """The test accuracy behind the last epoch."""
        test = self.records[-1].test
        return None if test is None else test.accuracy


def make_tables(runs: Sequence[RunRecord]) -> dict[str, pd.DataFrame]:
    """Make all tables of some trainings, in the order of their rates and seeds."""
    ordered = sorted(runs, key=lambda run: (run.key.rate, run.key.seed))
    target = find_target_accuracy(ordered)
    rows = [describe_run(run, target) for run in ordered]
    ended = [row for run, row in zip(ordered, rows, strict=True) if run.has_ended]
    rates = dict.fromkeys(run.key.rate for run in ordered)
    frames = {
        "epochs": pd.DataFrame(list_rows(ordered, list_epoch), columns=list(EPOCH_COLUMNS)),
        "tensors": pd.DataFrame(list_rows(ordered, list_tensors), columns=list(TENSOR_COLUMNS)),
        "sites": pd.DataFrame(list_rows(ordered, list_sites), columns=list(SITE_COLUMNS)),
        "machines": pd.DataFrame([{**dataclasses.asdict(run.key), **one} for run in ordered for one in run.machines]),
        "runs": pd.DataFrame(rows),
        "table": pd.DataFrame([summarize_rate(rate, ended) for rate in rates]),
    }
    return {name: type_columns(frame) for name, frame in frames.items()}


def type_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Let every column hold texts or numbers, as it does when it is read back: where nothing is known, NaN."""
    unknown = [name for name in frame if name not in TEXTS and frame[name].dtype == object]
    return frame.astype(dict.fromkeys(unknown, float) | {name: "str" for name in TEXTS if name in frame})


def list_rows(runs: Iterable[RunRecord], list_one: Any) -> list[dict[str, Any]]:
    """List the rows of all epochs."""
    return [
        {**dataclasses.asdict(run.key), "epoch": record.epoch, **row}
        for run in runs
        for record in run.records
        for row in list_one(record)
    ]


def list_epoch(record: EpochRecord) -> Iterator[dict[str, Any]]:
    """Give the row of an epoch; a test loss that overflows, as before running statistics are near, is left empty."""
    test = record.test
    yield {
        "iterations": record.iterations,
        "learning_rate": record.learning_rate,
        "loss": record.loss,
        "accuracy": record.accuracy,
        "test_loss": None if test is None or not isfinite(test.loss) else test.loss,
        "test_accuracy": None if test is None else test.accuracy,
        "gradient_density": record.gradient_density,
    }


def list_tensors(record: EpochRecord) -> Iterator[dict[str, Any]]:
    """Give the rows of an epoch's tensors."""
    yield from (dataclasses.asdict(one) for one in record.tensors)


def list_sites(record: EpochRecord) -> Iterator[dict[str, Any]]:
    """Give the rows of an epoch's pruned gradients."""
    yield from (dataclasses.asdict(one) for one in record.sites)


def find_target_accuracy(runs: Sequence[RunRecord]) -> float | None:
    """Give the mean test accuracy without pruning less half a point; None where no such training has ended."""
    reached = [run.accuracy for run in runs if run.key.rate == 0 and run.has_ended]
    known = [accuracy for accuracy in reached if accuracy is not None]
    return fmean(known) - TARGET_MARGIN if known else None


def describe_run(run: RunRecord, target: float | None) -> dict[str, Any]:
    """Give the row of a training.

    Figures of the machine are totals of the whole training; those to the target end with the first epoch behind which
    the test accuracy is at least the target.
    """
    last = run.records[-1]
    reaching = None if target is None else find_reaching(run.records, target)
    row: dict[str, Any] = {
        **dataclasses.asdict(run.key),
        "epochs": len(run.records),
        "loss": last.loss,
        "test_accuracy": run.accuracy,
        "gradient_density": fmean(known) if (known := list_densities(run.records)) else None,
        "target_accuracy": target,
        "epochs_to_target": reaching,
    }
    return row | describe_machines(run, reaching)


def list_densities(records: Sequence[EpochRecord]) -> list[float]:
    """Give the gradients' density of each epoch."""
    return [record.gradient_density for record in records if record.gradient_density is not None]


def describe_machines(run: RunRecord, reaching: int | None) -> dict[str, Any]:
    """Give the totals of each policy, and how the machine compares with the dense one."""
    row: dict[str, Any] = {}
    for policy in POLICIES:
        under = [one for one in run.machines if one["policy"] == policy]
        # Of several machines under one policy the first is the one that the others are baselines of.
        epochs = [one for one in under if one["machine"] == under[0]["machine"]]
        for figure in ("cycles", "energy_pj", "conv_cycles", "conv_energy_pj"):
            known = [one.get(figure) for one in epochs]
            if known and None not in known:
                row[f"{policy}_{figure}"] = sum(known)
                if figure == "energy_pj" and reaching is not None:
                    row[f"{policy}_energy_to_target_pj"] = sum(known[:reaching])
    own = "pruned" if run.key.rate else "mask"
    for prefix, words in (("", ""), ("conv_", "conv_")):
        for figure, ratio in (("cycles", "speedup"), ("energy_pj", "energy_ratio")):
            dense, pruned = row.get(f"dense_{prefix}{figure}"), row.get(f"{own}_{prefix}{figure}")
            if dense and pruned:
                row[f"{words}{ratio}"] = dense / pruned
    if f"{own}_energy_to_target_pj" in row:
        row["energy_to_target_pj"] = row[f"{own}_energy_to_target_pj"]
    return row | bound_totals(run, row, own)


def bound_totals(run: RunRecord, row: Mapping[str, Any], own: str) -> dict[str, Any]:
    """Give the ends of the intervals of a training's totals, and of what they say of the dense machine, which is exact.

    Args:
        own: The policy of the machine that is compared.
    """
    bounds: dict[str, Any] = {
        f"{policy}_{name}": value
        for policy in POLICIES
        if policy in run.totals
        for name, value in run.totals[policy].row().items()
        if name.endswith(("_low", "_high"))
    }
    for prefix in ("", "conv_"):
        for figure, total, ratio in (("cycles", "cycles", "speedup"), ("energy", "energy_pj", "energy_ratio")):
            dense = row.get(f"dense_{prefix}{total}")
            for end, other in (("low", "high"), ("high", "low")):
                divisor = bounds.get(f"{own}_{prefix}{figure}_{other}")
                if dense and divisor:
                    bounds[f"{prefix}{ratio}_{end}"] = dense / divisor
    return bounds


MEANS = (
    "test_accuracy", "gradient_density", "conv_speedup", "conv_energy_ratio", "speedup", "energy_ratio",
    "epochs_to_target", "energy_to_target_pj",
)  # fmt: skip


def summarize_rate(rate: float, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Give mean and standard deviation over the seeds of a rate; of one seed there is no deviation.

    `reached` counts the seeds that reach the target; what is spent on it is the mean over these.

    Args:
        rows: Of the trainings that have ended, of all rates.
    """
    mine = [row for row in rows if row["rate"] == rate]
    summary: dict[str, Any] = {"rate": rate, "seeds": len(mine)}
    for name in MEANS:
        known = [row[name] for row in mine if row.get(name) is not None]
        summary[name] = fmean(known) if known else None
        summary[f"{name}_deviation"] = stdev(known) if len(known) > 1 else None
    summary["reached"] = sum(row.get("epochs_to_target") is not None for row in mine)
    return summary
