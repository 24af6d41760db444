"""How the reports tell what was sampled, and how far it may be off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def write_width(width: float | None, value: float | None, fraction: float) -> str:
    """Write half an interval as a share of its value; a dash where there is none, `exact` where all was simulated."""
    if width is None or not value:
        return "-"
    return "exact" if fraction == 1 and not width else f"±{width / value:.2%}"


def describe_sampling(record: Mapping[str, Any]) -> list[str]:
    """Say in sentences what was simulated and how wide the intervals are; nothing of a run that was not sampled."""
    sampling = record.get("sampling")
    if sampling is None:
        return []
    shares = ", ".join(
        f"{found['sampled_fraction']:.2%} on {machine}" for machine, found in sampling["machines"].items()
    )
    lines = [
        f"Sampled ({sampling['asked']}): {shares} of the tiles were simulated; all figures are estimates, "
        "± is the 95 % confidence interval."
    ]
    for machine, found in sampling["machines"].items():
        totals, share = record["totals"]["machines"][machine]["network"], found["sampled_fraction"]
        words = f"{totals['cycles']:,} {write_width(found['network']['cycles_ci95'], totals['cycles'], share)} cycles"
        if totals["energy_pj"] is not None:
            width = write_width(found["network"]["energy_ci95_pj"], totals["energy_pj"], share)
            words += f", {totals['energy_pj'] / 1e6:,.2f} uJ {width}"
        if (ratios := sampling["ratios"].get(machine)) is not None:
            ratio, width = record["totals"]["ratios"][machine]["network"]["speedup"], ratios["network"]["speedup_ci95"]
            if ratio is not None and width is not None:
                words += f"; speed-up over it {ratio:.3f} ±{width:.3f}"
        lines.append(f"Whole network on {machine}: {words}.")
    return lines
