"""Several runs beside one another: a table of totals, the differences step by step, and the same charts for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape, unescape
from textwrap import wrap
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from reports.comparison_labels import label_runs
from reports.figures import plot_all
from reports.findings import TELLERS
from reports.input_differences import write_inputs
from reports.layer_bars import plain_figure
from reports.page import build_page, chart_box, write_table
from reports.palette import STEP_COLORS, STEP_WORDS
from reports.quantities import write_energy
from reports.run_files import Run
from reports.run_parts import list_machines, make_steps_table, write_configuration, write_limits, write_verdict
from workloads.errors import InputError

BAR_PIXELS, NAME_PIXELS, NAME_LETTERS = 22, 14, 44


@dataclass(frozen=True, eq=False)
class Entry:
    """One machine of one run under the label that tells it from all others."""

    label: str
    run: Run
    machine: str

    @property
    def totals(self) -> dict[str, Any]:
        """Totals over the whole network."""
        return self.run.totals(self.machine)


def list_entries(runs: Sequence[Run]) -> list[Entry]:
    """List the runs' own machines, then their baselines."""
    labels = label_runs(runs)
    own = [Entry(label, run, run.machine) for label, run in zip(labels, runs, strict=True)]
    others = [
        Entry(f"{label}: {machine}", run, machine)
        for label, run in zip(labels, runs, strict=True)
        for machine in run.machines[1:]
    ]
    return own + others


def choose_baseline(entries: Sequence[Entry], words: str | None) -> int:
    """Find the entry that the others are compared with; the first by default.

    Raises:
        InputError: no entry, or more than one, has that label, machine or directory.
    """
    if words is None:
        return 0
    for names in ([entry.label for entry in entries], [str(entry.run.path) for entry in entries],
                  [entry.machine for entry in entries]):  # fmt: skip
        if words in names:
            return names.index(words)
    known = ", ".join(entry.label for entry in entries)
    raise InputError(f"--baseline {words}: is none of the runs; they are {known}")


def tabulate_differences(entries: Sequence[Entry]) -> pd.DataFrame:
    """Tabulate cycles and energy of every entry: index (layer, step), columns (label, measure)."""
    columns: dict[tuple[str, str], pd.Series] = {}
    for entry in entries:
        rows = entry.run.rows(entry.machine)
        sums = rows.groupby(["layer", "step"], sort=False)[["cycles", "energy_pj"]].sum(min_count=1)
        for measure in ("cycles", "energy_pj"):
            columns[entry.label, measure] = sums[measure]
    keys = list(dict.fromkeys(key for series in columns.values() for key in series.index))
    return pd.DataFrame({name: series.reindex(keys) for name, series in columns.items()})


def build_comparison_page(runs: Sequence[Run], baseline: str | None = None) -> str:
    """Build the page of several runs."""
    entries = list_entries(runs)
    labels = label_runs(runs)
    chosen = choose_baseline(entries, baseline)
    figures: dict[str, go.Figure] = {"totals": plot_totals(entries)}
    overview = chart_box(
        "totals", "Which run takes how many cycles?", tell_totals(entries, chosen), is_wide=True
    ) + write_totals(entries, chosen)
    charts, more = make_side_by_side(runs, labels)
    tables: dict[str, Any] = {}
    boxes, settings = [], []
    for number, (run, label) in enumerate(zip(runs, labels, strict=True)):
        box, table = make_steps_table(run, f"steps{number}")
        tables |= table
        boxes.append(f"<h3>{escape(label)}</h3>{box}")
        settings.append(f"<h3>{escape(label)}</h3>{write_configuration(run)}")
    parts = [
        ("inputs", "What differs between the inputs", write_inputs(runs)),
        ("overview", "Overview", overview),
        ("differences", "Differences", DIFFERENCES),
        ("charts", "Charts side by side", charts),
        ("steps", "All steps", "".join(boxes)),
        ("limits", "What is not modelled", write_limits(runs[0])),
        ("configuration", "Configuration and sources", "".join(settings)),
    ]
    title = "Comparison of " + ", ".join(labels)
    lines = "".join(
        f"<li><b>{escape(label)}</b>: {escape(str(run.record['operand_source']))}; {write_verdict(run)}."
        f"{write_notices(run)}</li>"
        for label, run in zip(labels, runs, strict=True)
    )
    header = f"<h1>{escape(title)}</h1><ul>{lines}</ul>"
    differences = list_differences(entries) | {"baseline": chosen}
    return build_page(title, header, parts, figures | more, tables=tables, differences=differences)


