"""Differences of runs for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from reports.comparison import Entry, choose_baseline, list_entries, list_totals, tabulate_differences
from reports.fitted_tables import Column, Grid, Kind
from reports.run_files import Run
from reports.sampled_words import write_width

UNITS = {"cycles": "cycles", "energy_pj": "pJ"}


def make_differences_grid(runs: Sequence[Run], baseline: str | None, measure: str) -> Grid:
    """Tabulate cycles or energy of every step on the runs' machines, with the ratio to the baseline."""
    entries = list_entries(runs)
    base = entries[choose_baseline(entries, baseline)]
    shown = [entry for entry in entries if entry.machine == entry.run.machine or entry is base]
    columns = [Column("layer", Kind.NAME), Column("step", Kind.WORD)]
    for entry in shown:
        columns += [Column(entry.label)] + ([] if entry is base else [Column("ratio")])
    grid = Grid(columns, f"{measure} ({UNITS[measure]}), and how many times those of {base.label}")
    numbers = tabulate_differences(entries)
    for place, key in enumerate(numbers.index.tolist()):
        row, cells = numbers.iloc[place], [str(words) for words in key]
        for entry in shown:
            cells += write_pair(row, entry, base, measure)
        grid.add(cells)
    return grid


def write_pair(row: pd.Series, entry: Entry, base: Entry, measure: str) -> list[str]:
    """Write a number, and its ratio to the baseline's; a dash where a run has no such step."""
    value, other = row[entry.label, measure], row[base.label, measure]
    number = "-" if pd.isna(value) else f"{int(value):,d}" if measure == "cycles" else f"{value:,.6g}"
    if entry is base:
        return [number]
    has_ratio = not pd.isna(value) and not pd.isna(other) and other > 0
    return [number, f"{value / other:.3f}" if has_ratio else "-"]


def make_totals_grid(runs: Sequence[Run], baseline: str | None) -> Grid:
    """Tabulate totals, speed-ups and energy ratios of all machines of the runs."""
    entries = list_entries(runs)
    chosen = choose_baseline(entries, baseline)
    columns = [
        Column("run", Kind.NAME), Column("cycles"), Column("ms", rank=11), Column("speed-up", rank=1),
        Column("speed-up,\nconvolutions", rank=3), Column("energy", rank=4), Column("energy\nratio", rank=2),
    ]  # fmt: skip
    grid = Grid(columns, f"Totals; speed-up and energy ratio are over {entries[chosen].label}")
    widths = {entry.label: write_total_width(entry) for entry in entries}
    for label, cycles, milliseconds, *rest in list_totals(entries, chosen):
        grid.add(
            [str(label), f"{cycles:,d}{widths[str(label)]}", f"{milliseconds:,.4g}", *(str(part) for part in rest)]
        )
    return grid


def write_total_width(entry: Entry) -> str:
    """Write how far a sampled run's total cycles may be off."""
    sampling = entry.run.record.get("sampling")
    if sampling is None:
        return ""
    found = sampling["machines"][entry.machine]
    return f" {write_width(found['network']['cycles_ci95'], entry.totals['cycles'], found['sampled_fraction'])}"
