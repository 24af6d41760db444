"""The charts of what a study of trainings gains on the machine: the front of accuracy and energy, gains by epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from reports.layer_bars import plain_figure
from reports.palette import UNPRUNED_COLOR
from reports.quantities import scale_energy
from reports.training_figures import (
    add_band,
    add_line,
    color_of,
    epoch_figure,
    name_rate,
    symbol_of_rate,
)
from reports.training_results import DENSE, SCOPES, TrainingResults, name_figure, own_policy
from reports.training_tables import write_rate
from sim.sweep.analysis import find_pareto

RATIO_WORDS = {
    "cycles": ("How much faster is the machine?", "speed-up"),
    "energy": ("How much energy does it save?", "energy ratio"),
}


def list_spent(results: TrainingResults) -> pd.DataFrame:
    """Give what each training ended with and spent.

    Columns: rate, seed, accuracy, spent (pJ on the machine), dense (pJ on that which skips nothing).
    """
    runs = results.tables["runs"]
    rows = []
    for run in runs.dropna(subset=["test_accuracy"]).to_dict("records"):
        spent = run.get(f"{own_policy(run['rate'])}_energy_pj")
        if spent is not None and not pd.isna(spent):
            dense = run.get(f"{DENSE}_energy_pj", np.nan)
            rows.append((run["rate"], run["seed"], run["test_accuracy"], spent, dense))
    return pd.DataFrame(rows, columns=["rate", "seed", "accuracy", "spent", "dense"])


def average_spent(found: pd.DataFrame) -> pd.DataFrame:
    """Give the means over the seeds of each rate, and whether they are on the front.

    Columns: rate, accuracy, spent, dense, accuracy_std, spent_std, is_front.
    """
    means = found.groupby("rate")[["accuracy", "spent", "dense"]].mean().reset_index()
    spreads = found.groupby("rate")[["accuracy", "spent"]].std().fillna(0.0)
    means["accuracy_std"], means["spent_std"] = spreads["accuracy"].to_numpy(), spreads["spent"].to_numpy()
    means["is_front"] = find_pareto(means[["spent", "accuracy"]].to_numpy(dtype=float) * [1.0, -1.0])
    return means


def plot_front(results: TrainingResults) -> go.Figure:
    """Draw test accuracy against the energy of the whole training, and the front of the rates' means."""
    found = list_spent(results)
    means = average_spent(found).sort_values("spent")
    divisor, unit = scale_energy(float(max(means["spent"].max(), means["dense"].max())))
    figure = plain_figure("Which accuracy for which energy?", f"energy of the whole training ({unit})", "test accuracy")
    figure.update_yaxes(tickformat=".1%")
    front = means[means["is_front"]]
    figure.add_scatter(
        x=(front["spent"] / divisor).tolist(), y=front["accuracy"].tolist(), mode="lines", name="front",
        line={"color": UNPRUNED_COLOR, "shape": "hv", "dash": "dash"}, hoverinfo="skip", meta={"part": "band"},
    )  # fmt: skip
    for rate in means["rate"].tolist():
        add_spent(figure, results, rate, found[found["rate"] == rate], divisor, unit)
    for mean in means.itertuples():
        add_mean(figure, results, mean, divisor, unit)
    add_dense(figure, means, divisor, unit)
    figure.update_layout(meta={"height": 460})
    return figure


def add_spent(
    figure: go.Figure, results: TrainingResults, rate: float, rows: pd.DataFrame, divisor: float, unit: str
) -> None:
    """Add a small mark for each training at a rate, where there are several."""
    if len(rows) < 2:
        return
    figure.add_scatter(
        x=(rows["spent"] / divisor).tolist(), y=rows["accuracy"].tolist(), mode="markers", name=name_rate(rate),
        legendgroup=name_rate(rate), showlegend=False, opacity=0.55,
        marker={"color": color_of(results, rate), "symbol": symbol_of_rate(results, rate), "size": 6},
        text=[f"rate {write_rate(rate)}, seed {seed}" for seed in rows["seed"]], meta={"part": "training"},
        hovertemplate=f"%{{text}}<br>accuracy <b>%{{y:.2%}}</b><br>energy <b>%{{x:.4g}} {unit}</b><extra></extra>",
    )  # fmt: skip


