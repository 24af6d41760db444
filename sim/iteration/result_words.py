"""What a run found, as an interpreter shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workloads.recomputation import RECOMPUTE

if TYPE_CHECKING:
    from sim.iteration.run_result import RunResult

SCOPE_WORDS = {"convolutions": "convolutions", "network": "whole network"}
SHOWN_BASELINES = 4


def describe_result(result: RunResult) -> str:
    """Describe a result in a few lines: workload, machines, verdict, totals, and where the rest is."""
    machine, *others = [one.name for one in result.machines]
    beside = f", beside {', '.join(others[:SHOWN_BASELINES])}" if others else ""
    if len(others) > SHOWN_BASELINES:
        beside += f" and {len(others) - SHOWN_BASELINES} more"
    compared = sum(step.verdict != "none" and step.step != RECOMPUTE for step in result.steps)
    lines = [f"<RunResult: {result.workload.name} on {machine}{beside}"]
    if result.failures:
        lines.append(f"  FAILED: {len(result.failures)} of {compared} outputs differ from the reference (.failures)")
    else:
        lines.append(f"  verified: {compared} outputs" if compared else "  not verified: no values were compared")
    if result.record["sampling"] is not None:
        lines.append("  sampled: figures are estimates (.record['sampling'] has their intervals)")
    lines += [describe_total(result, scope, others[:1]) for scope in SCOPE_WORDS]
    where = "" if result.directory is None else f"; in {result.directory}"
    return "\n".join([*lines, f"  {len(result.steps)} rows in .frame, totals in .totals{where}>"])


def describe_total(result: RunResult, scope: str, others: list[str]) -> str:
    """Describe the total cycles and energy of the first machine, and its gains over the first baseline."""
    totals: dict[str, Any] = result.totals["machines"][result.machines[0].name][scope]
    words = [f"{totals['cycles']:,} cycles"]
    if totals["energy_pj"] is not None:
        words.append(f"{totals['energy_pj'] / 1e6:,.2f} uJ")
    for other in others:
        ratios = result.totals["ratios"][other][scope]
        if ratios["speedup"] is not None:
            words.append(f"speed-up {ratios['speedup']:.2f}x")
        if ratios["energy_ratio"] is not None:
            words.append(f"energy ratio {ratios['energy_ratio']:.2f}x")
    return f"  {SCOPE_WORDS[scope]}: {', '.join(words)}"
