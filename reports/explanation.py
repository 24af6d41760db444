"""Where the cycles and the energy of a step come from: every count, every price with its source, what bounded it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from reports.certainty import find_step_swings, make_assumptions_grid, tell_step_certainty
from reports.dram_words import describe_banks, describe_hits
from reports.fitted_tables import Column, Grid, Kind, Verbatim
from reports.quantities import write_energy, write_percent
from reports.run_files import COMPUTE_KINDS, Run, find_architecture, read_actions
from reports.sampled_words import write_width
from workloads.errors import InputError
from workloads.fusion import FUSED, JOINT
from workloads.kinds.table import KINDS
from workloads.updates import UPDATE
from workloads.words import list_words

STATES = {
    "busy_cycles": "busy: a PE of the group runs a row operation",
    "wait_operands_cycles": "waiting for operands from the ports",
    "wait_dram_cycles": "waiting for the next tile from DRAM",
    "wait_ppu_cycles": "stalled: results wait for a place in the PPU",
    "idle_cycles": "idle: no task left, or results on their way out",
}


def explain_layer(
    run: Run, layer: str, step: str | None, machine: str | None, *, has_sources: bool = False
) -> Iterator[str | Grid]:
    """Explain one step of a layer, or all of them, on one machine of a run.

    Args:
        has_sources: Of the prices, too.

    Raises:
        InputError: the run has no such machine, layer or step.
    """
    chosen = machine or run.machine
    if chosen not in run.machines:
        raise InputError(f"--machine {chosen}: the run has no such machine; it has {list_words(run.machines)}")
    rows = run.rows(chosen)
    # A layer without a step of its own may have passes that run within another's row.
    rows = rows[[layer == name or (layer in name.split(JOINT)) for name in rows["layer"]]]
    if rows.empty:
        yield tell_absent(run, layer, chosen)
        return
    if step is not None and step not in set(rows["step"]):
        raise InputError(f"layer '{layer}' has no step '{step}' in {run.path}; it has {list_words(rows['step'])}")
    for _, row in rows.iterrows():
        if step is None or row["step"] == step:
            yield from explain_step(run, row, has_sources=has_sources)


def tell_absent(run: Run, layer: str, machine: str) -> str:
    """Say what a layer is that has neither a step nor a pass in a run.

    Raises:
        InputError: the workload has no such layer.
    """
    found = next((one for one in run.record["workload"]["layers"] if one["name"] == layer), None)
    if found is None:
        known = ", ".join(dict.fromkeys(run.frame["layer"]))
        raise InputError(f"'{layer}' is no layer of {run.path}; they are {known}")
    kind = str(found["type"])
    traits = KINDS[kind].traits if kind in KINDS else None
    read = list_words(found.get("inputs", ["its input"]))
    if traits is None or traits.is_computed:
        why = "the run left it out"
    elif traits.rides_along:
        why = f"it happens where {read} is written, and costs nothing of its own"
    elif traits.is_part:
        why = f"it is a part of {read}, and read where the whole is stored"
    elif traits.is_joined:
        why = f"{read} are written into their places in it"
    else:
        why = "it is no more than an elementwise pass, and none of its passes is in the run"
    return f"{layer} ({kind}) has no step on {machine}: {why}."


def tell_share(row: pd.Series, cycles: int) -> str:
    """Say how much of an iteration a row is; an update stands beside it."""
    if row["kind"] == UPDATE:
        return f"beside the iteration's {cycles:,}, which have no update"
    return f"{write_percent(row['cycles'], cycles)} of the iteration's {cycles:,}"


def explain_step(run: Run, row: pd.Series, *, has_sources: bool) -> Iterator[str | Grid]:
    """Explain one row of ``steps.csv``: what bounds it and what would help, then the figures behind that."""
    totals = run.totals(row["machine"])
    architecture = find_architecture(run, row["machine"]) or run.record["architecture"]
    array, is_compute = architecture["array"], row["kind"] in COMPUTE_KINDS
    yield (
        f"{row['layer']} ({row['kind']}), {row['step']} on {row['machine']}: {row['cycles']:,} cycles"
        f"{tell_sample(row)}, "
        f"{tell_share(row, totals['cycles'])}"
        f"{describe_rivals(run, row)}."
    )
    yield tell_bound(row, architecture)
    if (banked := run.record.get("dram", {}).get(row["machine"])) is not None:
        yield describe_banks(banked)
    if row["kind"] == FUSED:
        yield tell_fusion(row)
    if is_compute:
        yield tell_remedies(row, array["groups"], array["groups"] * array["pes_per_group"])
        yield tell_work(row)
    if row["kept"] != "none":
        yield tell_residency(row)
    if row["tiling"] != "none":
        yield (
            f"Tiling: run lengths of {row['task_indices']} in a tile, then of the reduction, are {row['tiling']}; to "
            "pin them, put these lines under tilings: in a file for simulate --tiling."
        )
        yield from write_pin(row)
    yield make_time_grid(row, architecture)
    yield from explain_energy(run, row, has_sources=has_sources)


def write_pin(row: pd.Series) -> list[Verbatim]:
    """Write the tiling of a step as lines of the file that `simulate` takes."""
    names = ("layer", "step", "tiling", "machine")
    return [Verbatim(f"  {'-' if name == 'layer' else ' '} {name}: {json.dumps(row[name])}") for name in names]


def tell_sample(row: pd.Series) -> str:
    """Say how far an estimate may be off, and of which share of the tiles it is made."""
    if row["sampled_fraction"] == 1:
        return ""
    if row["tasks"] == 0:
        return f" (estimated, without an interval, from {row['sampled_fraction']:.2%} of the tiles of all steps)"
    width = write_width(row["cycles_ci95"], row["cycles"], row["sampled_fraction"])
    return f" ({width}, estimated from {row['sampled_fraction']:.2%} of the tiles)"


def describe_rivals(run: Run, row: pd.Series) -> str:
    """Say what the same step takes on the other machines."""
    same = run.frame[(run.frame["layer"] == row["layer"]) & (run.frame["step"] == row["step"])]
    others = same[same["machine"] != row["machine"]]
    words = [
        f"; {other['machine']} takes {other['cycles']:,}, {other['cycles'] / row['cycles']:.2f} times as many"
        for _, other in others.iterrows()
        if row["cycles"]
    ]
    return "".join(words)


def tell_fusion(row: pd.Series) -> str:
    """Say which layers' passes run as one, and what DRAM bytes that saves."""
    moved, saved = int(row["dram_read_bytes"] + row["dram_write_bytes"]), int(row["fusion_saved_bytes"])
    return (
        f"Fused: {list_words(row['layer'].split(JOINT))} run as one, each element once for each pass among them. "
        f"It moves {moved:,} DRAM bytes; apart they would move {moved + saved:,}, {saved:,} "
        f"({write_percent(saved, moved + saved)}) more, to write what the next one reads."
    )


