"""The charts of a run, as plain plotly figures: `figures.plot_cycles(load_run("out/lenet5-sparsetrain"))`.

Every function takes a `Run`; a figure's title is the question that it answers.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import pandas as pd
import plotly.graph_objects as go

from reports.layer_bars import (
    CROWD_LAYERS,
    MIN_CROWDED_PIXELS,
    MIN_LAYER_PIXELS,
    add_bars,
    bar_figure,
    layer_figure,
    name_axis,
    name_places,
    plain_figure,
    protect,
    split_rows,
    widen,
    write_numbers,
)
from reports.palette import (
    COMPONENT_COLORS,
    COMPONENT_WORDS,
    DENSITY_MARKS,
    STATE_COLORS,
    STATE_WORDS,
    STEP_COLORS,
    STEP_WORDS,
    symbol_of,
)
from reports.quantities import scale_energy
from reports.run_files import COMPUTE_KINDS, Run, find_architecture, find_bandwidth

FALLBACK_COLOR = "#777777"
CELL_PIXELS = 26


def plot_cycles(run: Run) -> go.Figure:
    """Draw the cycles of each layer on each machine, stacked by step."""
    figure = bar_figure(run, "Which layers and steps take the cycles?", "cycles")
    sums = run.frame.assign(place=name_places(run.frame)).pivot_table(
        index=["machine", "place"], columns="step", values="cycles", aggfunc="sum", sort=False
    )
    found = [str(step) for step in sums.columns]
    names = [*(step for step in STEP_WORDS if step in found), *(step for step in found if step not in STEP_WORDS)]
    parts = {step: (STEP_WORDS.get(step, escape(step)), STEP_COLORS.get(step, FALLBACK_COLOR)) for step in names}
    add_bars(figure, run, sums, parts, unit="cycles")
    return figure


def plot_time(run: Run) -> go.Figure:
    """Draw what share of each layer's time the PE groups spent in each state."""
    figure = bar_figure(run, "Where did the groups' time go?", "share of the groups' cycles")
    figure.update_yaxes(tickformat=".0%", range=[0, 1])
    frame = run.frame.assign(place=name_places(run.frame))
    sums = frame.groupby(["machine", "place"], sort=False)[list(STATE_WORDS)].sum()
    parts = {state: (STATE_WORDS[state], STATE_COLORS[state]) for state in STATE_WORDS}
    add_bars(figure, run, sums, parts, sums.div(sums.sum(axis=1).replace(0, 1), axis=0), unit="group-cycles")
    return figure


def plot_energy(run: Run) -> go.Figure:
    """Draw the energy of each layer on each machine by component.

    Raises:
        ValueError: a machine of the run has no prices.
    """
    if not run.has_energy:
        raise ValueError(f"{run.title}: a machine without a technology has no energy to draw")
    columns = {f"{name}_pj": (COMPONENT_WORDS[name], COMPONENT_COLORS[name]) for name in COMPONENT_WORDS}
    frame = run.frame.assign(place=name_places(run.frame))
    sums = frame.groupby(["machine", "place"], sort=False)[list(columns)].sum()
    divisor, unit = scale_energy(float(sums.sum(axis=1).max()))
    figure = bar_figure(run, "Which components take the energy?", f"energy ({unit})")
    add_bars(figure, run, sums, columns, sums / divisor, unit="pJ", number_format="{:,.9g}")
    return figure


def plot_densities(run: Run) -> go.Figure:
    """Draw the density of each operand, layer by layer."""
    figure = layer_figure(run, "How sparse are the operands?", "density (share of nonzeros)", with_passes=False)
    figure.update_yaxes(range=[-0.03, 1.03])
    figure.update_xaxes(range=[-0.7, len(run.layers()) - 0.3])
    frame = run.rows(run.machine)
    frame = frame[frame["kind"].isin(COMPUTE_KINDS)].drop_duplicates("layer")
    for column, (words, color, symbol, size) in DENSITY_MARKS.items():
        figure.add_scatter(
            x=[escape(name) for name in frame["layer"]],
            y=frame[column].tolist(),
            name=words,
            mode="lines+markers",
            line={"color": color, "width": 1, "dash": "dot"},
            marker={"color": color, "symbol": symbol, "size": size * shrink_marks(len(frame))},
            text=[f"{value:.9g}" for value in frame[column]],
            meta={"part": column, "machine": run.machine},
            hovertemplate=f"%{{x}}<br>{words}<br>density <b>%{{text}}</b><extra></extra>",
        )
    return figure


