"""The page of a store of sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from reports.page import build_page, chart_box, table_box, write_table
from reports.sweep_figures import (
    plot_coordinates,
    plot_front,
    plot_main_effects,
    plot_sensitivity,
    rank_best,
    write_value,
)
from sim.sweep.analysis import measure_sensitivity, select_pareto
from sim.sweep.job import Status
from sim.sweep.metrics import METRICS
from sim.sweep.reading import ENDING, load_sweep
from workloads.errors import InputError

BEST_COUNT = 5
REASONS_SHOWN = 50
FLOAT_FORMAT = "%.9g"
SQLITE_MAGIC = b"SQLite format 3\0"
KEY_METRICS = ("cycles", "time_ms", "energy_pj", "area_mm2", "speedup", "energy_ratio")
PARETO_WORDS = (
    "A point is on the front if no other is better in one of the two and no worse in the other. A front point's hover "
    "text holds its whole configuration."
)
EFFECT_WORDS = (
    "The geometric mean of the points with one value, over that of all points: 1 is average, less is better where less "
    "is wanted."
)
SENSITIVITY_WORDS = (
    "Correlation ratio (eta squared) of the metric's logarithm, one-way analysis of variance; on a full grid the "
    "first-order Sobol' index. What is missing to 100% over all parameters is interaction between them. Where the "
    "points are no full grid, shares of parameters whose values occur together overlap."
)
POINTS_FILTERS = {"Workload": "workload", "Status": "status"}


def is_store(path: Path) -> bool:
    """Tell whether a path is a database file, and no directory of a run."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC


def build_sweep_page(stores: Sequence[Path]) -> str:
    """Build the page of one store or of several together.

    Raises:
        InputError: a store cannot be read, or holds no point.
    """
    frame = load_sweep(stores)
    if frame.empty:
        raise InputError(f"{', '.join(map(str, stores))}: holds no point yet")
    paths = [path for path in frame.attrs["paths"] if frame[path].nunique(dropna=False) > 1]
    title = f"Sweep: {', '.join(path.stem for path in stores)}"
    figures: dict[str, go.Figure] = {}
    parts: list[tuple[str, str, str]] = []
    done = frame[frame["status"] == Status.DONE]
    for number, (workload, points) in enumerate(done.groupby("workload", sort=True)):
        objectives = choose_objectives(points, frame.attrs["objectives"])
        markup, drawn = draw_workload(f"w{number}", points.reset_index(drop=True), paths, objectives)
        figures |= drawn
        parts.append((f"w{number}", f"Charts of {workload}", markup))
        parts.append((f"best{number}", f"Best designs for {workload}", write_best(points, paths, objectives)))
    table, tables = make_points_table(frame, paths, title, stores[0].stem)
    parts += [
        ("ended", "Failed and infeasible points", write_ended(frame, paths)),
        ("points", "All points", table),
        ("fixed", "What all points have alike", write_fixed(frame)),
    ]
    return build_page(title, write_header(frame, title, paths), parts, figures, tables=tables)


def choose_objectives(points: pd.DataFrame, objectives: Sequence[str]) -> list[str]:
    """Keep the objectives that the points have; cycles stand in where none is left."""
    return [name for name in objectives if points[name].notna().all()] or ["cycles"]


def draw_workload(
    name: str, points: pd.DataFrame, paths: Sequence[str], objectives: Sequence[str]
) -> tuple[str, dict[str, go.Figure]]:
    """Draw the charts of one workload's points; those that need two points, or two values, are left out."""
    figures: dict[str, go.Figure] = {}
    captions: dict[str, str] = {}
    settings = list_settings_columns(points)
    for number, second in enumerate(objectives[1:]):
        figures[f"{name}-front{number}"] = plot_front(points, paths, objectives[0], second, settings)
        captions[f"{name}-front{number}"] = PARETO_WORDS
    if paths and len(points) > 1:
        figures[f"{name}-lines"] = plot_coordinates(points, paths, objectives)
        captions[f"{name}-lines"] = (
            f"A line is a point, coloured by its place in {objectives[0]}. A click on the legend hides a group."
        )
        figures[f"{name}-effects"] = plot_main_effects(points, paths, objectives)
        captions[f"{name}-effects"] = EFFECT_WORDS
        found = measure_sensitivity(points, paths, objectives)
        figures[f"{name}-sensitivity"] = plot_sensitivity(found, objectives)
        captions[f"{name}-sensitivity"] = SENSITIVITY_WORDS
    boxes = [chart_box(key, unescape_title(figure), captions[key], is_wide=True) for key, figure in figures.items()]
    words = "" if boxes else '<p class="soft">One point alone has nothing to be compared with.</p>'
    return f'<div class="charts">{"".join(boxes)}</div>{words}', figures


def unescape_title(figure: go.Figure) -> str:
    """Give a figure's title as plain words."""
    from html import unescape

    return unescape(str(figure.layout.title.text))


