"""The charts of a study of trainings, as plain plotly figures: one colour for each rate of pruning.

A line is the mean over the seeds of a rate, and its band a standard deviation to both sides, unless a caption says
otherwise. A figure with choices has them in its `meta`; those traces are visible that the first one shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from reports.layer_bars import plain_figure, protect
from reports.palette import RATE_COLORS, UNPRUNED_COLOR, symbol_of
from reports.training_results import TrainingResults, list_sites, measure_kept
from reports.training_tables import write_rate

BAND_OPACITY = 0.18
ROW_PIXELS, AXES_PIXELS, LEAST_PIXELS = 22, 100, 300
MARKED_EPOCHS, MOST_TICKS = 40, 10
# Densities at which the colour bar has a tick.
TICKS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


def color_of(results: TrainingResults, rate: float) -> str:
    """Give the colour of a rate."""
    if not rate:
        return UNPRUNED_COLOR
    return RATE_COLORS[results.pruned_rates.index(rate) % len(RATE_COLORS)]


def symbol_of_rate(results: TrainingResults, rate: float) -> str:
    """Give the mark of a rate."""
    return symbol_of(results.rates.index(rate))


def name_rate(rate: float) -> str:
    """Name a rate in a legend."""
    return f"rate {write_rate(rate)}"


def epoch_figure(results: TrainingResults, title: str, y_title: str, *, is_share: bool = False) -> go.Figure:
    """Make an empty figure over epochs, whose ticks are whole ones."""
    figure = plain_figure(title, "epoch", y_title)
    step = math.ceil(int(results.tables["epochs"]["epoch"].max()) / MOST_TICKS)
    figure.update_xaxes(tickformat="d", tick0=1 if step == 1 else 0, dtick=step)
    figure.update_layout(meta={"group": "rate"})
    if is_share:
        figure.update_yaxes(tickformat=".0%")
    return figure


def plot_loss(results: TrainingResults) -> go.Figure:
    """Draw the loss of training and test images by epoch."""
    figure = epoch_figure(results, "How does the loss fall?", "loss")
    add_curves(figure, results, (("loss", "training", "dot"), ("test_loss", "test", "solid")), "{:.4g}")
    return figure


def plot_accuracy(results: TrainingResults) -> go.Figure:
    """Draw the accuracy on training and test images by epoch."""
    title = "Does pruning cost accuracy?" if results.pruned_rates else "How accurate does it become?"
    figure = epoch_figure(results, title, "accuracy", is_share=True)
    add_curves(figure, results, (("accuracy", "training", "dot"), ("test_accuracy", "test", "solid")), "{:.2%}")
    return figure


def add_curves(figure: go.Figure, results: TrainingResults, columns: Sequence[tuple[str, str, str]], form: str) -> None:
    """Add the curves of some columns of the epochs: one legend entry for each rate.

    Args:
        columns: Name, words and dash of each; the last that is known has a band and stands in the legend.
        form: Of hover texts.
    """
    epochs = results.tables["epochs"]
    known = [one for one in columns if epochs[one[0]].notna().any()]
    for rate in results.rates:
        for column, words, dash in known:
            found = spread(epochs[epochs["rate"] == rate].dropna(subset=[column]), ["epoch"], column)
            is_main = column == known[-1][0]
            if is_main:
                add_band(
                    figure, results, rate, found["epoch"], found["mean"] - found["std"], found["mean"] + found["std"]
                )
            add_line(
                figure, results, rate, found, {"dash": dash, "form": form, "words": words, "is_listed": is_main},
            )  # fmt: skip


def spread(frame: pd.DataFrame, keys: list[str], column: str) -> pd.DataFrame:
    """Give mean and standard deviation over the seeds; one seed has none, as if it were 0."""
    found = frame.groupby(keys, sort=False)[column].agg(["mean", "std"]).fillna({"std": 0.0})
    return found.reset_index()


def add_band(
    figure: go.Figure, results: TrainingResults, rate: float, epochs: pd.Series, low: pd.Series, high: pd.Series,
    **more: Any,
) -> None:  # fmt: skip
    """Fill what lies between two lines; nothing where they are one."""
    if not (high - low).abs().max() > 0:
        return
    color = color_of(results, rate)
    figure.add_scatter(
        x=[*epochs.tolist(), *epochs.tolist()[::-1]], y=[*high.tolist(), *low.tolist()[::-1]], mode="lines",
        fill="toself", fillcolor=fade(color), line={"width": 0}, hoverinfo="skip", showlegend=False,
        legendgroup=name_rate(rate), name=name_rate(rate), **{"meta": {"part": "band"}, **more},
    )  # fmt: skip


def fade(color: str) -> str:
    """Give a colour as one that lets others through."""
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{BAND_OPACITY})"


def add_line(
    figure: go.Figure, results: TrainingResults, rate: float, found: pd.DataFrame, style: dict[str, Any], **more: Any
) -> None:
    """Add the line of a rate over epochs.

    Args:
        found: Columns epoch, mean and, where hover texts tell it, std.
        style: dash, form and words of the hover text, and whether the legend lists it.
    """
    means = [style["form"].format(value) for value in found["mean"]]
    text = means
    if "std" in found and results.seeds(rate) > 1:
        text = [f"{one} ± {style['form'].format(std)}" for one, std in zip(means, found["std"], strict=True)]
    words, color = style["words"], color_of(results, rate)
    is_marked = style["is_listed"] and len(found) <= MARKED_EPOCHS
    meta = {"part": words, "machine": f"{write_rate(rate)}, {words}", "place": "epoch", **more.pop("meta", {})}
    figure.add_scatter(
        x=found["epoch"].tolist(), y=found["mean"].tolist(), mode="lines+markers" if is_marked else "lines",
        name=name_rate(rate), legendgroup=name_rate(rate), showlegend=style["is_listed"],
        line={"color": color, "width": 2, "dash": style["dash"]},
        marker={"color": color, "symbol": symbol_of_rate(results, rate), "size": 6}, text=text, meta=meta,
        hovertemplate=f"epoch %{{x}}, {name_rate(rate)}<br>{protect(words)} <b>%{{text}}</b><extra></extra>", **more,
    )  # fmt: skip


def plot_densities(results: TrainingResults, tensor: str) -> go.Figure:
    """Draw a heat map of the density of a tensor by layer and epoch; a rate is chosen.

    Colours follow the square root: among the sparse gradients are those that pruning makes.
    """
    words = {"grad_output": "How dense are the gradients that each layer reads?", "input": "How dense are the inputs?"}
    tensors = results.tables["tensors"]
    own = tensors[tensors["tensor"] == tensor]
    layers = list(dict.fromkeys(own["layer"]))
    figure = epoch_figure(results, words[tensor], "")
    for number, rate in enumerate(results.rates):
        found = spread(own[own["rate"] == rate], ["layer", "epoch"], "density")
        table = found.pivot_table(index="layer", columns="epoch", values="mean", sort=False).reindex(layers)
        values = [[None if pd.isna(value) else value for value in line] for line in table.to_numpy().tolist()]
        figure.add_heatmap(
            x=table.columns.tolist(), y=[escape(layer) for layer in layers],
            z=[[None if value is None else math.sqrt(value) for value in line] for line in values],
            text=[["" if value is None else f"{value:.1%}" for value in line] for line in values],
            coloraxis="coloraxis", xgap=1, ygap=1, hoverongaps=False, visible=number == 0,
            meta={"part": tensor, "choice": write_rate(rate), "machine": write_rate(rate), "place": "epoch"},
            hovertemplate=f"%{{y}}, epoch %{{x}}, {name_rate(rate)}<br><b>%{{text}}</b> nonzero<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    height = max(LEAST_PIXELS, AXES_PIXELS + ROW_PIXELS * len(layers))
    figure.update_layout(
        meta={"group": "rate", "choices": "densities", "height": height},
        coloraxis={
            "colorscale": "Cividis",
            "cmin": 0,
            "cmax": 1,
            "colorbar": {
                "thickness": 10,
                "tickvals": [math.sqrt(value) for value in TICKS],
                "ticktext": [f"{value:.0%}" for value in TICKS],
            },
        },
    )
    return figure


def plot_thresholds(results: TrainingResults) -> go.Figure:
    """Draw the threshold that the FIFO predicted beside the batches' own, by epoch; a gradient is chosen."""
    figure = epoch_figure(results, "Does the FIFO predict the threshold?", "threshold")
    figure.update_yaxes(type="log", exponentformat="power", minorloglabels="complete")
    columns = (("own_threshold", "the batch's own", "dot", False), ("threshold", "predicted", "solid", True))
    add_site_lines(figure, results, columns, "{:.4g}")
    return figure


