"""The table of a study of trainings on a terminal: a row for each rate of pruning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.fitted_tables import Column, Grid, print_grid, screen_width, tell_left_out
from reports.quantities import scale_energy

if TYPE_CHECKING:
    from reports.console import Console

ABSENT = "-"


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of the table: a mean over the seeds, and their standard deviation.

    Attributes:
        header: Its lines on a terminal; on a page they are one.
        divisor: What its figures are divided by; None where it follows from the largest of an energy.
        rank: As of a column that fits a width.
        words: Its name in a sentence and on a page, where that is not the header.
    """

    name: str
    header: str
    unit: str
    digits: int
    divisor: float | None = 1.0
    rank: int = 0
    words: str = ""


MEASURES = (
    Measure("test_accuracy", "test\naccuracy, %", "", 2, 0.01),
    Measure("gradient_density", "gradient\ndensity, %", "", 1, 0.01),
    Measure("conv_speedup", "speed-up,\nconvolutions", "x", 2, rank=2),
    Measure("conv_energy_ratio", "energy ratio,\nconvolutions", "x", 2, rank=2),
    Measure("speedup", "speed-up", "x", 2, words="speed-up, whole network"),
    Measure("energy_ratio", "energy\nratio", "x", 2, words="energy ratio, whole network"),
    Measure("epochs_to_target", "epochs to\ntarget", "", 1, rank=3),
    Measure("energy_to_target_pj", "energy to\ntarget", "", 3, None),
)
TARGET_MEASURES = ("epochs_to_target", "energy_to_target_pj")


def make_training_grid(table: pd.DataFrame, title: str = "") -> Grid:
    """Tabulate the means over the seeds of each rate; columns of which nothing is known are left out.

    Args:
        table: Of a study, as its folder holds it in ``table.csv``.
    """
    measures = choose_measures(table)
    counts = table[["reached", "seeds"]].to_numpy().tolist()
    has_target = any(measure.name in TARGET_MEASURES for measure in measures)
    grid = Grid(
        [
            Column("rate"),
            Column("seeds", rank=4 if has_target else 1),
            *(Column(measure.header, rank=measure.rank, words=measure.words) for measure in measures),
            *([Column("reached\nby", rank=1, words="seeds that reach the target")] if has_target else []),
        ],
        title,
    )
    cells = [write_measure(table, measure) for measure in measures]
    for place, (rate, (reached, seeds)) in enumerate(zip(table["rate"], counts, strict=True)):
        last = [f"{reached} of {seeds}"] if has_target else []
        grid.add([write_rate(rate), f"{seeds}", *(column[place] for column in cells), *last])
    return grid


def print_training_table(console: Console, table: pd.DataFrame, width: int | None = None, title: str = "") -> None:
    """Print the table of a study, and what stands in it.

    Args:
        table: Of a study, as its folder holds it in ``table.csv``.
        width: Of the terminal; by default that which is there.
    """
    room = screen_width() if width is None else width
    left_out = print_grid(console, make_training_grid(table, title), room)
    tell_left_out(console, left_out, room)


def choose_measures(table: pd.DataFrame) -> list[Measure]:
    """Choose the measures of which something is known."""
    return [one for one in MEASURES if one.name in table and table[one.name].notna().any()]


def write_measure(table: pd.DataFrame, measure: Measure) -> list[str]:
    """Write a measure of every rate: its mean, and behind it the standard deviation over the seeds."""
    means, deviations = table[measure.name].tolist(), read_deviations(table, measure.name)
    divisor, unit = measure.divisor, measure.unit
    if divisor is None:
        divisor, unit = scale_energy(float(table[measure.name].max()))
        unit = f" {unit}"
    digits = measure.digits if measure.divisor is not None else find_digits(means, divisor, measure.digits)
    return [
        f"{write_spread(mean, deviation, divisor, digits)}{unit}" if is_known(mean) else ABSENT
        for mean, deviation in zip(means, deviations, strict=True)
    ]


def read_deviations(table: pd.DataFrame, name: str) -> list[Any]:
    """Give the standard deviations of a measure; nothing where one seed tells none."""
    column = f"{name}_deviation"
    return table[column].tolist() if column in table else [None] * len(table)


def write_spread(mean: float, deviation: float | None, divisor: float, digits: int) -> str:
    """Write a mean and, where it is known, a standard deviation."""
    words = f"{mean / divisor:,.{digits}f}"
    return f"{words} ±{deviation / divisor:,.{digits}f}" if is_known(deviation) and deviation is not None else words


def find_digits(values: Sequence[float], divisor: float, digits: int) -> int:
    """Give the digits behind the point with which the largest value has so many in all."""
    largest = max(abs(value) / divisor for value in values if is_known(value))
    return max(0, digits - 1 - math.floor(math.log10(largest))) if largest else 0


def is_known(value: float | None) -> bool:
    """Tell a number from an empty cell."""
    return value is not None and not math.isnan(value)


def write_rate(rate: float) -> str:
    """Write a rate of pruning; that of a training without it is 0."""
    return f"{rate:g}"
