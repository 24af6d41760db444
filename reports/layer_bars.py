"""Stacked bars of the layers of a run, one bar for each machine: what several charts are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import pandas as pd
import plotly.graph_objects as go

from reports.palette import pattern_of
from reports.run_files import COMPUTE_KINDS, Run

PASSES = "(passes)"
MIN_LAYER_PIXELS = 8


def name_places(frame: pd.DataFrame) -> pd.Series:
    """Give the place on the axis of each row: its layer, or one place for all elementwise passes."""
    return frame["layer"].where(frame["kind"].isin(COMPUTE_KINDS), PASSES)


def list_places(run: Run) -> list[str]:
    """Name the places on the axis of layers, in order."""
    return list(dict.fromkeys(name_places(run.frame))) if run.layers() else [PASSES]


def sort_places(run: Run) -> list[str]:
    """Name the layers in order, the elementwise passes last."""
    places = list_places(run)
    return [place for place in places if place != PASSES] + [place for place in places if place == PASSES]


def plain_figure(title: str, x_title: str, y_title: str) -> go.Figure:
    """Make an empty figure with a title and named axes."""
    return go.Figure(
        layout={
            "title": {"text": escape(title)},
            "xaxis": {"title": {"text": x_title}, "automargin": True},
            "yaxis": {"title": {"text": y_title}, "automargin": True},
            "legend": {
                "orientation": "h",
                "traceorder": "normal",
                "x": 0,
                "xanchor": "left",
                "y": 1.0,
                "yanchor": "bottom",
            },
            "hovermode": "closest",
            "template": "none",
            "margin": {"l": 60, "r": 16, "t": 72, "b": 60},
        }
    )


def layer_figure(run: Run, title: str, y_title: str, *, with_passes: bool = True) -> go.Figure:
    """Make an empty figure whose horizontal axis is the run's layers."""
    places = sort_places(run) if with_passes else run.layers()
    figure = plain_figure(title, "layer", y_title)
    # Names are categories even where they look like numbers or dates.
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=[escape(place) for place in places])
    figure.update_layout(barmode="stack", bargap=0.18, meta={"min_width": 90 + MIN_LAYER_PIXELS * len(places)})
    return figure


def add_bars(
    figure: go.Figure,
    run: Run,
    sums: pd.DataFrame,
    parts: Mapping[str, tuple[str, str]],
    heights: pd.DataFrame | None = None,
    unit: str = "",
    number_format: str = "{:,d}",
) -> None:
    """Add a stack of parts for each machine and layer.

    sums: one row for each (machine, place), one column for each part, exact numbers for the hover texts. parts: words
    and colour of each. heights: what is drawn, where it is not the sums.
    """
    drawn = sums if heights is None else heights
    shown = [part for part in parts if part in sums.columns and bool((sums[part].fillna(0) != 0).any())]
    for number, machine in enumerate(run.machines):
        if machine not in sums.index.get_level_values(0):
            continue
        exact, tall = sums.loc[machine], drawn.loc[machine]
        for part in shown:
            words, color = parts[part]
            present = exact[part].notna()
            places = [str(place) for place in exact.index[present]]
            numbers = exact.loc[present, part].tolist()
            figure.add_bar(
                x=[escape(place) for place in places],
                y=tall.loc[present, part].tolist(),
                name=words,
                legendgroup=part,
                showlegend=number == 0,
                offsetgroup=str(number),
                alignmentgroup="layers",
                marker={"color": color, "pattern": {"shape": pattern_of(number), "solidity": 0.35}},
                text=write_numbers(numbers, number_format),
                textposition="none",
                meta={"part": part, "machine": machine},
                hovertemplate=f"%{{x}}<br>{words}<br>{protect(machine)}<br><b>%{{text}}</b> {unit}<extra></extra>",
            )


def write_numbers(numbers: Sequence[float], number_format: str) -> list[str]:
    """Write exact numbers for hover texts; whole ones as integers."""
    is_whole = number_format.endswith("d}")
    return [number_format.format(int(number) if is_whole else number) for number in numbers]


def protect(words: str) -> str:
    """Make a user's words safe inside a hover template, where markup and %{...} have a meaning."""
    return escape(words).replace("%", "&#37;").replace("{", "&#123;").replace("}", "&#125;")
