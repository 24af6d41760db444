"""The page and the tables of how a run scales over several chips."""

from __future__ import annotations

from dataclasses import fields
from html import escape, unescape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from reports.fitted_tables import Column, Grid, Kind
from reports.layer_bars import plain_figure
from reports.page import build_page, chart_box, table_box, write_table
from reports.palette import MACHINE_PATTERNS, pattern_of, symbol_of
from reports.run_files import Run
from reports.run_parts import write_verdict
from sim.scaling.interconnect import LINK_BYTES_PER_CYCLE, LINK_LATENCY_CYCLES, Interconnect
from sim.scaling.scaling import ScalingPoint, ScalingResult
from workloads.output_files import OutputSet, check_output

CSV_OPTION = "--csv"
FLOAT_FORMAT = "%.9g"
MACHINE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#8C6D31")
COMPUTE_COLOR, EXPOSED_COLOR, IDEAL_COLOR = "#009988", "#CC3311", "#999999"
# Of each column its unit, its meaning, and whether the page shows it at first.
COLUMNS: dict[str, tuple[str, str, bool]] = {
    "machine": ("", "Machine of the run, of which every chip is one.", True),
    "chips": ("", "Chips that train together.", True),
    "batch": ("images", "Images of all chips: each has the batch of the run.", True),
    "compute_cycles": ("cycles", "Of one chip's iteration, without sums of gradients.", False),
    "exposed_cycles": ("cycles", "Behind the end of compute, until the last sum of gradients has arrived.", True),
    "iteration_cycles": ("cycles", "Of the iteration on all chips.", True),
    "reduction_cycles": ("cycles", "For which the busiest link is held.", False),
    "gradient_bytes": ("bytes", "Gradients of one chip's parameters.", False),
    "sent_bytes": ("bytes", "Over the busiest link, in one direction.", False),
    "images_per_second": ("1/s", "Images of all chips over the time of the iteration.", True),
    "speedup": ("", "Images per second over those of one chip.", True),
    "efficiency": ("fraction", "Speed-up over chips: 1 where sums of gradients cost nothing.", True),
}
NOT_MODELLED = (
    "The links have neither energy nor area, and take no bandwidth of the DRAM.",
    "All chips are alike: none waits for another whose share of the batch takes longer.",
    "The update of the weights takes no time, as on one chip, and an iteration begins when the one before has ended.",
    "A tree hands a layer's gradients on as a whole; it does not cut them into parts that follow one another.",
    "Sums are exact in any order: their number format, and the batch's effect on training, are not studied.",
)


def describe_links(interconnect: Interconnect) -> str:
    """Say what joins the chips, and what of it is assumed."""
    default = (interconnect.bytes_per_cycle, interconnect.latency_cycles) == (LINK_BYTES_PER_CYCLE, LINK_LATENCY_CYCLES)
    return (
        f"{interconnect.topology} of links of {interconnect.bytes_per_cycle:g} bytes a cycle and direction, latency "
        f"{interconnect.latency_cycles:,} cycles{' (assumed)' if default else ''}"
    )


def make_scaling_grid(found: ScalingResult) -> Grid:
    """Tabulate the points for a terminal."""
    columns = [
        Column("machine", Kind.NAME), Column("chips"), Column("batch", rank=3), Column("iteration\ncycles"),
        Column("exposed\ncycles", rank=1), Column("link busy\ncycles", rank=5), Column("sent\nbytes", rank=6),
        Column("images/s", rank=2), Column("speed-up"), Column("efficiency"),
    ]  # fmt: skip
    grid = Grid(columns, f"Chips in a {describe_links(found.interconnect)}; {found.gradients} gradients")
    previous = found.points[0].machine
    for point in found.points:
        grid.add(
            [
                point.machine, f"{point.chips}", f"{point.batch:,d}", f"{point.iteration_cycles:,d}",
                f"{point.exposed_cycles:,d}", f"{point.reduction_cycles:,d}", f"{point.sent_bytes:,d}",
                write_rate(point.images_per_second), f"{point.speedup:.2f}x", f"{point.efficiency:.2%}",
            ],
            begins=point.machine != previous,
        )  # fmt: skip
        previous = point.machine
    return grid


def write_rate(images: float) -> str:
    """Write images per second with about four digits."""
    return f"{images:,.0f}" if images >= 1000 else f"{images:.4g}"


def group_points(found: ScalingResult) -> dict[str, list[ScalingPoint]]:
    """Give the points of each machine."""
    groups: dict[str, list[ScalingPoint]] = {}
    for point in found.points:
        groups.setdefault(point.machine, []).append(point)
    return groups


def plot_speedup(found: ScalingResult) -> go.Figure:
    """Draw the speed-up over chips, beside one that loses nothing."""
    figure = plain_figure("How much faster do more chips train?", "chips", "speed-up over one chip")
    figure.update_xaxes(type="log", tickmode="array", **_tick_chips(found))
    figure.update_yaxes(type="log", tickmode="array", **_tick_chips(found))
    chips = sorted({point.chips for point in found.points})
    figure.add_scatter(
        x=chips, y=chips, name="without sums", mode="lines", line={"color": IDEAL_COLOR, "dash": "dot"},
        hovertemplate="%{x} chips<br>without sums <b>%{y}x</b><extra></extra>",
    )  # fmt: skip
    for number, (machine, points) in enumerate(group_points(found).items()):
        _add_line(figure, number, machine, points, [point.speedup for point in points], "speed-up", "{:.9g}x")
    return figure