def plot_utilization(run: Run) -> go.Figure:
    """Draw the share of multiplier cycles that multiply, over layers and steps, for every machine."""
    figure = layer_figure(run, "How well are the PEs used?", "", with_passes=False)
    frame = run.frame[run.frame["kind"].isin(COMPUTE_KINDS)]
    table = frame.pivot_table(
        index=["machine", "step"], columns="layer", values="pe_utilization", aggfunc="first", sort=False
    )
    table = table.reindex(columns=run.layers())
    steps = [step for step in STEP_WORDS if step in set(frame["step"])]
    split_rows(figure, run, "", CELL_PIXELS * len(steps))
    is_dense = len(table.columns) > CROWD_LAYERS
    for number, machine in enumerate(run.machines):
        own = table.loc[machine].reindex(steps)
        values = [[None if pd.isna(value) else value for value in line] for line in own.to_numpy().tolist()]
        figure.add_heatmap(
            x=[escape(name) for name in table.columns],
            y=steps,
            z=values,
            text=[["" if value is None else f"{value:.9g}" for value in line] for line in values],
            coloraxis="coloraxis",
            xgap=0 if is_dense else 1,
            ygap=1,
            hoverongaps=False,
            yaxis=name_axis("y", number),
            meta={"part": "pe_utilization", "machine": machine},
            hovertemplate=(f"%{{x}}<br>%{{y}}<br>{protect(machine)}<br>utilisation <b>%{{text}}</b><extra></extra>"),
        )
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    widen(figure, 160 + (MIN_CROWDED_PIXELS if is_dense else 2 * MIN_LAYER_PIXELS) * len(table.columns))
    figure.update_layout(
        margin={"t": 40, "l": 70},
        coloraxis={"colorscale": "Cividis", "cmin": 0, "cmax": 1, "colorbar": {"thickness": 10, "tickformat": ".0%"}},
    )  # fmt: skip
    return figure


def plot_roofline(run: Run) -> go.Figure:
    """Draw effectual MACs per cycle over effectual MACs per DRAM byte, under the machine's ceilings.

    Raises:
        ValueError: no step of the run moves anything through DRAM.
    """
    frame = run.frame[(run.frame["effectual_macs"] > 0) & (run.frame["cycles"] > 0)]
    moved = frame["dram_read_bytes"] + frame["dram_write_bytes"]
    frame = frame.assign(intensity=frame["effectual_macs"] / moved.mask(moved == 0)).dropna(subset=["intensity"])
    if frame.empty:
        raise ValueError(f"{run.title}: no step moves bytes through DRAM, so a roofline has no horizontal place")
    figure = plain_figure(
        "What bounds each step: multipliers or DRAM?", "effectual MACs per DRAM byte", "effectual MACs per cycle"
    )
    add_ceilings(figure, run, frame["intensity"].min() / 2, frame["intensity"].max() * 2)
    for number, machine in enumerate(run.machines):
        for step in [name for name in STEP_WORDS if name in set(frame["step"])]:
            rows = frame[(frame["machine"] == machine) & (frame["step"] == step)]
            if rows.empty:
                continue
            rates = rows["effectual_macs"] / rows["cycles"]
            named = {trace.name for trace in figure.data}
            figure.add_scatter(
                x=rows["intensity"].tolist(),
                y=rates.tolist(),
                mode="markers",
                name=step,
                legendgroup=step,
                showlegend=step not in named,
                marker={
                    "color": STEP_COLORS[step],
                    "symbol": symbol_of(number),
                    "size": 9 * shrink_marks(len(run.layers())),
                },
                text=[escape(name) for name in rows["layer"]],
                meta={"part": step, "machine": machine},
                hovertemplate=(
                    f"%{{text}} {step}<br>{protect(machine)}<br><b>%{{x:.6g}}</b> MACs per DRAM byte<br>"
                    "<b>%{y:.6g}</b> MACs per cycle<extra></extra>"
                ),
            )
    figure.update_xaxes(type="log", tickformat=",~g", dtick=1)
    figure.update_yaxes(type="log", tickformat=",~g", dtick=1)
    return figure


def shrink_marks(layers: int) -> float:
    """Give the factor by which marks are smaller where there are many layers."""
    return 0.65 if layers > CROWD_LAYERS else 1.0


def add_ceilings(figure: go.Figure, run: Run, least: float, most: float) -> None:
    """Add the roof of the simulated machine: its multipliers, and its DRAM bandwidth where that is limited."""
    architecture = find_architecture(run, run.machine) or run.record["architecture"]
    array = architecture["array"]
    multipliers = array["groups"] * array["pes_per_group"] * array["multipliers_per_pe"]
    bytes_per_cycle = find_bandwidth(run, run.machine)
    words = f"{multipliers} multipliers"
    points = [(least, float(multipliers)), (max(most, 2 * least), float(multipliers))]
    if bytes_per_cycle is not None:
        ridge = multipliers / bytes_per_cycle
        words += f" and {bytes_per_cycle} DRAM bytes a cycle"
        low, high = min(least, ridge / 2), max(most, ridge * 2)
        points = [(low, low * bytes_per_cycle), (ridge, float(multipliers)), (high, float(multipliers))]
    figure.add_scatter(
        x=[x for x, _ in points],
        y=[y for _, y in points],
        mode="lines",
        name="roof",
        line={"color": FALLBACK_COLOR, "width": 2},
        meta={"part": "roof"},
        hovertemplate=f"{words}<br>%{{x:.6g}} MACs per byte: %{{y:.6g}} MACs per cycle<extra></extra>",
    )


