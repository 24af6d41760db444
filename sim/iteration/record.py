"""What ``run.json`` holds: everything that a run depended on, its totals, and where each picojoule comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sim.architecture import Architecture
from sim.energy import ActionCounts, compute_energy, list_clock_warnings
from sim.iteration.policies import Contender
from sim.machine_energy import find_prices
from sim.results.rows import StepResult, make_totals
from sim.version import MODEL_VERSION, SCHEMA_VERSION
from workloads.sources.source import OperandStream


def make_record(
    inputs: Mapping[str, Any],
    contenders: Sequence[Contender],
    streams: Mapping[str, OperandStream],
    results: Sequence[StepResult],
    actions: Mapping[str, ActionCounts],
    verdict: str,
    failures: Sequence[str],
) -> dict[str, Any]:
    """Make the record of a run.

    Args:
        inputs: Of `sim.results.run_inputs.describe_inputs`.
        streams: The operands of each machine.
        actions: What it did in all its rows.
    """
    totals = make_totals(results)
    machines = [one.machine for one in contenders]
    stream = streams[machines[0].name]
    return {
        "schema_version": SCHEMA_VERSION,
        "version": MODEL_VERSION,
        **inputs,
        "seed": stream.seed,
        "operand_source": stream.headline,
        "operand_facts": stream.facts,
        "policies": {one.machine.name: describe_policy(one, streams[one.machine.name]) for one in contenders},
        "totals": totals,
        "machines": {
            machine.name: describe_machine(
                machine, actions.get(machine.name), totals["machines"][machine.name]["network"]["cycles"]
            )
            for machine in machines
        },
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


def describe_machine(machine: Architecture, actions: ActionCounts | None, cycles: int) -> dict[str, Any] | None:
    """Give area, leakage, and counts x energy per action over all rows; None on a machine without prices."""
    prices = find_prices(machine)
    if prices is None or actions is None:
        return None
    return {
        "technology": prices.technology,
        "area_mm2": prices.total_area_mm2(),
        "leakage_mw": prices.total_leakage_mw(),
        "units": prices.unit_table(),
        "energy": compute_energy(actions, cycles, machine.clock_mhz, prices).energy_table(),
        "warnings": list(list_clock_warnings(prices, machine.clock_mhz)),
    }
