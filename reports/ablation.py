"""The tables of a run on several machines: what each kind of sparsity buys, and how dense the gradients are."""

from __future__ import annotations

from collections.abc import Sequence

from reports.fitted_tables import Column, Grid, Kind
from reports.pruning_words import name_pruning
from reports.tables import format_ratio, format_share
from sim.iteration.run_result import RunResult
from sim.results.rows import SCOPES, StepResult


def find_reference(result: RunResult) -> str:
    """Name the machine that others are compared with: the first that skips nothing, else the first baseline."""
    dense = [machine.name for machine in result.machines if not machine.array.skip_zeros]
    return dense[0] if dense else result.machines[1].name


def order_machines(result: RunResult) -> list[str]:
    """Name the reference first, then the other baselines as they were given, then the machine itself."""
    reference = find_reference(result)
    names = [machine.name for machine in result.machines[1:]] + [result.machines[0].name]
    return [reference, *(name for name in names if name != reference)]


def describe_policy(result: RunResult, name: str) -> str:
    """Say which sparsity a machine makes use of."""
    (machine,) = (one for one in result.machines if one.name == name)
    if not machine.array.skip_zeros:
        return "none: dense"
    policy = result.record["policies"][name]
    if policy["pruning"] is None:
        return str(policy["meaning"])
    return f"zeros, mask, pruning {name_pruning(policy['pruning'])}"


def make_ablation_grid(result: RunResult) -> Grid:
    """Tabulate every machine's cycles and energy for convolutions alone and the whole network, and ratios."""
    reference, totals = find_reference(result), result.totals["machines"]
    columns = [Column("machine", Kind.NAME), Column("skips", Kind.WORD, rank=3), Column("MACs\ndone", rank=2)]
    for words in ("conv.", "network"):
        columns += [
            Column(f"{words}\ncycles", rank=1),
            Column(f"{words}\nspeed-up"),
            Column(f"{words}\nuJ", rank=11),
            Column(f"{words}\nenergy\nratio"),
            Column(f"{words}\nratio w/o\nleakage", rank=11),
        ]
    grid = Grid(columns, f"What each kind of sparsity buys, beside {reference}")
    for name in order_machines(result):
        cells = [name, describe_policy(result, name), count_share_done(result, name)]
        for scope in SCOPES:
            one, base = totals[name][scope], totals[reference][scope]
            cells += [f"{one['cycles']:,}", format_ratio(base["cycles"], one["cycles"])]
            cells.append("-" if one["energy_pj"] is None else f"{one['energy_pj'] / 1e6:,.2f}")
            cells += [format_ratio(base[column], one[column]) for column in ("energy_pj", "dynamic_pj")]
        grid.add(cells)
    return grid


def count_share_done(result: RunResult, name: str) -> str:
    """Write the share of the in-range multiplications that are left for a machine; all on one that skips nothing."""
    (machine,) = (one for one in result.machines if one.name == name)
    network = result.totals["machines"][name]["network"]
    done = network["effectual_macs"] if machine.array.skip_zeros else network["dense_macs"]
    return format_share(done, network["dense_macs"])


def make_densities_grid(result: RunResult) -> Grid:
    """Tabulate the densities of each layer's tensors; those of gradients for every machine with gradients of its own.

    Machines whose gradients have the same densities in all layers share a column.
    """
    layers: dict[str, dict[str, StepResult]] = {}
    for step in result.steps:
        if step.input_density is not None:
            layers.setdefault(step.layer, {}).setdefault(step.machine, step)
    columns = group_columns(order_machines(result), layers)
    names = [Column("\n".join(names)) for names in columns]
    grid = Grid(
        [Column("layer", Kind.NAME), Column("input"), Column("mask"), *names],
        "Densities: input, mask, and gradient to the output",
    )
    for layer, by_machine in layers.items():
        first = next(iter(by_machine.values()))
        masks = [step.mask_density for step in by_machine.values() if step.mask_density is not None]
        cells = [layer, format_density(first.input_density), format_density(min(masks))]
        grid.add([*cells, *(format_density(by_machine[names[0]].grad_output_density) for names in columns)])
    return grid


def group_columns(machines: Sequence[str], layers: dict[str, dict[str, StepResult]]) -> list[list[str]]:
    """Put machines together whose gradients have the same densities in all layers."""
    groups: dict[tuple[float | None, ...], list[str]] = {}
    for name in machines:
        densities = tuple(by_machine[name].grad_output_density for by_machine in layers.values())
        groups.setdefault(densities, []).append(name)
    return list(groups.values())


def format_density(density: float | None) -> str:
    """Write a density; a dash where there is none."""
    return "-" if density is None else f"{density:.3f}"
