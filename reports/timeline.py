"""A small timeline of a page: the first events of a trace file's window, as bars on the tracks of the units."""

from __future__ import annotations

import gzip
import json
import zlib
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from reports.layer_bars import plain_figure
from reports.palette import STATE_COLORS
from sim.trace_file import LANES, Window
from workloads.errors import InputError

MOST_SLICES = 3000
SHOWN_LANES = 4
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


def read_trace(path: Path) -> dict[str, Any]:
    """Read a trace file.

    Raises:
        InputError: it is cut short, not of the format, or holds fewer events than were written.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            trace = json.load(file)
    except (EOFError, zlib.error, gzip.BadGzipFile, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not a whole trace of 'sparsetrain simulate --trace' ({error})") from None
    if not isinstance(trace, dict) or "slices" not in trace.get("otherData", {}):
        raise InputError(f"{path}: is not a trace of 'sparsetrain simulate --trace'")
    found = sum(event["ph"] == "X" for event in trace["traceEvents"])
    if found != trace["otherData"]["slices"]:
        raise InputError(f"{path}: holds {found} slices, but {trace['otherData']['slices']} were written")
    return trace


def plot_timeline(trace: dict[str, Any], window: Window) -> tuple[go.Figure, str]:
    """Draw what the units did in a window, and say in a sentence what is shown.

    Of groups, PPUs and ports the first four lanes are drawn; where the window holds too many slices, its first part.
    """
    slices, is_cut = choose_slices(trace, window)
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
    cut = f" (its first {MOST_SLICES:,} slices)" if is_cut else ""
    return figure, (
        f"{trace['otherData']['machine']}, cycles {first:,} to {last:,} of {trace['otherData']['cycles']:,}{cut}: "
        f"{len(slices):,} slices on {len(order)} tracks, of groups, PPUs and ports only the first {SHOWN_LANES}. "
        "The whole trace opens in Perfetto."
    )


def choose_slices(trace: dict[str, Any], window: Window) -> tuple[pd.DataFrame, bool]:
    """Tabulate the slices to draw: pid, tid, track, name, ts, dur, words; and whether some were left out."""
    threads = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in trace["traceEvents"]
        if event["ph"] == "M" and event["name"] == "thread_name"
    }
    rows = [
        (event["pid"], event["tid"], threads[event["pid"], event["tid"]], event["name"], event["ts"], event["dur"],
         describe_arguments(event.get("args", {})))
        for event in trace["traceEvents"]
        if event["ph"] == "X" and event["name"] in ACTION_COLORS
        and event["tid"] % LANES <= SHOWN_LANES and event["dur"] > 0
        and event["ts"] + event["dur"] >= window.start and (window.end is None or event["ts"] < window.end)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["pid", "tid", "track", "name", "ts", "dur", "words"]).sort_values("ts")
    return frame.head(MOST_SLICES), len(frame) > MOST_SLICES


def describe_arguments(arguments: dict[str, Any]) -> str:
    """Write a slice's arguments for its hover text."""
    return escape(", ".join(f"{name} {value}" for name, value in arguments.items()))