def add_mean(figure: go.Figure, results: TrainingResults, mean: Any, divisor: float, unit: str) -> None:
    """Add the mean of a rate, with a standard deviation to each side."""
    rate = float(mean.rate)
    color = color_of(results, rate)
    words = f"rate {write_rate(rate)}, mean of {results.seeds(rate)}{', on the front' if mean.is_front else ''}"
    bars = {"color": color, "thickness": 1.2, "width": 3}
    figure.add_scatter(
        x=[mean.spent / divisor], y=[mean.accuracy], mode="markers", name=name_rate(rate),
        legendgroup=name_rate(rate), text=[words], meta={"part": "mean"},
        marker={"color": color, "symbol": symbol_of_rate(results, rate), "size": 13},
        error_x={**bars, "array": [mean.spent_std / divisor]}, error_y={**bars, "array": [mean.accuracy_std]},
        hovertemplate=f"%{{text}}<br>accuracy <b>%{{y:.2%}}</b><br>energy <b>%{{x:.4g}} {unit}</b><extra></extra>",
    )  # fmt: skip


def add_dense(figure: go.Figure, means: pd.DataFrame, divisor: float, unit: str) -> None:
    """Add what the training without pruning takes on the machine that skips nothing."""
    rows = means[(means["rate"] == 0) & means["dense"].notna()]
    if rows.empty:
        return
    figure.add_scatter(
        x=(rows["dense"] / divisor).tolist(), y=rows["accuracy"].tolist(), mode="markers",
        name="dense, rate 0", text=["rate 0 on the dense machine"], meta={"part": "dense"},
        marker={"color": UNPRUNED_COLOR, "symbol": "x-thin", "size": 12, "line": {"color": UNPRUNED_COLOR, "width": 3}},
        hovertemplate=f"%{{text}}<br>accuracy <b>%{{y:.2%}}</b><br>energy <b>%{{x:.4g}} {unit}</b><extra></extra>",
    )  # fmt: skip


def measure_ratios(results: TrainingResults, rate: float, scope: str, figure: str) -> pd.DataFrame:
    """Give how many times a figure of the machine the dense one takes, epoch by epoch.

    Columns: epoch, mean (over the seeds), low and high (of the interval, likewise).
    """
    name, column = scope + figure, name_figure(scope + figure)
    dense, own = (results.machine_rows(rate, policy) for policy in (DENSE, own_policy(rate)))
    if dense.empty or own.empty:
        return pd.DataFrame(columns=["epoch", "mean", "low", "high"])
    keys = ["seed", "epoch"]
    both = own.merge(dense, on=keys, suffixes=("", "_dense"))
    found = both[keys].assign(mean=both[f"{column}_dense"] / both[column], low=np.nan, high=np.nan)
    low, high = f"{name}_low", f"{name}_high"
    if {low, high, f"{low}_dense", f"{high}_dense"} <= set(both):
        found["low"] = both[f"{low}_dense"].astype(float) / both[high].astype(float)
        # An interval that begins at zero bounds no ratio from above.
        least = both[low].astype(float)
        found["high"] = both[f"{high}_dense"].astype(float) / least.where(least > 0)
    return found.groupby("epoch")[["mean", "low", "high"]].mean().reset_index().dropna(subset=["mean"])


def plot_ratios(results: TrainingResults, figure_name: str) -> go.Figure:
    """Draw the speed-up, or the energy ratio, by epoch with its interval; what it is of is chosen."""
    title, y_title = RATIO_WORDS[figure_name]
    figure = epoch_figure(results, title, y_title)
    words = "speed-up" if figure_name == "cycles" else "energy ratio"
    for number, scope in enumerate(order_scopes(results)):
        shown = {"visible": number == 0}
        for rate in results.rates:
            found = measure_ratios(results, rate, scope, figure_name)
            if found.empty:
                continue
            choice = {"choice": SCOPES[scope]}
            told = found.dropna()
            add_band(
                figure, results, rate, told["epoch"], told["low"], told["high"],
                meta={"part": "band", **choice}, **shown,
            )  # fmt: skip
            style = {"dash": "solid", "form": "{:.3f}x", "words": words, "is_listed": True}
            add_line(figure, results, rate, found, style, meta=choice, **shown)
    figure.update_layout(meta={"group": "rate", "choices": "scopes"})
    return figure


def order_scopes(results: TrainingResults) -> list[str]:
    """Give what the machine's figures are of, convolutions first."""
    return sorted(results.scopes, reverse=True)