def tell_residency(row: pd.Series) -> str:
    """Say what stays in the buffer, and what DRAM bytes that saves."""
    moved, saved = int(row["dram_read_bytes"] + row["dram_write_bytes"]), int(row["residency_saved_bytes"])
    return (
        f"In the buffer stays {row['kept']} (in brackets: written to DRAM too), which saves {saved:,} DRAM bytes "
        f"({write_percent(saved, moved + saved)} of what would be moved in these tiles)."
    )


def tell_work(row: pd.Series) -> str:
    """Say how much work the step is, and what is left of it when zeros are skipped."""
    is_product = row["kind"] == "matmul"
    densities = ", ".join(
        f"{words} {row[column]:.3g}"
        for column, words in (("input_density", "first factor" if is_product else "input"),
                              ("weight_density", "second factor" if is_product else "weight"),
                              ("grad_output_density", "gradient to output"), ("mask_density", "mask"))
    )  # fmt: skip
    return (
        f"Work: {row['dense_macs']:,} multiplications lie inside the tensors, {row['effectual_macs']:,} "
        f"({write_percent(row['effectual_macs'], row['dense_macs'])}) are left when zeros and masked results are "
        f"skipped (densities: {densities}). They are done in {row['row_ops']:,} row operations, {row['tasks']:,} "
        f"{'task' if row['tasks'] == 1 else 'tasks'} (one for each {row['task_indices']}) and "
        f"{row['tiles']:,} {'tile' if row['tiles'] == 1 else 'tiles'}. All multipliers together would need "
        f"{row['bound_cycles']:,} cycles for this machine's multiplications."
    )


def make_time_grid(row: pd.Series, architecture: dict[str, Any]) -> Grid:
    """Tabulate where the time of groups, PEs, ports, DRAM and PPUs went."""
    array, cycles = architecture["array"], int(row["cycles"])
    groups, pes = array["groups"], array["groups"] * array["pes_per_group"]
    ports = (architecture.get("buffer") or {}).get("ports")
    lines = [(f"groups {words}", row[name], groups * cycles) for name, words in STATES.items()]
    busy_pe_cycles = row["busy_cycles"] * array["pes_per_group"]
    lines += [
        ("PEs: without work while another PE of the group has some", row["pe_imbalance_cycles"], busy_pe_cycles),
        ("PEs: row headers and issues without a multiplication", row["overhead_cycles"], busy_pe_cycles),
        ("DRAM channel transfers", row["dram_busy_cycles"], cycles),
        ("PPUs process", row["ppu_busy_cycles"], groups * cycles),
    ]
    if ports is not None:
        lines.append(("buffer ports move data", row["ports_busy_cycles"], ports * cycles))
    grid = Grid(
        [
            Column(f"time ({groups} groups, {pes} PEs)", Kind.SENTENCE),
            *(Column(name) for name in ("unit-cycles", "of", "share")),
        ]
    )
    for words, part, whole in lines:
        grid.add([words, f"{int(part):,}", f"{int(whole):,}", write_percent(part, whole)])
    return grid


