"""The charts of a sweep, as plain plotly figures of the table that `sim.sweep.load_sweep` reads.

Every figure is of one workload; its title is the question that it answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from reports.layer_bars import plain_figure, protect
from sim.sweep.analysis import Sensitivity, find_pareto, label_levels, make_costs
from sim.sweep.metrics import METRICS, is_maximized

FRONT_COLOR, POINT_COLOR = "#D55E00", "#7F9FB8"
# Dark to light in a scale that the colour-blind can read (Cividis, five steps); the best points come last, on top.
GROUP_COLORS = ("#CBBA69", "#A69D75", "#7C7B78", "#575D6D", "#D55E00")
METRIC_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#999999", "#8C6D31", "#D55E00")
AXIS_PIXELS, LEVEL_PIXELS = 130, 46
HOVER_LETTERS = 80
Heights = NDArray[np.float64]
UNITS = {metric.name: metric.unit for metric in METRICS}


def name_metric(metric: str) -> str:
    """Name a metric with its unit, for an axis."""
    unit = UNITS.get(metric, "")
    return f"{metric} ({unit})" if unit and unit not in metric else metric


def describe_rows(rows: pd.DataFrame, names: Sequence[str], letters: int = 0) -> list[str]:
    """Write some columns of each row as hover text: a line for each, or lines filled up to a number of letters."""
    columns = [[f"{name}: {write_value(value)}" for value in rows[name].tolist()] for name in names]
    found = [fill_lines(parts, letters) for parts in zip(*columns, strict=True)] if columns else [[""]] * len(rows)
    return ["<br>".join(map(escape, lines)) for lines in found]


def fill_lines(parts: Sequence[str], letters: int) -> list[str]:
    """Put parts on lines of about as many letters, at least one part on each."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 2 <= letters:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return lines


def write_value(value: Any) -> str:
    """Write a value: six digits of a number, `none` for what is missing."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "none"
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,d}" if isinstance(value, int | np.integer) and not isinstance(value, bool) else str(value)


def plot_front(
    points: pd.DataFrame, paths: Sequence[str], first: str, second: str, settings: Sequence[str]
) -> go.Figure:
    """Draw all points by two objectives, and their Pareto front.

    Args:
        settings: What the hover text of a point on the front says; of the others it says what the sweep varies.
    """
    figure = plain_figure(f"How does {second} trade off against {first}?", name_metric(first), name_metric(second))
    is_front = find_pareto(make_costs(points, [first, second]))
    front = points[is_front].sort_values(first, kind="stable")
    for rows, names, words, mark, line in (
        (points[~is_front], paths, "other points", {"color": POINT_COLOR, "size": 6, "opacity": 0.7}, None),
        (front, settings, "Pareto front", {"color": FRONT_COLOR, "size": 9}, {"color": FRONT_COLOR, "shape": "hv"}),
    ):
        figure.add_scatter(
            x=rows[first].astype(float).tolist(),
            y=rows[second].astype(float).tolist(),
            mode="markers" if line is None else "lines+markers",
            marker=mark,
            line=line,
            name=words,
            text=[text.replace("<br>", ", ") for text in describe_rows(rows, paths)],
            # Plotly shows no hover text at all that is taller than its chart.
            customdata=describe_rows(rows, names, HOVER_LETTERS),
            meta={"part": words},
            hovertemplate=(
                f"%{{customdata}}<br><b>%{{x:,.9~g}}</b> {protect(first)}<br><b>%{{y:,.9~g}}</b> {protect(second)}"
                "<extra></extra>"
            ),
        )
    figure.update_layout(meta={"height": 460})
    return figure


def plot_coordinates(points: pd.DataFrame, paths: Sequence[str], objectives: Sequence[str]) -> go.Figure:
    """Draw each point as a line over parameters and objectives, in five groups by the first objective.

    One path for each group, so that thousands of points stay fluid; a click on the legend hides a group.
    """
    axes = [*paths, *(name for name in objectives if points[name].notna().all())]
    figure = plain_figure(f"Which values lead to good {objectives[0]}?", "", "")
    heights, labels = zip(*(place_on_axis(points[name]) for name in axes), strict=True)
    lines = np.stack(heights, axis=1)
    costs = make_costs(points, objectives[:1])[:, 0]
    ranks = np.argsort(np.argsort(-costs, kind="stable"), kind="stable") * len(GROUP_COLORS) // max(1, len(points))
    gap = np.full((len(points), 1), np.nan)
    places = np.tile(np.append(np.arange(len(axes), dtype=float), np.nan), (len(points), 1))
    lines = np.hstack([np.round(lines, 4), gap])
    names = ("worst fifth", "fourth fifth", "middle fifth", "second fifth", "best fifth")
    for group, (name, color) in enumerate(zip(names, GROUP_COLORS, strict=True)):
        chosen = ranks == group
        figure.add_scatter(
            x=write_gaps(places[chosen].ravel()), y=write_gaps(lines[chosen].ravel()),
            mode="lines", name=name, line={"color": color, "width": 2 if group == len(names) - 1 else 1},
            opacity=0.75, hoverinfo="skip", connectgaps=False, meta={"part": name},
        )  # fmt: skip
    for place, (name, ticks) in enumerate(zip(axes, labels, strict=True)):
        figure.add_shape(type="line", x0=place, x1=place, y0=0, y1=1, line={"color": "#888888", "width": 1})
        for height, words in ticks:
            # The page puts its own background behind what has this name, so that lines do not cross the words.
            figure.add_annotation(x=place, y=height, text=escape(words), showarrow=False, xanchor="left", xshift=4,
                                  font={"size": 10}, name="label", borderpad=1)  # fmt: skip
        figure.add_annotation(x=place, y=-0.05, text=f"<b>{escape(name).replace('.', '.<br>')}</b>", showarrow=False,
                              yanchor="top", font={"size": 10})  # fmt: skip
    figure.update_xaxes(visible=False, range=[-0.3, len(axes) - 0.2])
    figure.update_yaxes(visible=False, range=[-0.22, 1.06])
    figure.update_layout(meta={"height": 440, "min_width": AXIS_PIXELS * len(axes)}, margin={"l": 8, "r": 8, "b": 8})
    return figure


def write_gaps(values: Heights) -> list[float | None]:
    """Give numbers as a list in which None breaks the line."""
    return [None if math.isnan(value) else value for value in values.tolist()]


def place_on_axis(values: pd.Series[Any]) -> tuple[Heights, list[tuple[float, str]]]:
    """Give each value's height on an axis, 0 to 1, and a few labels: few values stand evenly, many by their size."""
    if values.nunique(dropna=False) <= 12:
        labels, codes = label_levels(values)
        top = max(1, len(labels) - 1)
        return codes.astype(np.float64) / top, [(place / top, label) for place, label in enumerate(labels)]
    numbers = values.astype(float).to_numpy()
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    heights: Heights = np.asarray((numbers - low) / (high - low), dtype=np.float64)
    return heights, [(part, shorten_number(low + part * (high - low))) for part in (0.0, 0.5, 1.0)]


