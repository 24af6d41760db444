"""The totals of a run over its rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from sim.results.rows import ENERGY_COLUMNS, StepResult
from workloads.row_kinds import CONVOLUTION_KINDS
from workloads.updates import UPDATE

# The scope that has the update of parameters, too; there where a row of the run is one.
WITH_UPDATE = "network_with_update"

SUMMED_COLUMNS = (
    "cycles",
    "bound_cycles",
    "busy_cycles",
    "wait_operands_cycles",
    "wait_dram_cycles",
    "wait_ppu_cycles",
    "idle_cycles",
    "pe_imbalance_cycles",
    "overhead_cycles",
    "nominal_macs",
    "dense_macs",
    "effectual_macs",
    "row_ops",
    "tasks",
    "tiles",
    "events",
    "buffer_read_bytes",
    "buffer_write_bytes",
    "dram_read_bytes",
    "dram_write_bytes",
    "fusion_saved_bytes",
    "residency_saved_bytes",
)


def sum_machine(steps: Iterable[StepResult], *, has_updates: bool) -> dict[str, Any]:
    """Total the steps of one machine, for convolutions alone and for the whole network, passes included.

    Args:
        has_updates: Rows of the run are updates of parameters, so that a scope has them beside the network.
    """
    steps = tuple(steps)
    network = tuple(step for step in steps if step.kind != UPDATE)
    convolutions = tuple(step for step in network if step.kind in CONVOLUTION_KINDS)
    totals = {"convolutions": sum_steps(convolutions), "network": sum_steps(network)}
    return {**totals, WITH_UPDATE: sum_steps(steps)} if has_updates else totals


def sum_steps(steps: Sequence[StepResult]) -> dict[str, Any]:
    """Total the counts of steps, the cycles of each step's name, and energy with and without leakage."""
    totals: dict[str, Any] = {name: sum(getattr(step, name) for step in steps) for name in SUMMED_COLUMNS}
    by_step: dict[str, int] = {}
    for step in steps:
        by_step[step.step] = by_step.get(step.step, 0) + step.cycles
    totals["cycles_by_step"] = by_step
    for name in ENERGY_COLUMNS:
        values = [getattr(step, name) for step in steps]
        totals[name] = None if None in values else math.fsum(values)
    return totals


def make_totals(steps: Sequence[StepResult]) -> dict[str, Any]:
    """Total every machine; ratios tell how many times the first machine's cycles and energy each other one needs."""
    machines = list(dict.fromkeys(step.machine for step in steps))
    has_updates = any(step.kind == UPDATE for step in steps)
    totals = {
        machine: sum_machine((step for step in steps if step.machine == machine), has_updates=has_updates)
        for machine in machines
    }
    ratios = {
        other: {
            scope: {
                "speedup": divide(totals[other][scope]["cycles"], totals[machines[0]][scope]["cycles"]),
                "energy_ratio": divide(totals[other][scope]["energy_pj"], totals[machines[0]][scope]["energy_pj"]),
                "dynamic_energy_ratio": divide(
                    totals[other][scope]["dynamic_pj"], totals[machines[0]][scope]["dynamic_pj"]
                ),
            }
            for scope in totals[other]
        }
        for other in machines[1:]
    }
    return {"machines": totals, "ratios": ratios}


def divide(numerator: float | None, denominator: float | None) -> float | None:
    """Give a ratio, or None where there is nothing to divide."""
    return numerator / denominator if numerator is not None and denominator else None
