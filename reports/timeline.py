"""A small timeline of a page: the first events of a trace file's window, as bars on the tracks of the units."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go

from reports.layer_bars import plain_figure
from reports.palette import STATE_COLORS
from reports.run_files import Run
from reports.trace_reading import MOST_SLICES, SHOWN_LANES, Excerpt, read_excerpt
from sim.results.stored_file import name_file
from sim.results.trace_file import WHOLE, Window
from workloads.errors import InputError

ACTION_COLORS = {
    "busy": STATE_COLORS["busy_cycles"],
    "waiting for operands": STATE_COLORS["wait_operands_cycles"],
    "waiting for DRAM": STATE_COLORS["wait_dram_cycles"],
    "stalled by the PPU": STATE_COLORS["wait_ppu_cycles"],
    "idle": STATE_COLORS["idle_cycles"],
    "process": "#999933",
    "operands": "#CC6677",
    "PPU transfer": "#882255",
    "load": "#AA4499",
    "write-back": "#4B3FA0",
}


def read_timeline(path: Path, window: Window = WHOLE, run: Run | None = None) -> Excerpt:
    """Read the slices that a timeline draws.

    Args:
        run: The one that must have been traced.

    Raises:
        InputError: it is no whole trace, or is another run's.
    """
    excerpt = read_excerpt(path, window, frozenset(ACTION_COLORS))
    if run is not None:
        own = (run.machine, run.traced_cycles)
        given = (excerpt.about.machine, excerpt.about.cycles)
        if own != given:
            raise InputError(
                f"{name_file(path)}: is the trace of another run: of {given[0]} with {given[1]:,} cycles, and "
                f"{run.path} is of {own[0]} with {own[1]:,}"
            )
    return excerpt


def plot_timeline(excerpt: Excerpt, window: Window) -> tuple[go.Figure, str]:
    """Draw what the units did in a window, and say in a sentence what is shown.

    Of groups, PPUs and ports the first four lanes are drawn; where the window holds too many slices, its first part.
    """
    slices = excerpt.slices
    figure = plain_figure("What do the units do at one time?", "cycle of the iteration", "")
    order = list(dict.fromkeys(slices.sort_values(["pid", "tid"])["track"]))
    for action, color in ACTION_COLORS.items():
        rows = slices[slices["name"] == action]
        if rows.empty:
            continue
        figure.add_bar(
            orientation="h",
            base=rows["ts"].tolist(),
            x=rows["dur"].tolist(),
            y=rows["track"].tolist(),
            name=action,
            marker={"color": color, "line": {"width": 0}},
            text=rows["words"].tolist(),
            textposition="none",
            meta={"part": action},
            hovertemplate="%{y}: " + action + "<br>cycle %{base} for <b>%{x}</b> cycles<br>%{text}<extra></extra>",
        )
    figure.update_layout(barmode="overlay", bargap=0.25, meta={"height": 150 + 26 * len(order), "min_width": 640})
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=order, autorange="reversed")
    figure.update_xaxes(exponentformat="none", separatethousands=True)
    if window.end is not None:
        figure.update_xaxes(range=[window.start, window.end])
    first, last = (int(slices["ts"].min()), int((slices["ts"] + slices["dur"]).max())) if len(slices) else (0, 0)
    return figure, (
        f"{excerpt.about.machine}, cycles {first:,} to {last:,} of {excerpt.about.cycles:,}: {len(slices):,} slices on "
        f"{len(order)} tracks, of groups, PPUs and ports only the first {SHOWN_LANES}. {tell_left_out(excerpt)}"
    )


def tell_left_out(excerpt: Excerpt) -> str:
    """Say what a timeline does not draw, and what its file does not hold."""
    parts = [
        f"{count:,} {words}"
        for count, words in (
            (excerpt.outside, "outside its window"),
            (excerpt.undrawn, "on other tracks or of no length"),
            (excerpt.behind, f"after the first {MOST_SLICES:,}"),
        )
        if count
    ]
    drawn = f"Slices of the trace that are not drawn: {', '.join(parts)}. " if parts else ""
    missing = excerpt.about.left_out
    held = f"The trace itself leaves out {missing:,} that lie outside the window it was made for. " if missing else ""
    return f"{drawn}{held}The whole trace opens in Perfetto."