def write_notices(run: Run) -> str:
    """Write what should be known of a run's figures."""
    return "".join(f'<p class="notice bad">{escape(str(words))}.</p>' for words in run.record.get("notices", []))


def list_differences(entries: Sequence[Entry]) -> dict[str, Any]:
    """Give what the page's table of differences is filled with."""
    table = tabulate_differences(entries)

    def numbers(label: str, measure: str) -> list[Any]:
        values = table[label, measure].tolist()
        return [None if pd.isna(value) else int(value) if measure == "cycles" else float(value) for value in values]

    return {
        "keys": [list(key) for key in table.index],
        "entries": [
            {
                "label": entry.label,
                "cycles": numbers(entry.label, "cycles"),
                "energy": numbers(entry.label, "energy_pj"),
            }
            for entry in entries
        ],
    }


DIFFERENCES = """<div class="panel table" data-differences>
<div class="controls">
<label>Baseline<select data-baseline></select></label>
<label>Measure<select data-measure>
<option value="cycles">cycles</option><option value="energy">energy</option>
</select></label>
<label>Search words<input type="search" data-filter="*" placeholder="conv1 gtw"></label>
</div>
<div class="table-scroll"><table></table></div>
<p class="count" aria-live="polite"></p>
<button type="button" class="more">Show all rows</button>
</div>"""


def plot_totals(entries: Sequence[Entry]) -> go.Figure:
    """Draw the cycles of every entry, stacked by step, its name above its bar."""
    figure = plain_figure("Which run takes how many cycles?", "cycles", "")
    labels = [escape(entry.label) for entry in entries]
    steps = dict.fromkeys(step for entry in entries for step in entry.totals["cycles_by_step"])
    names = ["<br>".join(map(escape, wrap(entry.label, NAME_LETTERS))) for entry in entries]
    pixels = BAR_PIXELS + 10 + NAME_PIXELS * max(1 + name.count("<br>") for name in names)
    for step in [*(name for name in STEP_WORDS if name in steps), *(name for name in steps if name not in STEP_WORDS)]:
        cycles = [entry.totals["cycles_by_step"].get(step, 0) for entry in entries]
        figure.add_bar(
            orientation="h",
            x=cycles,
            y=labels,
            width=BAR_PIXELS / pixels,
            name=STEP_WORDS.get(step, escape(step)),
            marker={"color": STEP_COLORS.get(step, "#777777")},
            text=[f"{value:,d}" for value in cycles],
            textposition="none",
            meta={"part": step},
            hovertemplate=f"%{{y}}<br>{step}<br><b>%{{text}}</b> cycles<extra></extra>",
        )
    for place, name in enumerate(names):
        figure.add_annotation(
            text=name, x=0, xref="paper", y=place, yshift=BAR_PIXELS / 2, xanchor="left", yanchor="bottom",
            align="left", showarrow=False, font={"size": 11},
        )  # fmt: skip
    # Half a place below the last bar is too much, and the first name needs more than half a place.
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=labels, showticklabels=False,
        range=[len(entries) - 1 + BAR_PIXELS / pixels, BAR_PIXELS / pixels - 1],
    )  # fmt: skip
    figure.update_layout(
        barmode="stack", meta={"height": 150 + pixels * len(entries)}, margin={"l": 16, "b": 50}, legend={"y": 1.01}
    )
    return figure


