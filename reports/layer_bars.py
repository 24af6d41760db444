"""Stacked bars of the layers of a run, one bar for each machine: what several charts are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from reports.palette import pattern_of
from reports.run_files import COMPUTE_KINDS, Run
from workloads.updates import UPDATE

PASSES, UPDATES = "(passes)", "(update)"
MIN_LAYER_PIXELS, MIN_CROWDED_PIXELS = 8, 6
# More bars than this beside one another are too thin for a pattern that tells machines apart.
CROWD_BARS = 120
CROWD_LAYERS = 80
ROW_PIXELS, MANY_ROWS_PIXELS, ROW_GAP_PIXELS, AXES_PIXELS = 150, 96, 30, 80
LETTER_PIXELS, BOLD_PIXELS = 6, 7
# A place that is taller than all others by more than this is drawn to their height, and says so.
MOST_TIMES_TALLER = 2


def name_places(frame: pd.DataFrame) -> pd.Series:
    """Give the place on the axis of each row: its layer, or one place for all passes, and one for all updates."""
    return frame["layer"].where(frame["kind"].isin(COMPUTE_KINDS), PASSES).where(frame["kind"] != UPDATE, UPDATES)


def list_places(run: Run) -> list[str]:
    """Name the places on the axis of layers, in order."""
    return list(dict.fromkeys(name_places(run.frame))) if run.layers() else [PASSES]


def sort_places(run: Run) -> list[str]:
    """Name the layers in order, the elementwise passes and the updates last."""
    places = list_places(run)
    last = [place for place in (PASSES, UPDATES) if place in places]
    return [place for place in places if place not in last] + last


def is_crowded(run: Run) -> bool:
    """Whether a run has too many bars for its machines to stand beside one another."""
    return len(run.machines) > 1 and len(list_places(run)) * len(run.machines) > CROWD_BARS


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
    figure.update_layout(meta={"min_width": 90 + layer_pixels(places) * len(places)})
    return figure


def layer_pixels(places: Sequence[str]) -> int:
    """Give the least width of a layer, so that even a deep network fits a screen."""
    return MIN_CROWDED_PIXELS if len(places) > CROWD_LAYERS else MIN_LAYER_PIXELS


def bar_figure(run: Run, title: str, y_title: str) -> go.Figure:
    """Make an empty figure for bars: the machines' beside one another, or in a row for each where there are many."""
    figure = layer_figure(run, title, y_title)
    figure.update_layout(barmode="stack", bargap=0.18)
    if is_crowded(run):
        split_rows(figure, run, y_title, ROW_PIXELS if len(run.machines) < 4 else MANY_ROWS_PIXELS)
        for number in range(1, len(run.machines)):
            figure.layout[name_axis("yaxis", number)].matches = "y"
        figure.update_layout(bargap=0.1)
    return figure


def split_rows(figure: go.Figure, run: Run, y_title: str, row_pixels: int) -> None:
    """Give each machine a vertical axis of its own, the simulated machine on top."""
    count = len(run.machines)
    height = count * row_pixels + (count - 1) * ROW_GAP_PIXELS
    for number, machine in enumerate(run.machines):
        top = 1 - number * (row_pixels + ROW_GAP_PIXELS) / height
        # The last row must not start below 0, by however little a sum of floats may be off.
        domain = [max(0.0, top - row_pixels / height), top]
        figure.layout[name_axis("yaxis", number)] = {"domain": domain, "title": None, "automargin": True}
        figure.add_annotation(
            text=f"<b>{escape(machine)}</b>{escape(y_title and f': {y_title}')}", x=0, y=top, xref="paper",
            yref="paper", xanchor="left", yanchor="bottom", showarrow=False,
        )  # fmt: skip
    words = LETTER_PIXELS * max(len(place) for place in list_places(run))
    figure.update_xaxes(anchor=name_axis("y", count - 1))
    # A name that is wider than a phone is scrolled to, and not cut.
    widths = [90 + BOLD_PIXELS * len(f"{machine}: {y_title}") for machine in run.machines]
    widen(figure, max(widths))
    figure.update_layout(
        legend={"y": 1 + 22 / height},
        meta=figure.layout.meta | {"height": AXES_PIXELS + words + height},
        margin={"b": words},
    )


def widen(figure: go.Figure, pixels: int) -> None:
    """Raise the width that a figure has at least."""
    least = max(pixels, figure.layout.meta["min_width"])
    figure.update_layout(meta=figure.layout.meta | {"min_width": least})


def cut_passes(figure: go.Figure, run: Run, drawn: pd.DataFrame) -> None:
    """Draw the passes only to the height of the layers where they would dwarf them, and write how tall they are."""
    heights = drawn.sum(axis=1)
    is_pass = heights.index.get_level_values(1) == PASSES
    layers = float(heights[~is_pass].max()) if not is_pass.all() else 0.0
    if not is_crowded(run) or not is_pass.any() or heights[is_pass].max() <= MOST_TIMES_TALLER * layers:
        return
    figure.update_yaxes(range=[0, 1.15 * layers])
    for number, machine in enumerate(run.machines):
        if (machine, PASSES) in heights.index:
            figure.add_annotation(
                text=f"passes: {write_height(heights[machine, PASSES])} ▲", x=escape(PASSES), xref="x", xanchor="right",
                y=1, yref=f"{name_axis('y', number)} domain", yanchor="bottom", showarrow=False, font={"size": 11},
            )  # fmt: skip


def write_height(height: float) -> str:
    """Write a number of any size without an exponent."""
    return f"{height:,.0f}" if height >= 1000 else f"{height:.4g}"


def name_axis(kind: str, number: int) -> str:
    """Name the n-th axis of a kind as plotly does."""
    return kind if number == 0 else f"{kind}{number + 1}"


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

    Args:
        sums: One row for each (machine, place), one column for each part, exact numbers for the hover texts.
        parts: Words and colour of each.
        heights: What is drawn, where it is not the sums.
    """
    drawn = sums if heights is None else heights
    in_rows = is_crowded(run)
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
                offsetgroup=None if in_rows else str(number),
                alignmentgroup=None if in_rows else "layers",
                yaxis=name_axis("y", number) if in_rows else None,
                marker={"color": color} if in_rows else mark_bars(color, number),
                text=write_numbers(numbers, number_format),
                textposition="none",
                meta={"part": part, "machine": machine},
                hovertemplate=f"%{{x}}<br>{words}<br>{protect(machine)}<br><b>%{{text}}</b> {unit}<extra></extra>",
            )
    cut_passes(figure, run, drawn[shown])


def mark_bars(color: str, number: int) -> dict[str, Any]:
    """Give the marks of the bars of a run's machine by its place."""
    return {"color": color, "pattern": {"shape": pattern_of(number), "solidity": 0.35}}


def write_numbers(numbers: Sequence[float], number_format: str) -> list[str]:
    """Write exact numbers for hover texts; whole ones as integers."""
    is_whole = number_format.endswith("d}")
    return [number_format.format(int(number) if is_whole else number) for number in numbers]


def protect(words: str) -> str:
    """Make a user's words safe inside a hover template, where markup and %{...} have a meaning."""
    return escape(words).replace("%", "&#37;").replace("{", "&#123;").replace("}", "&#125;")
