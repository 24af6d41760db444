"""How sure an energy is: the intervals of totals and ratios that follow from the ranges of assumed figures.

Each assumption is taken to either end of its range, all others as they are; what that adds to an energy is its swing.
Assumptions are choices of their own, so swings below and above add up as the roots of their squares. A ratio moves with
the same assumption in both machines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from sim.results.rows import SCOPES

Interval = list[float]
Swing = tuple[float, float]


def make_energy_intervals(totals: Mapping[str, Any], machines: Mapping[str, Any]) -> dict[str, Any]:
    """Give the intervals of the machines' energies, in pJ, and of energy ratios; None where there is no energy.

    Args:
        totals: Of ``run.json``.
        machines: Of ``run.json``, with their assumptions.
    """
    names = list(totals["machines"])
    energies = {name: {scope: totals["machines"][name][scope]["energy_pj"] for scope in SCOPES} for name in names}
    swings = {name: {scope: list_swings(machines[name], scope) for scope in SCOPES} for name in names}
    first = names[0]
    return {
        "machines": {
            name: {scope: bound_energy(energies[name][scope], swings[name][scope]) for scope in SCOPES}
            for name in names
        },
        "ratios": {
            other: {
                scope: bound_ratio(
                    energies[other][scope], swings[other][scope], energies[first][scope], swings[first][scope]
                )
                for scope in SCOPES
            }
            for other in names[1:]
        },
    }


def list_swings(machine: Mapping[str, Any] | None, scope: str) -> dict[tuple[str, str], Swing]:
    """List what each assumption, by technology and entry, adds to a machine's energy at the ends of its range."""
    if machine is None:
        return {}
    return {
        (machine["technology"], one["entry"]): (one["swings"][scope][0], one["swings"][scope][1])
        for one in machine["assumptions"]
    }


def bound_energy(energy_pj: float | None, swings: Mapping[tuple[str, str], Swing]) -> Interval | None:
    """Give the interval of an energy."""
    return None if energy_pj is None else add_swings(energy_pj, swings.values())


def bound_ratio(
    numerator_pj: float | None,
    numerator: Mapping[tuple[str, str], Swing],
    denominator_pj: float | None,
    denominator: Mapping[tuple[str, str], Swing],
) -> Interval | None:
    """Give the interval of a ratio of energies, whose machines share assumptions; None where there is no ratio."""
    if numerator_pj is None or not denominator_pj:
        return None
    ratio = numerator_pj / denominator_pj
    moved = []
    for key in dict.fromkeys((*numerator, *denominator)):
        above, below = numerator.get(key, (0.0, 0.0)), denominator.get(key, (0.0, 0.0))
        moved.append(tuple((numerator_pj + above[end]) / (denominator_pj + below[end]) - ratio for end in (0, 1)))
    return add_swings(ratio, ((one[0], one[1]) for one in moved))


def add_swings(value: float, swings: Iterable[Swing]) -> Interval:
    """Give the interval of a value: the squares of what moves it down, and of what moves it up, add up."""
    ends = list(swings)
    down = math.hypot(*(min(0.0, *ends_of_one) for ends_of_one in ends))
    up = math.hypot(*(max(0.0, *ends_of_one) for ends_of_one in ends))
    return [max(0.0, value - down), value + up]
