"""What ``run.json`` holds: everything that a run depended on, its totals, and where each picojoule comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sim.architecture import Architecture
from sim.energy import ActionCounts, compute_energy, list_clock_warnings
from sim.iteration.policies import Contender
from sim.machine_assumptions import describe_assumptions
from sim.machine_energy import find_prices
from sim.results.energy_intervals import make_energy_intervals
from sim.results.rows import StepResult
from sim.results.totals import make_totals
from sim.version import MODEL_VERSION, SCHEMA_VERSION
from workloads.row_kinds import CONVOLUTION_KINDS
from workloads.sources.source import OperandStream
from workloads.updates import UPDATE


def make_record(
    inputs: Mapping[str, Any],
    contenders: Sequence[Contender],
    streams: Mapping[str, OperandStream],
    results: Sequence[StepResult],
    actions: Sequence[tuple[StepResult, ActionCounts]],
    verdict: str,
    failures: Sequence[str],
) -> dict[str, Any]:
    """Make the record of a run.

    Args:
        inputs: Of `sim.results.run_inputs.describe_inputs`.
        streams: The operands of each machine.
        actions: What each row did, of machines that have prices.
    """
    totals = make_totals(results)
    banked = {one.machine.name: told for one in contenders if (told := one.machine.describe_dram()) is not None}
    machines = [one.machine for one in contenders]
    stream = streams[machines[0].name]
    described = {machine.name: describe_machine(machine, actions) for machine in machines}
    return {
        "schema_version": SCHEMA_VERSION,
        "version": MODEL_VERSION,
        **inputs,
        "seed": stream.seed,
        "operand_source": stream.headline,
        "operand_facts": stream.facts,
        "policies": {one.machine.name: describe_policy(one, streams[one.machine.name]) for one in contenders},
        "totals": totals,
        "machines": described,
        **({"dram": banked} if banked else {}),
        "energy_intervals": make_energy_intervals(totals, described),
        "verdict": verdict,
        "failures": list(failures),
    }


def describe_policy(contender: Contender, stream: OperandStream) -> dict[str, Any]:
    """Give a machine's policy, the source of its operands, and how their gradients were pruned."""
    return {
        "policy": contender.policy.name,
        "meaning": contender.policy.meaning,
        "operand_source": stream.headline,
        "pruning": stream.facts.get("pruning"),
    }


def describe_machine(
    machine: Architecture, actions: Sequence[tuple[StepResult, ActionCounts]]
) -> dict[str, Any] | None:
    """Give area, leakage, counts x energy per action, and assumptions, without updates; None without prices."""
    prices = find_prices(machine)
    if prices is None:
        return None
    mine = [(row, counts) for row, counts in actions if row.machine == machine.name and row.kind != UPDATE]
    scopes = {
        "convolutions": sum_actions((row, counts) for row, counts in mine if row.kind in CONVOLUTION_KINDS),
        "network": sum_actions(mine),
    }
    return {
        "technology": prices.technology,
        "area_mm2": prices.total_area_mm2(),
        "leakage_mw": prices.total_leakage_mw(),
        "units": prices.unit_table(),
        "energy": compute_energy(*scopes["network"], machine.clock_mhz, prices).energy_table(),
        "assumptions": describe_assumptions(machine, prices, scopes),
        "warnings": list(list_clock_warnings(prices, machine.clock_mhz)),
    }


def sum_actions(rows: Iterable[tuple[StepResult, ActionCounts]]) -> tuple[ActionCounts, int]:
    """Sum the actions and cycles of rows."""
    total, cycles = ActionCounts(), 0
    for row, counts in rows:
        total, cycles = total + counts, cycles + row.cycles
    return total, cycles
