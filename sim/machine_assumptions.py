"""What the assumed figures of a technology table do to a machine's prices, one at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dataflows.contract.actions import Action
from sim.architecture import Architecture
from sim.energy import ActionCounts, EnergyLine, MachinePrices, compute_energy
from sim.machine_energy import READER, describe_parts, read_actions
from sim.machine_parts import MachineParts
from sim.machine_pricing import price_machine
from sim.technology import Assumption, Technology


@dataclass(frozen=True, slots=True)
class PricedAssumption:
    """An entry with a range, and a machine's prices with it at either end of the range, all others as they are."""

    assumption: Assumption
    low: MachinePrices
    high: MachinePrices


def find_assumptions(machine: Architecture) -> tuple[PricedAssumption, ...]:
    """Give the assumptions that move a machine's prices, in the table's order; none of a machine without prices.

    Raises:
        InputError: as `sim.machine_energy.find_prices`.
    """
    parts = describe_parts(machine)
    if parts is None or machine.technology is None:
        return ()
    content, technology = READER.read(machine.technology)
    return _price_ends(parts, content, technology, read_actions(machine.dataflow))


@lru_cache(maxsize=256)
def _price_ends(
    parts: MachineParts, _content: str, technology: Technology, declared: tuple[Action, ...]
) -> tuple[PricedAssumption, ...]:
    nominal, found = price_machine(parts, technology, declared), []
    for one in technology.list_assumptions():
        low, high = (
            price_machine(parts, technology.vary(one.entry, factor), declared) for factor in (one.low, one.high)
        )
        if list_prices(low) != list_prices(nominal) or list_prices(high) != list_prices(nominal):
            found.append(PricedAssumption(one, low, high))
    return tuple(found)


def list_prices(prices: MachinePrices) -> list[float]:
    """List what energy follows from: energies of actions and leakage of units."""
    return [price.pj_per_action for price in prices.actions] + [unit.leakage_mw for unit in prices.units]


def describe_assumptions(
    machine: Architecture, prices: MachinePrices, scopes: Mapping[str, tuple[ActionCounts, int]]
) -> list[dict[str, Any]]:
    """Give each assumption with the prices that it moves and what that comes to, as plain data for ``run.json``.

    Args:
        scopes: Actions and cycles of each scope of the totals.
    """
    nominal = {line.action: line.pj_per_action for line in price_lines(machine, prices)}
    counted = {scope: count_lines(machine, prices, *done) for scope, done in scopes.items()}
    described = []
    for one in find_assumptions(machine):
        low, high = (
            {line.action: line.pj_per_action for line in price_lines(machine, at_end)} for at_end in (one.low, one.high)
        )
        moved = [name for name, pj in nominal.items() if (low[name], high[name]) != (pj, pj)]
        described.append(
            {
                "entry": one.assumption.entry,
                "low": one.assumption.low,
                "high": one.assumption.high,
                "why": one.assumption.why,
                "prices": [{"action": name, "low_pj": low[name], "high_pj": high[name]} for name in moved],
                "swings": {
                    scope: [sum_swing(counts, nominal, end, moved) for end in (low, high)]
                    for scope, counts in counted.items()
                },
            }
        )
    return described


def price_lines(machine: Architecture, prices: MachinePrices) -> tuple[EnergyLine, ...]:
    """Give the lines of a machine's energy, leakage among them, with nothing done."""
    return compute_energy(ActionCounts(), 0, machine.clock_mhz, prices).lines


def count_lines(machine: Architecture, prices: MachinePrices, actions: ActionCounts, cycles: int) -> dict[str, int]:
    """Count each line of a machine's energy."""
    return {line.action: line.count for line in compute_energy(actions, cycles, machine.clock_mhz, prices).lines}


def sum_swing(
    counts: Mapping[str, int], nominal: Mapping[str, float], end: Mapping[str, float], moved: Sequence[str]
) -> float:
    """Sum what other prices add to an energy, in pJ."""
    return math.fsum(counts[name] * (end[name] - nominal[name]) for name in moved)