def plot_speedup(run: Run, baseline: str | None = None) -> go.Figure:
    """Draw each step's speed-up over a baseline against what the density alone would allow.

    An open mark is the speed-up of the busy time alone: from the diagonal to it is what imbalance and overhead cost,
    from it to the filled mark what waiting and idling cost.

    Raises:
        ValueError: the run has no baseline.
    """
    if len(run.machines) < 2:
        raise ValueError(f"{run.title}: the run has no baseline to be faster than")
    against = baseline or run.machines[1]
    frame = pair_steps(run, against)
    figure = plain_figure(
        f"How much of the sparsity becomes speed over {against}?", "speed-up that the density alone allows", "speed-up"
    )
    most = float(frame[["allowed", "achieved", "computing"]].max().max()) * 1.15
    figure.add_scatter(x=[0.9, most], y=[0.9, most], mode="lines", name="all of it", hoverinfo="skip",
                       line={"color": FALLBACK_COLOR, "dash": "dash"}, meta={"part": "diagonal"})  # fmt: skip
    for step in [name for name in STEP_WORDS if name in set(frame["step"])]:
        rows = frame[frame["step"] == step]
        for part, words, symbol in (
            ("computing", "busy time alone", "circle-open"),
            ("achieved", "achieved", "circle"),
        ):
            figure.add_scatter(
                x=rows["allowed"].tolist(),
                y=rows[part].tolist(),
                mode="markers",
                name=f"{step}, {words}",
                marker={
                    "color": STEP_COLORS[step],
                    "symbol": symbol,
                    "size": 9 * shrink_marks(len(run.layers())),
                    "line": {"width": 1.5, "color": STEP_COLORS[step]},
                },
                text=[escape(name) for name in rows["layer"]],
                customdata=list(
                    zip(*(write_numbers(rows[name].tolist(), "{:,d}") for name in ("other", "own")), strict=True)
                ),
                meta={"part": part, "step": step},
                hovertemplate=(
                    f"%{{text}} {step}, {words}<br>density allows <b>%{{x:.4g}}x</b><br>speed-up <b>%{{y:.4g}}x</b>"
                    "<br>%{customdata[0]} against %{customdata[1]} cycles<extra></extra>"
                ),
            )
    figure.update_xaxes(type="log", tickformat=",~g", dtick="D2")
    figure.update_yaxes(type="log", tickformat=",~g", dtick="D2")
    return figure


def pair_steps(run: Run, baseline: str) -> pd.DataFrame:
    """Pair each convolution and fully connected step with the baseline's.

    Columns: layer, step, own and other (cycles), allowed, achieved, computing (times faster).
    """
    keys = ["layer", "step"]
    own, other = (run.rows(machine).query("tasks > 0").set_index(keys) for machine in (run.machine, baseline))
    both = own.merge(other, how="inner", left_index=True, right_index=True, suffixes=("", "_other"))
    both = both[(both["cycles"] > 0) & (both["effectual_macs"] > 0)]
    return pd.DataFrame(
        {
            "own": both["cycles"],
            "other": both["cycles_other"],
            "allowed": both["dense_macs"] / both["effectual_macs"],
            "achieved": both["cycles_other"] / both["cycles"],
            "computing": both["busy_cycles_other"] / both["busy_cycles"].mask(both["busy_cycles"] == 0),
        }
    ).reset_index()


PLOTS: dict[str, Callable[[Run], go.Figure]] = {
    "cycles": plot_cycles,
    "time": plot_time,
    "energy": plot_energy,
    "densities": plot_densities,
    "utilization": plot_utilization,
    "roofline": plot_roofline,
    "speedup": plot_speedup,
}


def plot_all(run: Run) -> dict[str, go.Figure]:
    """Draw every chart that the run has numbers for."""
    has_traffic = bool((run.frame["dram_read_bytes"] + run.frame["dram_write_bytes"]).any())
    missing = set() if run.has_energy else {"energy"}
    missing |= set() if len(run.machines) > 1 else {"speedup"}
    missing |= set() if has_traffic else {"roofline"}
    return {name: plot(run) for name, plot in PLOTS.items() if name not in missing}
