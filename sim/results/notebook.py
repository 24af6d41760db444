"""How results show themselves in a notebook: a compact table, its words escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COMPACT_COLUMNS = {
    "layer": "layer",
    "step": "step",
    "machine": "machine",
    "cycles": "cycles",
    "pe_utilization": "utilisation",
    "effectual_macs": "effectual MACs",
    "energy_pj": "energy (pJ)",
    "verdict": "verdict",
}
ROWS = 30


def make_compact_html(frame: pd.DataFrame, title: str) -> str:
    """Write the main columns of the first rows; the whole is the frame itself."""
    shown = frame[list(COMPACT_COLUMNS)].rename(columns=COMPACT_COLUMNS).head(ROWS)
    formats = {"utilisation": "{:.1%}".format, "energy (pJ)": "{:,.6g}".format}
    counts = dict.fromkeys(("cycles", "effectual MACs"), "{:,d}".format)
    table = shown.to_html(index=False, border=0, escape=True, na_rep="-", formatters={**formats, **counts})
    more = f"<p>{len(frame) - ROWS} more rows</p>" if len(frame) > ROWS else ""
    return f"<p><b>{escape(title)}</b></p>{table}{more}"
