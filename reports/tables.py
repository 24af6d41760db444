"""Tables for the terminal, made from result records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from reports.sampled_words import describe_sampling, write_width
from sim.results import StepResult
from sim.run import RunResult
from sim.technology_listing import TechnologyRow

VERDICT_WORDS = {"exact": "equal", "tolerance": "close", "failed": "FAILED", "none": "-"}
WAITS = (
    ("wait_operands_cycles", "ports"),
    ("wait_dram_cycles", "DRAM"),
    ("wait_ppu_cycles", "PPU"),
    ("idle_cycles", "idle"),
)


def format_ratio(numerator: float | None, denominator: float | None) -> str:
    """Write a ratio; a dash where there is nothing to divide."""
    return f"{numerator / denominator:.2f}x" if numerator is not None and denominator else "-"


def format_share(part: float, whole: float) -> str:
    """Write a share in percent; a dash where there is nothing to divide."""
    return f"{part / whole:.0%}" if whole else "-"


def make_steps_table(result: RunResult) -> Table:
    """Tabulate cycles and energy of each layer and step beside the first baseline's, and where the groups' time went.

    Shares of busy and waiting are those of the groups' cycles; imbalance and overhead are shares of the PEs' busy time.
    """
    machine, others = result.machines[0].name, [other.name for other in result.machines[1:2]]
    has_energy = any(step.energy_pj is not None for step in result.steps)
    table = Table(
        title=f"{result.workload.name} on {machine}", title_justify="left", header_style="bold", pad_edge=False,
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), collapse_padding=True,
    )  # fmt: skip
    is_sampled = result.record["sampling"] is not None
    columns = ["layer", "step", f"cycles\n{machine}", *(["\n±95%"] if is_sampled else [])]
    for other in others:
        columns += [f"cycles\n{other}", "speed-\nup"] + (["energy\nratio"] if has_energy else [])
    columns += ["MACs\nleft", "\nbusy", *(f"wait\n{words}" if words != "idle" else "\nidle" for _, words in WAITS)]
    for number, words in enumerate([*columns, "imba-\nlance", "over-\nhead", "\ncheck"]):
        table.add_column(words, justify="left" if number < 2 or "check" in words else "right", no_wrap=True)
    pes = result.machines[0].array.pes_per_group
    rows: dict[tuple[str, str], dict[str, StepResult]] = {}
    for step in result.steps:
        rows.setdefault((step.layer, step.step), {})[step.machine] = step
    previous, is_pass = "", False
    for (layer, step_name), by_machine in rows.items():
        if machine not in by_machine:
            continue
        first = by_machine[machine]
        if first.tasks == 0 and not is_pass:
            is_pass = True
            table.add_section()
        cells = [layer if layer != previous else "", step_name, f"{first.cycles:,}"]
        width = None if first.tasks == 0 else first.cycles_ci95
        cells += [write_width(width, first.cycles, first.sampled_fraction)] if is_sampled else []
        for other in others:
            cells += compare_cells(first, by_machine.get(other), has_energy)
        cells += attribution_cells(first, pes)
        table.add_row(*[Text(cell) for cell in cells], verdict_text(list(by_machine.values())))
        previous = layer
    for scope, words in (("convolutions", "convolutions"), ("network", "whole network")):
        words_of_width = None
        if is_sampled:
            found = result.record["sampling"]["machines"][machine]
            cycles = result.totals["machines"][machine][scope]["cycles"]
            words_of_width = write_width(found[scope]["cycles_ci95"], cycles, found["sampled_fraction"])
        add_total_row(table, words, scope, result.totals, machine, others, has_energy, words_of_width)
    return table


def compare_cells(first: StepResult, other: StepResult | None, has_energy: bool) -> list[str]:
    """Write a baseline's cycles, the speed-up over it, and the energy ratio."""
    if other is None:
        return ["-"] * (3 if has_energy else 2)
    cells = [f"{other.cycles:,}", format_ratio(other.cycles, first.cycles)]
    return [*cells, format_ratio(other.energy_pj, first.energy_pj)] if has_energy else cells


