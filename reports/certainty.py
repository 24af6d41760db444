"""How sure an energy is, in words and tables: intervals, and what each assumption moves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from reports.fitted_tables import Column, Grid, Kind
from reports.quantities import scale_energy, write_energy
from sim.results.energy_intervals import add_swings


def describe_certainty(record: Mapping[str, Any], machine: str) -> list[str]:
    """Say between what a machine's energy and its first ratio lie as assumed figures vary, and which moves it most."""
    described, intervals = record["machines"][machine], record["energy_intervals"]
    if described is None or not described["assumptions"]:
        return []
    swings = {one["entry"]: tuple(one["swings"]["network"]) for one in described["assumptions"]}
    low, high = (pj / 1e6 for pj in intervals["machines"][machine]["network"])
    words = f"How sure: {low:,.2f} to {high:,.2f} uJ as assumed figures vary, "
    words += tell_largest(described, swings, in_microjoules=True)
    for other, scopes in list(intervals["ratios"].items())[:1]:
        parts = [
            f"{name} {write_ratio_span(scopes[scope])}"
            for scope, name in (("convolutions", "convolutions alone"), ("network", "whole network"))
            if scopes[scope] is not None
        ]
        if parts:
            words += f"; energy ratio to {other}: {', '.join(parts)}"
    return [f"{words}."]


def write_span(interval: list[float]) -> str:
    """Write an interval of energies in the unit of its upper end."""
    divisor, unit = scale_energy(interval[1])
    return f"{interval[0] / divisor:,.4g} to {interval[1] / divisor:,.4g} {unit}"


def write_ratio_span(interval: list[float]) -> str:
    """Write an interval of ratios."""
    return f"{interval[0]:.2f}x to {interval[1]:.2f}x"


def tell_largest(
    described: Mapping[str, Any], swings: Mapping[str, tuple[float, ...]], *, in_microjoules: bool = False
) -> str:
    """Say which assumption moves an energy most, over which range, and by how much.

    Args:
        in_microjoules: As the summary writes energies, whatever their size.
    """
    entry = max(swings, key=lambda name: max(map(abs, swings[name])))
    one = next(one for one in described["assumptions"] if one["entry"] == entry)
    low, high = swings[entry]
    moved = f"{low / 1e6:+,.2f} to {high / 1e6:+,.2f} uJ" if in_microjoules else write_swings(swings[entry])
    return f"most by {entry} (x{one['low']:g} to x{one['high']:g}: {moved})"


def write_swings(swings: tuple[float, ...]) -> str:
    """Write what the ends of a range add, such as ``-21.04 to +31.56 uJ``."""
    divisor, unit = scale_energy(max(map(abs, swings)))
    return f"{swings[0] / divisor:+,.4g} to {swings[1] / divisor:+,.4g} {unit}"


def write_swing(pj: float) -> str:
    """Write what the end of a range adds, in pJ."""
    return f"{pj:+,.0f}" if abs(pj) >= 1000 else f"{pj:+.4g}"


def find_step_swings(described: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """Give what each assumption adds to a step's energy at the ends of its range, the largest first.

    Args:
        counts: Of each line of the machine's energy.
    """
    nominal = {line["action"]: line["pj_per_action"] for line in described["energy"]}

    def add(one: Mapping[str, Any], end: str) -> float:
        return math.fsum(counts[price["action"]] * (price[end] - nominal[price["action"]]) for price in one["prices"])

    found = {one["entry"]: (add(one, "low_pj"), add(one, "high_pj")) for one in described["assumptions"]}
    return dict(sorted(found.items(), key=lambda item: -max(map(abs, item[1]))))


def tell_step_certainty(
    described: Mapping[str, Any], energy_pj: float, swings: Mapping[str, tuple[float, float]]
) -> str:
    """Say between what a step's energy lies as assumed figures vary, and which of them moves it most."""
    interval = add_swings(energy_pj, swings.values())
    return (
        f"How sure: {write_energy(energy_pj)} lies between {write_span(interval).replace(' to ', ' and ')} as assumed "
        f"figures vary, {tell_largest(described, swings)}."
    )


def make_assumptions_grid(
    described: Mapping[str, Any], swings: Mapping[str, tuple[float, float]], *, has_reasons: bool
) -> Grid:
    """Tabulate assumptions, their ranges, and what each alone adds to an energy at the ends of its range.

    Args:
        has_reasons: Also why the ranges are what they are.
    """
    columns = [
        Column("assumed figure", Kind.SENTENCE), Column("from", rank=1), Column("to", rank=1),
        Column("pJ at low end"), Column("pJ at high end"),
    ]  # fmt: skip
    if has_reasons:
        columns.append(Column("why this range", Kind.SENTENCE))
    grid = Grid(columns)
    by_entry = {one["entry"]: one for one in described["assumptions"]}
    for entry, (low, high) in swings.items():
        one = by_entry[entry]
        cells = [entry, f"x{one['low']:g}", f"x{one['high']:g}", write_swing(low), write_swing(high)]
        grid.add([*cells, one["why"]] if has_reasons else cells)
    return grid
