"""What each kind of sparsity buys: the machines of a run with several baselines beside one reference."""

from __future__ import annotations

from html import escape

from reports.page import write_table
from reports.pruning_words import name_pruning
from reports.quantities import write_energy, write_ratio
from reports.run_files import SCOPE_WORDS, Run, find_architecture
from sim.results.rows import SCOPES


def write_ablation(run: Run) -> str:
    """Tabulate cycles, energy and their ratios to the reference where a run has several baselines."""
    if len(run.machines) < 3:
        return ""
    reference = find_reference(run)
    others = [machine for machine in (*run.machines[1:], run.machine) if machine != reference]
    rows = [list_cells(run, machine, reference) for machine in (reference, *others)]
    columns = ["machine", "skips", "cycles", *(f"speed-up, {SCOPE_WORDS[scope]}" for scope in SCOPES),
               "energy", *(f"energy ratio, {SCOPE_WORDS[scope]}" for scope in SCOPES)]  # fmt: skip
    return (
        f'<div class="panel"><h3>What does each kind of sparsity buy beside {escape(reference)}?</h3>'
        f"{write_table(columns, rows, long=['machine'])}</div>"
    )


def find_reference(run: Run) -> str:
    """Name the first baseline that skips nothing, else the first baseline."""
    dense = [machine for machine in run.machines[1:] if not skips_zeros(run, machine)]
    return dense[0] if dense else run.machines[1]


def skips_zeros(run: Run, machine: str) -> bool:
    """Whether a machine skips zeros; one that the record does not describe is taken to."""
    architecture = find_architecture(run, machine)
    return architecture is None or bool(architecture["array"]["skip_zeros"])


def describe_skips(run: Run, machine: str) -> str:
    """Say which sparsity a machine makes use of."""
    if not skips_zeros(run, machine):
        return "nothing: dense"
    policy = (run.record.get("policies") or {}).get(machine)
    if policy is None:
        return "-"
    pruning = policy.get("pruning")
    return str(policy["meaning"]) if pruning is None else f"zeros, mask, pruning {name_pruning(pruning)}"


def list_cells(run: Run, machine: str, reference: str) -> list[object]:
    """List a machine's name, what it skips, its cycles and energy, and how many times the reference needs those."""
    totals = run.totals(machine)
    energy = totals["energy_pj"]
    return [
        machine,
        describe_skips(run, machine),
        totals["cycles"],
        *(compare(run, machine, reference, scope, "cycles") for scope in SCOPES),
        "-" if energy is None else write_energy(energy),
        *(compare(run, machine, reference, scope, "energy_pj") for scope in SCOPES),
    ]


def compare(run: Run, machine: str, reference: str, scope: str, column: str) -> str:
    """Write how many times a machine's cycles or energy the reference needs."""
    own, other = run.totals(machine, scope)[column], run.totals(reference, scope)[column]
    return write_ratio(other / own if own and other is not None else None)