def tell_totals(entries: Sequence[Entry], baseline: int) -> str:
    """Say which entry takes fewest cycles, beside the baseline or, where it is that, beside the slowest."""
    ordered = sorted(entries, key=lambda entry: int(entry.totals["cycles"]))
    best, base = ordered[0], entries[baseline]
    base = ordered[-1] if base is best else base
    ratio = base.totals["cycles"] / best.totals["cycles"]
    return f"{best.label} takes the fewest, {best.totals['cycles']:,}: {ratio:.2f}x faster than {base.label}."


def write_totals(entries: Sequence[Entry], baseline: int) -> str:
    """Tabulate totals and ratios to the baseline."""
    columns = ["run", "cycles", "ms", "speed-up", "speed-up, convolutions", "energy", "energy ratio"]
    return f'<div class="panel">{write_table(columns, list_totals(entries, baseline), long=["run"])}</div>'


def list_totals(entries: Sequence[Entry], baseline: int) -> list[list[object]]:
    """List label, cycles, milliseconds, speed-ups over the baseline, energy and its ratio, for every entry."""
    base = entries[baseline]
    rows: list[list[object]] = []
    for entry in entries:
        totals, convolutions = entry.totals, entry.run.totals(entry.machine, "convolutions")
        own, other = convolutions["cycles"], base.run.totals(base.machine, "convolutions")["cycles"]
        energy, base_energy = totals["energy_pj"], base.totals["energy_pj"]
        rows.append(
            [
                entry.label,
                totals["cycles"],
                totals["cycles"] / entry.run.clock_mhz / 1000,
                f"{base.totals['cycles'] / totals['cycles']:.2f}x" if totals["cycles"] else "-",
                f"{other / own:.2f}x" if own else "-",
                "-" if energy is None else write_energy(energy),
                "-" if not energy or not base_energy else f"{base_energy / energy:.2f}x",
            ]
        )
    return rows


def make_side_by_side(runs: Sequence[Run], labels: Sequence[str]) -> tuple[str, dict[str, go.Figure]]:
    """Draw every chart once for each run, with one scale for all where they are to be compared."""
    drawn = [plot_all(run) for run in runs]
    boxes, figures = [], {}
    for name in dict.fromkeys(name for charts in drawn for name in charts):
        share_scale([charts[name] for charts in drawn if name in charts], name)
        row = []
        for number, (run, label, charts) in enumerate(zip(runs, labels, drawn, strict=True)):
            if name in charts:
                figures[f"{name}{number}"] = charts[name]
                title = f"{unescape(str(charts[name].layout.title.text))} {label}"
                above = list_machines(run, name)
                row.append(chart_box(f"{name}{number}", title, TELLERS[name](run), is_wide=False, above=above))
        boxes.append(f'<div class="beside">{"".join(row)}</div>')
    return f'<div class="stack">{"".join(boxes)}</div>', figures


def share_scale(figures: Sequence[go.Figure], name: str) -> None:
    """Give the bars of cycles and energy one vertical scale."""
    if name not in ("cycles", "energy"):
        return
    ranges = [figure.layout.yaxis.range for figure in figures]
    most = max(
        1.05 * find_tallest(figure) if own is None else own[1] for figure, own in zip(figures, ranges, strict=True)
    )
    for figure in figures:
        figure.update_yaxes(range=[0, most])


def find_tallest(figure: go.Figure) -> float:
    """Give the height of the tallest stack."""
    heights: dict[tuple[str, str], float] = {}
    for trace in figure.data:
        for place, height in zip(trace.x, trace.y, strict=True):
            bar = (trace.meta["machine"], place)
            heights[bar] = heights.get(bar, 0.0) + (height or 0.0)
    return max(heights.values(), default=1.0)
