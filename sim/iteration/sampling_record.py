"""What ``run.json`` tells of a sampled run: how much was simulated, and the intervals of totals and ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sim.results.rows import SCOPES, StepResult
from sim.sampling.intervals import Spread, add_independent, divide_estimates
from workloads.row_kinds import CONVOLUTION_KINDS

Key = tuple[str, str, str]
Spreads = Mapping[Key, tuple[Spread, Spread]]
QUANTITIES = (("cycles", "cycles_ci95", "speedup_ci95"), ("energy_pj", "energy_ci95_pj", "energy_ratio_ci95"))


def summarize_sampling(
    asked: str | float, seed: int, steps: Sequence[StepResult], spreads: Spreads, totals: Mapping[str, Any]
) -> dict[str, Any]:
    """Give the record of a sampled run.

    Half widths of 95 % confidence intervals. Steps are drawn independently of each other, so their variances add up.

    Args:
        spreads: Of cycles and energy, by layer, step and machine.
    """
    machines = list(totals["machines"])
    found = {
        machine: {scope: [sum_spreads(steps, spreads, machine, scope, place) for place in (0, 1)] for scope in SCOPES}
        for machine in machines
    }
    first = machines[0]
    return {
        "asked": asked,
        "seed": seed,
        "confidence": 0.95,
        "machines": {
            machine: {
                "sampled_fraction": share_simulated(steps, machine),
                **{
                    scope: {
                        name: None if totals["machines"][machine][scope][quantity] is None else spread.half_width
                        for (quantity, name, _), spread in zip(QUANTITIES, found[machine][scope], strict=True)
                    }
                    for scope in SCOPES
                },
            }
            for machine in machines
        },
        "ratios": {
            other: {
                scope: {
                    name: find_ratio_width(
                        totals["machines"][other][scope][quantity], found[other][scope][place],
                        totals["machines"][first][scope][quantity], found[first][scope][place],
                    )
                    for place, (quantity, _, name) in enumerate(QUANTITIES)
                }
                for scope in SCOPES
            }
            for other in machines[1:]
        },
    }  # fmt: skip


def sum_spreads(steps: Sequence[StepResult], spreads: Spreads, machine: str, scope: str, place: int) -> Spread:
    """Add up the spreads of a machine's steps, of convolutions alone or of the whole network."""
    return add_independent(
        spreads[step.layer, step.step, machine][place]
        for step in steps
        if step.machine == machine
        and (step.layer, step.step, machine) in spreads
        and (scope == "network" or step.kind in CONVOLUTION_KINDS)
    )


def share_simulated(steps: Sequence[StepResult], machine: str) -> float:
    """Give the share of a machine's tiles that was simulated."""
    rows = [step for step in steps if step.machine == machine and step.tiles]
    tiles = sum(step.tiles for step in rows)
    return sum(step.sampled_fraction * step.tiles for step in rows) / tiles if tiles else 1.0


def find_ratio_width(
    numerator: float | None, numerator_spread: Spread, denominator: float | None, denominator_spread: Spread
) -> float | None:
    """Give the half width of a ratio's interval; None where there is no ratio."""
    if numerator is None or not denominator:
        return None
    return divide_estimates(numerator, numerator_spread, denominator, denominator_spread).half_width


def list_misses(record: Mapping[str, Any], totals: Mapping[str, Any], aim: float) -> list[str]:
    """Say of which machines the interval of total cycles is wider than was aimed at."""
    notices = []
    for machine, found in record["machines"].items():
        width, cycles = found["network"]["cycles_ci95"], totals["machines"][machine]["network"]["cycles"]
        if cycles and width > aim * cycles:
            notices.append(
                f"the interval of total cycles on '{machine}' is +- {width / cycles:.2%}, wider than the {aim:.0%} "
                f"that sample auto aims at; a fraction above {found['sampled_fraction']:.3g} narrows it"
            )
    return notices