def plot_threshold_ratios(results: TrainingResults) -> go.Figure:
    """Draw the predicted threshold over the batches' own, by epoch; a gradient is chosen."""
    figure = epoch_figure(results, "How far is the prediction off?", "predicted over the batch's own")
    figure.add_hline(y=1, line={"color": UNPRUNED_COLOR, "dash": "dash", "width": 1})
    add_site_lines(figure, results, (("quotient", "predicted over own", "solid", True),), "{:.3f}")
    return figure


def add_site_lines(
    figure: go.Figure, results: TrainingResults, columns: Sequence[tuple[str, str, str, bool]], form: str
) -> None:
    """Add lines of each pruned gradient, of which those of the first are visible."""
    sites = results.tables["sites"]
    sites = sites[(sites["own_threshold"] > 0) & (sites["threshold"] > 0)]
    sites = sites.assign(quotient=sites["threshold"] / sites["own_threshold"])
    keys = ["node", "rate", "epoch"]
    found = {column: dict(list(spread(sites, keys, column).groupby(keys[:2], sort=False))) for column, *_ in columns}
    for number, node in enumerate(list_sites(results)):
        for rate in results.pruned_rates:
            for column, words, dash, is_listed in columns:
                rows = found[column].get((node, rate))
                if rows is not None:
                    style = {"dash": dash, "form": form, "words": words, "is_listed": is_listed}
                    add_line(figure, results, rate, rows, style, visible=number == 0, meta={"choice": node})
    figure.update_layout(meta={"group": "rate", "choices": "gradients"})