def attribution_cells(step: StepResult, pes: int) -> list[str]:
    """Write the share of MACs left, and where the groups' and the PEs' time went."""
    group_cycles = step.busy_cycles + step.idle_cycles
    group_cycles += step.wait_operands_cycles + step.wait_dram_cycles + step.wait_ppu_cycles
    pe_cycles = step.busy_cycles * pes
    return [
        format_share(step.effectual_macs, step.dense_macs),
        format_share(step.busy_cycles, group_cycles),
        *(format_share(getattr(step, name), group_cycles) for name, _ in WAITS),
        format_share(step.pe_imbalance_cycles, pe_cycles),
        format_share(step.overhead_cycles, pe_cycles),
    ]


def verdict_text(steps: list[StepResult]) -> Text:
    """Write the worst verdict of a row's machines; a pass has none."""
    if all(step.tasks == 0 for step in steps):
        return Text("")
    verdicts = [VERDICT_WORDS[step.verdict] for step in steps]
    return Text("FAILED", style="red") if "FAILED" in verdicts else Text(verdicts[0])


def add_total_row(
    table: Table, words: str, scope: str, totals: dict[str, Any], machine: str, others: list[str], has_energy: bool,
    width: str | None,
) -> None:  # fmt: skip
    """Add a row with the total cycles of every machine, and the ratios to the first; width: words of a sampled run."""
    cycles = totals["machines"][machine][scope]["cycles"]
    cells = [words, "", f"{cycles:,}", *([] if width is None else [width])]
    for other in others:
        ratios = totals["ratios"][other][scope]
        cells += [f"{totals['machines'][other][scope]['cycles']:,}", format_ratio(ratios["speedup"], 1)]
        if has_energy:
            cells.append(format_ratio(ratios["energy_ratio"], 1))
    table.add_section()
    table.add_row(*cells, style="bold")


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
    if totals["energy_pj"] is not None:
        lines.append(
            f"Energy: {totals['energy_pj'] / 1e6:,.2f} uJ on {machine.name}, of it leakage "
            f"{totals['leakage_pj'] / 1e6:,.2f} uJ and DRAM {totals['dram_pj'] / 1e6:,.2f} uJ "
            f"({machine.technology}; groups do not share reads: there is no multicast)."
        )
    for name, ratios in result.totals["ratios"].items():
        lines.append(f"Beside {name}: {describe_ratios(ratios)}.")
    compared = [step for step in result.steps if step.verdict != "none"]
    lines += describe_sampling(result.record)
    if not compared:
        why = "no values were computed" if result.record["sampling"] is None else "a sampled run computes no values"
        lines.append(f"Verdict: not verified; {why}.")
    elif result.is_correct:
        exact = sum(step.verdict == "exact" for step in compared)
        largest = max(step.max_abs_error or 0.0 for step in compared)
        lines.append(
            f"Verdict: verified; all {len(compared)} outputs are the reference's, {exact} of them exactly, "
            f"the others within the bound of float32 rounding (largest difference {largest:.2g})."
        )
    else:
        lines.append(f"Verdict: FAILED; {len(result.failures)} of {len(compared)} outputs differ from the reference.")
    described = result.record["machines"][machine.name]
    return lines + [f"Warning: {warning}." for warning in (described["warnings"] if described else ())]


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


def make_technology_table(rows: Sequence[TechnologyRow]) -> Table:
    """Tabulate a technology's figures with their sources."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for name in ("entry", "value", "unit", "node", "source", "scaling"):
        table.add_column(name, justify="right" if name == "value" else "left", overflow="fold")
    for row in rows:
        value = row.value if isinstance(row.value, str) else f"{row.value:.6g}"
        table.add_row(*[Text(cell) for cell in (row.entry, value, row.unit, row.node, row.source, row.scaling)])
    return table
