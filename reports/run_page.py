"""The page of one run."""

from __future__ import annotations

from html import unescape

import plotly.graph_objects as go

from reports.page import build_page, chart_box
from reports.run_files import Run
from reports.run_parts import (
    make_charts,
    make_steps_table,
    write_configuration,
    write_header,
    write_headline,
    write_limits,
)


def build_run_page(run: Run, timeline: tuple[go.Figure, str] | None = None) -> str:
    """Build the page of a run.

    Args:
        timeline: A figure of events and its caption.
    """
    charts, figures = make_charts(run)
    table, tables = make_steps_table(run)
    parts = [("charts", "Charts", charts)]
    if timeline is not None:
        figure, caption = timeline
        figures["timeline"] = figure
        parts.append(
            (
                "timeline",
                "Timeline",
                chart_box("timeline", unescape(str(figure.layout.title.text)), caption, is_wide=True),
            )
        )
    parts += [
        ("steps", "All steps", table),
        ("limits", "What is not modelled", write_limits(run)),
        ("configuration", "Configuration and sources", write_configuration(run)),
    ]
    return build_page(run.title, write_header(run) + write_headline(run), parts, figures, tables=tables)
