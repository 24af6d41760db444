"""What the update of parameters adds to an iteration: in a row of a table, a sentence, and a panel of a page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from reports.page import write_table
from reports.quantities import write_energy, write_ratio
from sim.results.totals import WITH_UPDATE

WITH_UPDATE_WORDS = "with update"


def has_update(record: Mapping[str, Any]) -> bool:
    """Tell whether rows of a run are updates."""
    return any(WITH_UPDATE in totals for totals in record["totals"]["machines"].values())


def describe_update(record: Mapping[str, Any], machine: str) -> list[str]:
    """Say what the update adds to a machine's iteration, and what is left of its gains; nothing where there is none."""
    if not has_update(record):
        return []
    totals = record["totals"]["machines"][machine]
    without, whole = totals["network"], totals[WITH_UPDATE]
    cycles = whole["cycles"] - without["cycles"]
    words = (
        f"Weight update ({record['workload']['update']}): {cycles:,} cycles that no total above has; with it the "
        f"iteration takes {whole['cycles']:,}"
    )
    if whole["energy_pj"] is not None:
        words += f" and {whole['energy_pj'] / 1e6:,.2f} uJ"
    for name, ratios in record["totals"]["ratios"].items():
        found = ratios[WITH_UPDATE]
        if found["speedup"] is not None:
            words += f", {found['speedup']:.2f}x faster than {name}"
        if found["energy_ratio"] is not None:
            words += f" (energy ratio {found['energy_ratio']:.2f}x)"
    return [f"{words}."]


def write_update(record: Mapping[str, Any]) -> str:
    """Tabulate cycles and energy of every machine without and with the update; nothing where there is none."""
    if not has_update(record):
        return ""
    ratios, rows = record["totals"]["ratios"], []
    for machine, totals in record["totals"]["machines"].items():
        without, whole, found = totals["network"], totals[WITH_UPDATE], ratios.get(machine, {}).get(WITH_UPDATE, {})
        energies = [one["energy_pj"] for one in (without, whole)]
        rows.append([
            machine, without["cycles"], whole["cycles"], write_ratio(found.get("speedup")),
            *("-" if energy is None else write_energy(energy) for energy in energies),
            write_ratio(found.get("energy_ratio")),
        ])  # fmt: skip
    columns = [
        "machine", "cycles", "cycles with update", "speed-up over it, with update", "energy", "energy with update",
        "energy ratio, with update",
    ]  # fmt: skip
    return (
        f'<div class="panel"><h3>What does the weight update ({escape(str(record["workload"]["update"]))}) add?</h3>'
        f"{write_table(columns, rows, long=['machine'])}</div>"
    )
