"""The table that closes a run: cycles, gains and bounds of each step, as many columns as there is room for."""

from __future__ import annotations

from typing import Any

from reports.fitted_tables import Column, Grid, Kind
from reports.sampled_words import write_width
from reports.tables import format_ratio, format_share
from reports.update_words import WITH_UPDATE_WORDS, has_update
from sim.iteration.run_result import RunResult
from sim.results.rows import StepResult
from sim.results.totals import WITH_UPDATE
from workloads.recomputation import RECOMPUTE
from workloads.row_kinds import COMPUTE_KINDS, CONVOLUTION_KINDS
from workloads.updates import UPDATE

VERDICT_WORDS = {"exact": "equal", "tolerance": "close", "failed": "FAILED", "none": "-"}
STATES = {
    "busy_cycles": "busy",
    "wait_operands_cycles": "ports",
    "wait_dram_cycles": "DRAM",
    "wait_ppu_cycles": "PPU",
    "idle_cycles": "idle",
}
SCOPE_WORDS = {"convolutions": "convolutions", "network": "whole network"}


def make_steps_grid(result: RunResult) -> Grid:
    """Tabulate cycles and energy of each layer and step beside the first baseline's, and where the groups' time went.

    Shares of busy and waiting are those of the groups' cycles; imbalance and overhead are shares of the PEs' busy time.
    """
    machine = result.machines[0].name
    other = result.machines[1].name if len(result.machines) > 1 else None
    grid = Grid(list_columns(result), f"{result.workload.name} on {machine}" + (f", beside {other}" if other else ""))
    rows: dict[tuple[str, str], dict[str, StepResult]] = {}
    for step in result.steps:
        rows.setdefault((step.layer, step.step), {})[step.machine] = step
    previous, before = "", ""
    for (layer, step_name), by_machine in rows.items():
        if machine not in by_machine:
            continue
        kind = by_machine[machine].kind
        part = find_part(kind, step_name)
        cells = [layer if layer != previous else "", step_name, *list_cells(result, by_machine)]
        grid.add(cells, begins=part not in ("layer", before))
        previous, before = layer, part
    has_convolutions = any(step.kind in CONVOLUTION_KINDS for step in result.steps)
    for scope in SCOPE_WORDS if has_convolutions else ("network",):
        grid.add([SCOPE_WORDS[scope], "", *list_total_cells(result, scope)], begins=True, bold=True)
    if has_update(result.record):
        grid.add([WITH_UPDATE_WORDS, "", *list_total_cells(result, WITH_UPDATE)], begins=True)
    return grid


def find_part(kind: str, step: str) -> str:
    """Name the part of the table that a row stands in."""
    if step in (RECOMPUTE, UPDATE):
        return step
    return "layer" if kind in COMPUTE_KINDS else "pass"


def has_energy(result: RunResult) -> bool:
    """Tell whether any step has an energy."""
    return any(step.energy_pj is not None for step in result.steps)


def is_sampled(result: RunResult) -> bool:
    """Tell whether a run's figures are estimates."""
    return result.record["sampling"] is not None


def list_columns(result: RunResult) -> list[Column]:
    """List the columns; a verdict that failed is left out last."""
    columns = [Column("layer", Kind.NAME), Column("step", Kind.WORD), Column("cycles")]
    if is_sampled(result):
        columns.append(Column("±95%", rank=1))
    if len(result.machines) > 1:
        columns.append(Column("baseline\ncycles", rank=11))
        columns.append(Column("speed-\nup", rank=2, words="speed-up"))
        if has_energy(result):
            columns.append(Column("energy\nratio", rank=3))
    columns += [Column("MACs\nleft", rank=4), Column("most of\nthe time", Kind.WORD, rank=5)]
    for words in STATES.values():
        columns.append(Column(words if words in ("busy", "idle") else f"wait\n{words}", rank=12))
    columns.append(Column("imba-\nlance", rank=13, words="imbalance"))
    columns.append(Column("over-\nhead", rank=13, words="overhead"))
    return [*columns, Column("check", Kind.WORD, rank=10 if result.is_correct else 1)]