def tell_bound(row: pd.Series, architecture: dict[str, Any]) -> str:
    """Say which unit was in use for the largest part of the step."""
    array, cycles = architecture["array"], int(row["cycles"])
    if not cycles:
        return "Bound: nothing; the step takes no time on this machine."
    ports = (architecture.get("buffer") or {}).get("ports")
    uses = {
        "the PE groups (row operations)": row["busy_cycles"] / array["groups"],
        "the DRAM channel": float(row["dram_busy_cycles"]),
        "the PPUs": row["ppu_busy_cycles"] / array["groups"],
        "the buffer's ports": row["ports_busy_cycles"] / ports if ports else 0.0,
    }
    ordered = sorted(uses, key=lambda name: -uses[name])
    first, second = ordered[:2]
    strength = "bounded by" if uses[first] >= 0.7 * cycles else "bounded by no unit alone, most by"
    return (
        f"Bound: {strength} {first}, in use for {write_percent(uses[first], cycles)} of the cycles; next {second} with "
        f"{write_percent(uses[second], cycles)}."
    )


def tell_remedies(row: pd.Series, groups: int, pes: int) -> str:
    """Say how many cycles each remedy alone could save at most, the largest first."""
    savings = {
        "operands that are always there (more or wider ports, larger operand stores)": row["wait_operands_cycles"]
        / groups,
        "tiles that are always there (more DRAM bandwidth, a larger buffer)": row["wait_dram_cycles"] / groups,
        "a PPU that never stalls (more elements a cycle)": row["wait_ppu_cycles"] / groups,
        "groups that never idle (tasks of even length, more of them)": row["idle_cycles"] / groups,
        "PEs of a group with equal work (balance)": row["pe_imbalance_cycles"] / pes,
        "row operations without overhead (headers, empty issues)": row["overhead_cycles"] / pes,
    }
    ordered = sorted((item for item in savings.items() if item[1] >= 0.5), key=lambda item: -item[1])
    if not ordered:
        return "What would help: nothing is left to save but multiplications."
    words = "; ".join(f"{name} {saved:,.0f} ({write_percent(saved, row['cycles'])})" for name, saved in ordered[:3])
    return f"What would help most, in cycles that each alone could save at most: {words}."


def explain_energy(run: Run, row: pd.Series, *, has_sources: bool) -> Iterator[str | Grid]:
    """Tabulate counts, energy per action and energy of every action of a step, then the sources of the prices."""
    described = run.record["machines"].get(row["machine"])
    if described is None:
        yield f"Energy: {row['machine']} names no technology, so nothing has a price."
        return
    actions = read_actions(run)
    found = actions[(actions["layer"] == row["layer"]) & (actions["step"] == row["step"])]
    counts = found[found["machine"] == row["machine"]].iloc[0]
    if any(line["action"] == "dram_activates" for line in described["energy"]):
        yield describe_hits(counts)
    grid = Grid(
        [
            Column("component", Kind.NAME, rank=2), Column("action", Kind.SENTENCE), Column("count", rank=1),
            Column("pJ each", rank=1), Column("pJ"), Column("share"),
        ]
    )  # fmt: skip
    total, done = 0.0, {}
    for line in described["energy"]:
        count = int(row["cycles"] if line["component"] == "leakage" else counts[line["action"]])
        done[line["action"]] = count
        pj = count * line["pj_per_action"]
        total += pj
        grid.add(
            [line["component"], line["action"], f"{count:,}", f"{line['pj_per_action']:.6g}", f"{pj:,.6g}",
             write_percent(pj, row["energy_pj"])]
        )  # fmt: skip
    where = "" if has_sources else "; --sources tells where the prices come from"
    yield (
        f"Energy: {write_energy(row['energy_pj'])} ({total:,.9g} pJ by the counts below), "
        f"{write_energy(row['dynamic_pj'])} without leakage, at {described['technology']}{where}."
    )
    yield grid
    if described["assumptions"]:
        swings = find_step_swings(described, done)
        yield tell_step_certainty(described, float(row["energy_pj"]), swings)
        yield make_assumptions_grid(described, swings, has_reasons=has_sources)
    if has_sources:
        yield make_sources_grid(described["energy"])


def make_sources_grid(lines: Sequence[dict[str, Any]]) -> Grid:
    """Tabulate where the price of each action comes from."""
    grid = Grid([Column("action", Kind.SENTENCE), Column("source of its price", Kind.SENTENCE)])
    for line in lines:
        grid.add([line["action"], line["source"]])
    return grid
