"""What a step was measured to do on a machine, and the row of ``steps.csv`` that follows from it."""

from __future__ import annotations

import dataclasses
from typing import Any

from sim.architecture import Architecture
from sim.energy import ActionCounts, EnergyResult, compute_energy
from sim.machine_energy import find_prices
from sim.results.rows import ENERGY_COLUMNS, MeasuredColumns, StepResult
from sim.sampling.intervals import EXACT, Spread
from sim.step.verify import NOT_VERIFIED, Verdict, Verification

MEASURED = tuple(item.name for item in dataclasses.fields(MeasuredColumns))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StepMeasures(MeasuredColumns):
    """What an executed step, a sampled one or an elementwise pass did: measured columns, and what others follow from.

    Attributes:
        multiplications: Those that the machine did.
        pe_cycles: Cycles of row operations, summed over PEs.
        actions: None on a machine without prices.
        check: How the values compare with the reference.
        cycles_spread: Of estimates.
        energy_spread: Of estimates.
    """

    multiplications: int = 0
    pe_cycles: int = 0
    actions: ActionCounts | None = None
    check: Verification = NOT_VERIFIED
    cycles_spread: Spread = EXACT
    energy_spread: Spread = EXACT


def fill(measures: StepMeasures, machine: Architecture) -> StepResult:
    """Fill a row of ``steps.csv`` with what a step on a machine was measured to do; `operands` is left empty."""
    array, check = machine.array.describe(), measures.check
    energy = price_actions(measures, machine)
    offered = measures.cycles * array.multipliers
    return StepResult(
        **{name: getattr(measures, name) for name in MEASURED},
        machine=machine.name,
        bound_cycles=-(-measures.multiplications // array.multipliers),
        pe_imbalance_cycles=measures.busy_cycles * array.pes_per_group - measures.pe_cycles,
        pe_utilization=measures.multiplications / offered if offered else 0.0,
        **energy_columns(energy),
        verified=check.verdict in (Verdict.EXACT, Verdict.WITHIN_TOLERANCE),
        verdict=check.verdict.value,
        max_abs_error=check.max_abs_error,
        tolerance=check.tolerance,
        cycles_ci95=measures.cycles_spread.half_width,
        energy_ci95_pj=None if energy is None else measures.energy_spread.half_width,
        operands="",
    )


def price_actions(measures: StepMeasures, machine: Architecture) -> EnergyResult | None:
    """Give the energy of a step; None where its actions were not counted or have no prices."""
    prices = find_prices(machine)
    if measures.actions is None or prices is None:
        return None
    return compute_energy(measures.actions, measures.cycles, machine.clock_mhz, prices)


def energy_columns(energy: EnergyResult | None) -> dict[str, Any]:
    """Give the energy columns of a row, all None where there is no energy."""
    if energy is None:
        return dict.fromkeys(ENERGY_COLUMNS)
    parts = {f"{name}_pj": value for name, value in energy.component_pj().items()}
    return {"energy_pj": energy.total_pj, "dynamic_pj": energy.dynamic_pj, **parts}