def list_settings_columns(frame: pd.DataFrame) -> list[str]:
    """Name the settings among the columns."""
    known = {"workload", "status", "reason", *ENDING, *(metric.name for metric in METRICS)}
    return [name for name in frame.columns if name not in known]


def write_header(frame: pd.DataFrame, title: str, paths: Sequence[str]) -> str:
    """Write the top of the page: how many points, of what, and how they ended."""
    counts = frame["status"].value_counts()
    words = ", ".join(f"{int(counts.get(status, 0)):,} {status}" for status in Status)
    workloads = ", ".join(sorted(set(frame["workload"])))
    versions = ", ".join(sorted(set(frame["model_version"])))
    return (
        f"<h1>{escape(title)}</h1><p>{len(frame):,} points ({words}) of {escape(workloads)}, over "
        f"{escape(', '.join(paths) or 'no parameter')}.</p>"
        f'<p class="soft">Model {escape(versions)}. No values were computed or verified in these runs; one seed for '
        "each point unless the seed is swept.</p>"
    )


def write_best(points: pd.DataFrame, paths: Sequence[str], objectives: Sequence[str]) -> str:
    """Tabulate the best points of each objective, and the front of all objectives."""
    shown = [*paths, *dict.fromkeys([*objectives, *(name for name in KEY_METRICS if points[name].notna().any())])]
    parts = []
    for objective in objectives:
        parts.append(
            f"<h3>Best in {escape(objective)}</h3>{write_rows(rank_best(points, objective, BEST_COUNT), shown)}"
        )
    front = select_pareto(points, objectives)
    heading = f"Pareto front of {' and '.join(objectives)}: {len(front)} of {len(points):,} points"
    parts.append(f"<details><summary>{escape(heading)}</summary>{write_rows(front, shown)}</details>")
    return f'<div class="panel">{"".join(parts)}</div>'


def write_rows(rows: pd.DataFrame, names: Sequence[str]) -> str:
    """Tabulate some columns of some points."""
    return write_table(names, [[convert(value) for value in row] for row in rows[list(names)].itertuples(index=False)])


def convert(value: Any) -> Any:
    """Give a cell as a table takes it."""
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, int | float) and value == value else write_value(value)


def write_ended(frame: pd.DataFrame, paths: Sequence[str]) -> str:
    """Tabulate why points have no metrics: each reason once, with a first point."""
    ended = frame[frame["status"] != Status.DONE]
    if ended.empty:
        return '<p class="soft">Every point is done.</p>'
    rows: list[list[Any]] = []
    for (status, reason), group in ended.groupby(["status", "reason"], sort=True):
        first = group.iloc[0]
        words = ", ".join(f"{path} = {write_value(first[path])}" for path in paths)
        rows.append([status, len(group), reason, f"{first['workload']}: {words}"])
    rows.sort(key=lambda row: (row[0], -row[1]))
    note = (
        f"<p>{len(rows) - REASONS_SHOWN:,} more reasons are in the table of all points.</p>"
        if len(rows) > REASONS_SHOWN
        else ""
    )
    columns = ["how it ended", "points", "reason", "first such point"]
    table = write_table(columns, rows[:REASONS_SHOWN], long=["reason", "first such point"])
    return f'<div class="panel">{table}{note}</div>'


def make_points_table(frame: pd.DataFrame, paths: Sequence[str], title: str, name: str) -> tuple[str, dict[str, Any]]:
    """Make the box of the full table, and what the page's script fills it with; constant settings are left out."""
    described = {metric.name: metric for metric in METRICS}
    settings = list_settings_columns(frame)
    kept = [
        column for column in frame.columns
        if column in ("workload", "status", "reason") or column in paths
        or (column in described and frame[column].notna().any())
        or (column in settings and frame[column].nunique(dropna=False) > 1)
    ]  # fmt: skip
    shown = {"workload", "status", *paths, *KEY_METRICS}
    columns = [
        {
            "name": column,
            "unit": described[column].unit if column in described else "",
            "meaning": described[column].meaning if column in described else "",
            "isWord": not pd.api.types.is_numeric_dtype(frame[column]),
            "isShown": column in shown,
        }
        for column in kept
    ]
    csv = frame[kept].to_csv(index=False, float_format=FLOAT_FORMAT, lineterminator="\n")
    box = table_box("points", f"All points of {title}", POINTS_FILTERS, "points.csv", "infeasible")
    return box, {"points": {"csv": csv, "columns": columns, "file": f"{name}-points.csv"}}


def write_fixed(frame: pd.DataFrame) -> str:
    """Tabulate the settings that are the same for all points."""
    rows = [
        [name, write_value(frame[name].iloc[0])]
        for name in list_settings_columns(frame)
        if frame[name].nunique(dropna=False) == 1
    ]
    return f'<div class="panel">{write_table(["setting", "value"], rows)}</div>'
