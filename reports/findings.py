"""What a run's charts show, said in sentences: the captions under them and the text for those who cannot see them."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from reports.figures import pair_steps
from reports.layer_bars import PASSES, name_places
from reports.palette import COMPONENT_WORDS, DENSITY_MARKS, STATE_WORDS
from reports.quantities import write_energy, write_percent
from reports.run_files import COMPUTE_KINDS, Run, find_architecture, find_bandwidth
from workloads.fusion import FUSED
from workloads.recomputation import RECOMPUTE
from workloads.updates import UPDATE

PASSES_WORDS = "the elementwise passes together"


def tell_cycles(run: Run) -> str:
    """Say which layer and which steps take most cycles."""
    totals = run.totals(run.machine)
    rows = run.rows(run.machine)
    rows = rows[rows["kind"] != UPDATE]
    by_place = rows.groupby(name_places(rows), sort=False)["cycles"].sum()
    first = str(by_place.idxmax())
    steps = ", ".join(
        f"{step} {write_percent(cycles, totals['cycles'])}" for step, cycles in totals["cycles_by_step"].items()
    )
    words = PASSES_WORDS if first == PASSES else first
    verb = "take" if first == PASSES else "takes"
    share = write_percent(float(by_place.max()), totals["cycles"])
    return (
        f"On {run.machine}, {words} {verb} the most: {share} of {totals['cycles']:,} cycles. By step: {steps}."
        f"{tell_fusion(run)}{tell_residency(run)}"
    )


def tell_fusion(run: Run) -> str:
    """Say how many DRAM bytes passes that run as one save; nothing where there are none."""
    totals, rows = run.totals(run.machine), run.rows(run.machine)
    saved, fused = int(totals["fusion_saved_bytes"]), int((rows["kind"] == FUSED).sum())
    if not fused:
        return ""
    moved = int(totals["dram_read_bytes"] + totals["dram_write_bytes"])
    return (
        f" {fused} {'pass is' if fused == 1 else 'passes are'} fused of several, which saves {saved:,} DRAM bytes "
        f"({write_percent(saved, moved + saved)} of what would be moved)."
    )


def tell_residency(run: Run) -> str:
    """Say how many DRAM bytes are saved by what stays in the buffer; nothing where nothing does."""
    totals = run.totals(run.machine)
    saved, moved = int(totals["residency_saved_bytes"]), int(totals["dram_read_bytes"] + totals["dram_write_bytes"])
    if not saved:
        return ""
    share = write_percent(saved, moved + saved)
    return f" What stays in the buffer for the next step or pass saves {saved:,} DRAM bytes ({share})."


def tell_time(run: Run) -> str:
    """Say what the groups of each machine did with their time."""
    sentences = []
    for machine in run.machines:
        totals = run.totals(machine)
        whole = sum(totals[state] for state in STATE_WORDS)
        parts = ", ".join(f"{words} {write_percent(totals[state], whole)}" for state, words in STATE_WORDS.items())
        sentences.append(f"{machine}: {parts}.")
    return " ".join(sentences)


def tell_energy(run: Run) -> str:
    """Say which components take most energy on each machine."""
    sentences = []
    for machine in run.machines:
        totals = run.totals(machine)
        parts = sorted(((totals[f"{name}_pj"], words) for name, words in COMPONENT_WORDS.items()), reverse=True)
        listed = ", ".join(f"{words} {write_percent(pj, totals['energy_pj'])}" for pj, words in parts[:3])
        sentences.append(f"{machine} takes {write_energy(totals['energy_pj'])}: {listed}.")
    return " ".join(sentences)


def tell_densities(run: Run) -> str:
    """Say between what bounds each operand's density lies."""
    frame = run.rows(run.machine)
    frame = frame[frame["kind"].isin(COMPUTE_KINDS)]
    parts = [
        f"{words} {frame[column].min():.2f} to {frame[column].max():.2f}"
        for column, (words, *_) in DENSITY_MARKS.items()
    ]
    return f"Share of nonzeros over the layers: {'; '.join(parts)}. A mask of density 1 is no mask."


def tell_utilization(run: Run) -> str:
    """Say how well the PEs of each machine are used over all layers, and where best and worst."""
    sentences = []
    for machine in run.machines:
        rows = run.rows(machine)
        rows = rows[rows["kind"].isin(COMPUTE_KINDS)]
        mean = (rows["pe_utilization"] * rows["cycles"]).sum() / rows["cycles"].sum()
        ordered = rows.sort_values("pe_utilization")
        best, worst = ordered.iloc[-1], ordered.iloc[0]
        sentences.append(
            f"{machine}: {mean:.3g} over all of its layers' cycles; best {best['layer']} {best['step']} "
            f"({best['pe_utilization']:.3g}), worst {worst['layer']} {worst['step']} ({worst['pe_utilization']:.3g})."
        )
    return " ".join(sentences)


def tell_roofline(run: Run) -> str:
    """Say how many steps of the simulated machine lie under the slope of DRAM."""
    architecture = find_architecture(run, run.machine) or run.record["architecture"]
    array = architecture["array"]
    multipliers = array["groups"] * array["pes_per_group"] * array["multipliers_per_pe"]
    bytes_per_cycle = find_bandwidth(run, run.machine)
    rows = run.rows(run.machine)
    rows = rows[rows["effectual_macs"] > 0]
    if bytes_per_cycle is None:
        return f"The DRAM of {run.machine} has no limit: all {len(rows)} steps lie under its {multipliers} multipliers."
    moved = rows["dram_read_bytes"] + rows["dram_write_bytes"]
    bound = int((rows["effectual_macs"] * bytes_per_cycle < multipliers * moved).sum())
    return (
        f"The roof: {multipliers} multipliers and {bytes_per_cycle} DRAM bytes a cycle. {bound} of {len(rows)} steps "
        f"on {run.machine} lie left of the ridge at "
        f"{multipliers / bytes_per_cycle:.3g} MACs per byte, where DRAM is the lower ceiling; the others right of it."
    )


def tell_speedup(run: Run) -> str:
    """Say what the density alone would allow, and what is reached."""
    frame = pair_steps(run, run.machines[1])
    allowed = (frame["allowed"] * frame["own"]).sum() / frame["own"].sum()
    middle = frame[["allowed", "computing", "achieved"]].median()
    return (
        f"Median over {len(frame)} steps: the density alone allows {middle['allowed']:.2f}x, the busy time alone "
        f"shrinks {middle['computing']:.2f}x, {middle['achieved']:.2f}x is achieved (weighted by cycles, "
        f"density allows {allowed:.2f}x). From the dashed line down to the open mark: imbalance and overhead; from the "
        "open mark down to the filled one: waiting for memory and idling."
    )


TELLERS: dict[str, Callable[[Run], str]] = {
    "cycles": tell_cycles,
    "time": tell_time,
    "energy": tell_energy,
    "densities": tell_densities,
    "utilization": tell_utilization,
    "roofline": tell_roofline,
    "speedup": tell_speedup,
}


def count_verdicts(frame: pd.DataFrame) -> dict[str, int]:
    """Count the verdicts of the steps that can be compared."""
    compared = frame[frame["kind"].isin(COMPUTE_KINDS) & (frame["step"] != RECOMPUTE)]
    return {str(name): int(count) for name, count in compared["verdict"].value_counts().items()}
