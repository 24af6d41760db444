"""Words of a run's end, and the table of a technology's figures."""

from __future__ import annotations

from collections.abc import Sequence

from reports.certainty import describe_certainty
from reports.dead_words import describe_dead
from reports.dram_words import describe_banks
from reports.fitted_tables import Column, Grid, Kind
from reports.memory_words import describe_memory
from reports.sampled_words import describe_sampling
from reports.update_words import describe_update
from reports.value_words import describe_values
from sim.iteration.run_result import RunResult
from sim.technology_listing import TechnologyRow
from workloads.recomputation import RECOMPUTE


def format_ratio(numerator: float | None, denominator: float | None) -> str:
    """Write a ratio; a dash where there is nothing to divide."""
    return f"{numerator / denominator:.2f}x" if numerator is not None and denominator else "-"


def format_share(part: float, whole: float) -> str:
    """Write a share in percent; a dash where there is nothing to divide."""
    return f"{part / whole:.0%}" if whole else "-"


def describe_run(result: RunResult) -> list[str]:
    """Say in sentences on which operands, at which clock and with what verdict a run ended."""
    machine = result.machines[0]
    totals = result.totals["machines"][machine.name]["network"]
    cycles = totals["cycles"]
    lines = [
        f"Operands: {result.operand_source}.",
        f"Clock: {machine.clock_mhz} MHz; the iteration's {cycles:,} cycles on {machine.name} "
        f"take {cycles / machine.clock_mhz / 1000:,.3f} ms.",
    ]
    lines += describe_memory(result.record, machine.name)
    if (banked := machine.describe_dram()) is not None:
        lines.append(describe_banks(banked))
    if totals["energy_pj"] is not None:
        lines.append(
            f"Energy: {totals['energy_pj'] / 1e6:,.2f} uJ on {machine.name}, of it leakage "
            f"{totals['leakage_pj'] / 1e6:,.2f} uJ and DRAM {totals['dram_pj'] / 1e6:,.2f} uJ "
            f"({machine.technology}; {machine.describe_reads()})."
        )
    dead = describe_dead(result.record, {step.layer for step in result.steps if step.tasks})
    for name, ratios in result.totals["ratios"].items():
        lines.append(f"Beside {name}{' (with dead layers)' if dead else ''}: {describe_ratios(ratios)}.")
    lines += describe_update(result.record, machine.name)
    lines += describe_certainty(result.record, machine.name)
    compared = [step for step in result.steps if step.verdict != "none" and step.step != RECOMPUTE]
    lines += describe_sampling(result.record)
    if not compared:
        why = "no values were computed" if result.record["sampling"] is None else "a sampled run computes no values"
        lines.append(f"Verdict: not verified{dead}; {why}.")
    elif result.is_correct:
        exact = sum(step.verdict == "exact" for step in compared)
        largest = max(step.max_abs_error or 0.0 for step in compared)
        lines.append(
            f"Verdict: verified{dead}; all {len(compared)} outputs are the reference's, {exact} of them exactly, "
            f"the others within the bound of float32 rounding (largest difference {largest:.2g})."
        )
    else:
        lines.append(f"Verdict: FAILED; {len(result.failures)} of {len(compared)} outputs differ from the reference.")
    lines += describe_values(
        result.record["architecture"], (row for row in result.steps if row.machine == machine.name)
    )
    described = result.record["machines"][machine.name]
    lines += [f"Warning: {warning}." for warning in (described["warnings"] if described else ())]
    return lines + [f"Notice: {notice}." for notice in result.notices]


def describe_ratios(ratios: dict[str, dict[str, float | None]]) -> str:
    """Say speed-up and energy ratios of convolutions alone and of the whole network; plainly where one is a loss."""
    words = []
    for scope, name in (("convolutions", "convolutions alone"), ("network", "whole network")):
        found = ratios[scope]
        if found["speedup"] is None:
            continue
        is_gain = all(ratio is None or ratio >= 1 for ratio in found.values())
        part = f"{name} {found['speedup']:.2f}x faster" if is_gain else f"{name} speed {found['speedup']:.2f}x"
        if found["energy_ratio"] is not None and found["dynamic_energy_ratio"] is not None:
            energy = (
                f"{found['energy_ratio']:.2f}x less energy" if is_gain else f"energy ratio {found['energy_ratio']:.2f}x"
            )
            part += f", {energy} ({found['dynamic_energy_ratio']:.2f}x without leakage)"
        words.append(part)
    return "; ".join(words)


def make_technology_grid(rows: Sequence[TechnologyRow]) -> Grid:
    """Tabulate a technology's figures with their sources."""
    names = ("entry", "value", "unit", "node", "source", "scaling")
    grid = Grid([Column(name, Kind.SENTENCE) for name in names])
    for row in rows:
        value = row.value if isinstance(row.value, str) else f"{row.value:.6g}"
        grid.add([row.entry, value, row.unit, row.node, row.source, row.scaling])
    return grid