def plot_kept(results: TrainingResults) -> go.Figure:
    """Draw the density that the last epoch left of each gradient, beside what was aimed at."""
    figure = plain_figure("Does pruning leave what it aims at?", "gradient to the output of", "density left")
    nodes = list_sites(results)
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=[escape(node) for node in nodes])
    figure.update_yaxes(type="log", tickformat=".3~p", dtick="D2")
    figure.update_layout(meta={"group": "rate", "min_width": 90 + 14 * len(nodes)})
    for rate in results.pruned_rates:
        found, color = measure_kept(results, rate), color_of(results, rate)
        aim = {"symbol": "line-ew", "size": 24, "line": {"width": 2, "color": color}}
        mark = {"symbol": symbol_of_rate(results, rate), "size": 9, "color": color}
        for column, words, marker in (("aimed", "aimed at", aim), ("after", "left", mark)):
            kept = found[found[column] > 0]
            figure.add_scatter(
                x=[escape(node) for node in kept["node"]], y=kept[column].tolist(), mode="markers",
                name=name_rate(rate), legendgroup=name_rate(rate), showlegend=column == "after", marker=marker,
                text=[f"{value:.3%}" for value in kept[column]],
                meta={"part": words, "machine": f"{write_rate(rate)}, {words}"},
                hovertemplate=f"%{{x}}, {name_rate(rate)}<br><b>%{{text}}</b> of all elements {words}<extra></extra>",
            )  # fmt: skip
    return figure