def shorten_number(value: float) -> str:
    """Write a number with four digits or, where it has more before the point, as a whole one."""
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def plot_main_effects(points: pd.DataFrame, paths: Sequence[str], metrics: Sequence[str]) -> go.Figure:
    """Draw the geometric mean of each metric at each value of each parameter, over its mean of all points.

    A geometric mean needs numbers above 0; other points do not count.
    """
    figure = plain_figure("What does each value do by itself?", "", "geometric mean over that of all points")
    order: list[str] = []
    for number, metric in enumerate(metrics):
        values = points[metric].astype(float).to_numpy()
        usable = np.isfinite(values) & (values > 0)
        logs = np.log(values[usable])
        names: list[str] = []
        ratios: list[float | None] = []
        for gap, path in enumerate(paths, 1):
            labels, codes = label_levels(points[path][usable])
            means = np.bincount(codes, weights=logs) / np.bincount(codes)
            names += [f"{escape(path)}<br>{escape(label)}" for label in labels] + [" " * gap]
            ratios += [*(float(value) for value in np.exp(means - logs.mean())), None]
        order = names
        figure.add_scatter(
            x=names, y=ratios, mode="lines+markers", name=metric,
            line={"color": METRIC_COLORS[number % len(METRIC_COLORS)], "width": 2}, marker={"size": 7},
            text=["" if ratio is None else f"{ratio:.4g}" for ratio in ratios], meta={"part": metric},
            hovertemplate=f"%{{x}}<br>{protect(metric)} <b>%{{text}}x</b> the mean<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=order, tickangle=-60)
    figure.update_yaxes(type="log", minorloglabels="none")
    figure.update_layout(meta={"height": 460, "min_width": 90 + LEVEL_PIXELS * len(order)})
    return figure


def plot_sensitivity(found: Sequence[Sensitivity], metrics: Sequence[str]) -> go.Figure:
    """Draw for each metric the share of its variance that each parameter explains."""
    figure = plain_figure("Which parameter moves what?", "parameter", "share of the variance (eta squared)")
    for number, metric in enumerate(metrics):
        rows = sorted((one for one in found if one.metric == metric), key=lambda one: one.parameter)
        figure.add_bar(
            x=[escape(one.parameter) for one in rows],
            y=[one.variance_fraction for one in rows],
            name=metric,
            marker={"color": METRIC_COLORS[number % len(METRIC_COLORS)]},
            text=[f"{one.variance_fraction:.1%}" for one in rows],
            textposition="none",
            customdata=[[f"{one.effect_ratio:.4g}", escape(one.least_at), escape(one.most_at)] for one in rows],
            meta={"part": metric},
            hovertemplate=(
                f"%{{x}}<br>{protect(metric)}: <b>%{{text}}</b> of the variance<br>%{{customdata[0]}}x from "
                "%{customdata[1]} (least) to %{customdata[2]} (most)<extra></extra>"
            ),
        )
    figure.update_xaxes(type="category")
    figure.update_yaxes(range=[0, 1], tickformat=".0%")
    figure.update_layout(barmode="group")
    return figure


def rank_best(points: pd.DataFrame, objective: str, count: int) -> pd.DataFrame:
    """Give the best points of an objective."""
    return points.sort_values(objective, ascending=not is_maximized(objective), kind="stable").head(count)