def plot_efficiency(found: ScalingResult) -> go.Figure:
    """Draw the scaling efficiency over chips."""
    figure = plain_figure("What share of the chips' speed is left?", "chips", "efficiency")
    figure.update_xaxes(type="log", tickmode="array", **_tick_chips(found))
    figure.update_yaxes(tickformat=".0%", range=[0, 1.05])
    for number, (machine, points) in enumerate(group_points(found).items()):
        _add_line(figure, number, machine, points, [point.efficiency for point in points], "efficiency", "{:.9g}")
    return figure


def plot_iteration(found: ScalingResult) -> go.Figure:
    """Draw the cycles of an iteration: compute, and sums of gradients that are not hidden behind it."""
    figure = plain_figure("What does an iteration wait for?", "chips", "cycles")
    figure.update_layout(barmode="stack", bargap=0.2)
    figure.update_xaxes(type="category")
    parts = (("compute", COMPUTE_COLOR, "compute_cycles"), ("sums not hidden", EXPOSED_COLOR, "exposed_cycles"))
    for number, (machine, points) in enumerate(group_points(found).items()):
        for words, color, column in parts:
            values = [getattr(point, column) for point in points]
            figure.add_bar(
                x=[str(point.chips) for point in points], y=values, offsetgroup=str(number),
                name=f"{words}, {escape(machine)}", text=[f"{value:,d}" for value in values], textposition="none",
                marker={"color": color, "pattern": {"shape": pattern_of(number % len(MACHINE_PATTERNS))}},
                hovertemplate=f"%{{x}} chips<br>{escape(machine)}<br>{words} <b>%{{text}}</b> cycles<extra></extra>",
            )  # fmt: skip
    return figure


def _add_line(
    figure: go.Figure, number: int, machine: str, points: list[ScalingPoint], values: list[float], words: str, form: str
) -> None:
    color = MACHINE_COLORS[number % len(MACHINE_COLORS)]
    figure.add_scatter(
        x=[point.chips for point in points], y=values, name=escape(machine), mode="lines+markers",
        line={"color": color}, marker={"color": color, "symbol": symbol_of(number), "size": 9},
        text=[form.format(value) for value in values],
        hovertemplate=f"%{{x}} chips<br>{escape(machine)}<br>{words} <b>%{{text}}</b><extra></extra>",
    )  # fmt: skip


def _tick_chips(found: ScalingResult) -> dict[str, Any]:
    chips = sorted({point.chips for point in found.points})
    return {"tickvals": chips, "ticktext": [str(count) for count in chips]}


def build_scaling_page(run: Run, found: ScalingResult) -> str:
    """Build the page of how a run scales."""
    figures = {"speedup": plot_speedup(found), "efficiency": plot_efficiency(found), "iteration": plot_iteration(found)}
    captions = {
        "speedup": "Each chip has the batch of the run, so that the whole batch grows with the chips.",
        "efficiency": "Speed-up over chips. A machine that computes faster has less time to hide its sums behind.",
        "iteration": "Sums of gradients run beside the backward pass; what is left behind its end is what they cost.",
    }
    boxes = "".join(
        chart_box(name, unescape(str(figure.layout.title.text)), captions[name], is_wide=name == "iteration")
        for name, figure in figures.items()
    )
    table, tables = make_points_table(found, run)
    title = f"Scaling of {run.title}"
    first = found.points[0]
    header = (
        f"<h1>{escape(title)}</h1><p>Data parallel training in a {escape(describe_links(found.interconnect))}; "
        f"{found.gradients} gradients of {first.gradient_bytes:,d} bytes on {escape(first.machine)}.</p>"
        f'<p class="soft">{escape(str(run.record["operand_source"]))}; {write_verdict(run)}.</p>'
    )
    limits = "".join(f"<li>{escape(words)}</li>" for words in NOT_MODELLED)
    parts = [
        ("charts", "Charts", f'<div class="charts">{boxes}</div>'),
        ("points", "All points", table),
        ("layers", "Gradients by layer", write_layers(found)),
        ("limits", "What is not modelled", f'<div class="panel"><ul>{limits}</ul></div>'),
    ]
    return build_page(title, header, parts, figures, tables=tables)


def make_points_table(found: ScalingResult, run: Run) -> tuple[str, dict[str, Any]]:
    """Make the box of all points, and what the page's script fills it with."""
    columns = [
        {"name": name, "unit": unit, "meaning": meaning, "isWord": name == "machine", "isShown": is_shown}
        for name, (unit, meaning, is_shown) in COLUMNS.items()
    ]
    box = table_box("points", "All points", {"Machine": "machine"}, "scaling.csv", "dense")
    return box, {"points": {"csv": write_csv(found), "columns": columns, "file": f"{run.workload}-scaling.csv"}}


def write_layers(found: ScalingResult) -> str:
    """Tabulate when each layer's gradients are complete on one chip, and how many bytes they are."""
    parts = []
    for share in found.shares:
        rows, done = [], 0
        for phase in share.phases:
            done += phase.cycles
            if phase.gradient_bytes:
                rows.append([phase.layer, phase.kind, done, phase.gradient_bytes])
        columns = ["layer", "kind", "complete at cycle", "gradient bytes"]
        parts.append(
            f"<details><summary>{escape(share.machine)}, {share.cycles:,d} cycles</summary>"
            f"{write_table(columns, rows)}</details>"
        )
    return f'<div class="panel">{"".join(parts)}</div>'


def write_csv(found: ScalingResult) -> str:
    """Write the points as text."""
    names = [field.name for field in fields(ScalingPoint)]
    text: str = found.frame[names].to_csv(index=False, float_format=FLOAT_FORMAT, lineterminator="\n")
    return text


def write_table_file(path: Path, found: ScalingResult) -> None:
    """Write the points as a CSV file, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    with OutputSet() as outputs:
        outputs.write(check_output(path, CSV_OPTION), lambda partial: _write_text(partial, write_csv(found)))
        outputs.commit()


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