def list_cells(result: RunResult, by_machine: dict[str, StepResult]) -> list[str]:
    """Write what stands behind layer and step of a row."""
    machine = result.machines[0]
    first = by_machine[machine.name]
    is_pass = first.kind not in COMPUTE_KINDS
    cells = [f"{first.cycles:,}"]
    if is_sampled(result):
        cells.append(write_width(None if is_pass else first.cycles_ci95, first.cycles, first.sampled_fraction))
    if len(result.machines) > 1:
        cells += compare_cells(first, by_machine.get(result.machines[1].name), has_energy(result))
    spent = {name: getattr(first, name) for name in (*STATES, "pe_imbalance_cycles", "overhead_cycles")}
    cells.append(format_share(first.effectual_macs, first.dense_macs))
    cells += attribution_cells(spent, machine.array.pes_per_group, is_pass=is_pass)
    return [*cells, write_verdict(list(by_machine.values()))]


def compare_cells(first: StepResult, other: StepResult | None, with_energy: bool) -> list[str]:
    """Write a baseline's cycles, the speed-up over it, and the energy ratio."""
    if other is None:
        return ["-"] * (3 if with_energy else 2)
    cells = [f"{other.cycles:,}", format_ratio(other.cycles, first.cycles)]
    return [*cells, format_ratio(other.energy_pj, first.energy_pj)] if with_energy else cells


def attribution_cells(spent: dict[str, int], pes: int, *, is_pass: bool = False) -> list[str]:
    """Write what took most of the groups' time, and the shares of that time and of the PEs'."""
    whole = sum(spent[name] for name in STATES)
    pe_cycles = spent["busy_cycles"] * pes
    return [
        tell_most(spent, is_pass=is_pass),
        *(format_share(spent[name], whole) for name in STATES),
        format_share(spent["pe_imbalance_cycles"], pe_cycles),
        format_share(spent["overhead_cycles"], pe_cycles),
    ]


def tell_most(spent: dict[str, int], *, is_pass: bool) -> str:
    """Name the state that took the largest share of the groups' time; in a pass, idle groups wait for their PPUs."""
    whole = sum(spent[name] for name in STATES)
    if not whole:
        return "-"
    most = max(STATES, key=lambda name: spent[name])
    words = "PPU" if is_pass and most == "idle_cycles" else STATES[most]
    return f"{words} {spent[most] / whole:.0%}"


def write_verdict(steps: list[StepResult]) -> str:
    """Write the worst verdict of a row's machines; a pass has none."""
    if all(step.kind not in COMPUTE_KINDS for step in steps):
        return ""
    verdicts = [VERDICT_WORDS[step.verdict] for step in steps]
    return "FAILED" if "FAILED" in verdicts else verdicts[0]


def list_total_cells(result: RunResult, scope: str) -> list[str]:
    """Write a row of totals of the first machine, beside the first baseline's."""
    machine = result.machines[0]
    totals: dict[str, Any] = result.totals["machines"][machine.name][scope]
    cells = [f"{totals['cycles']:,}"]
    if is_sampled(result):
        found = result.record["sampling"]["machines"][machine.name]
        # What an update takes is exact.
        width = found["network" if scope == WITH_UPDATE else scope]["cycles_ci95"]
        cells.append(write_width(width, totals["cycles"], found["sampled_fraction"]))
    if len(result.machines) > 1:
        other = result.machines[1].name
        ratios = result.totals["ratios"][other][scope]
        cells += [f"{result.totals['machines'][other][scope]['cycles']:,}", format_ratio(ratios["speedup"], 1)]
        if has_energy(result):
            cells.append(format_ratio(ratios["energy_ratio"], 1))
    cells.append(format_share(totals["effectual_macs"], totals["dense_macs"]))
    return [*cells, *attribution_cells(totals, machine.array.pes_per_group), ""]
