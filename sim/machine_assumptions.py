"""What the assumed figures of a technology table do to a machine's prices, one at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dataflows.contract.actions import Action
from sim.architecture import Architecture
from sim.energy import ActionCounts, MachinePrices, compute_energy
from sim.machine_energy import READER, describe_parts, read_actions
from sim.machine_parts import MachineParts
from sim.machine_pricing import list_assumptions, price_machine
from sim.technology import Assumption, Technology


@dataclass(frozen=True, slots=True)
class PricedAssumption:
    """An entry with a range, and what a machine's prices are with it at either end, all others as they are.

    Attributes:
        low: Of actions in pJ and of components' leakage in mW, those that move.
        high: Likewise.
    """

    assumption: Assumption
    low: Mapping[str, float]
    high: Mapping[str, float]


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
    nominal, found = list_prices(price_machine(parts, technology, declared)), []
    for one in list_assumptions(parts, technology):
        doubled = list_prices(price_machine(parts, technology.vary(one.entry, 2.0), declared))
        # Each price is a sum, in which the entry is a factor of some terms: doubled, it adds those once more.
        shares = {name: doubled[name] - price for name, price in nominal.items() if doubled[name] != price}
        if shares:
            low, high = (
                {name: nominal[name] + (factor - 1) * share for name, share in shares.items()}
                for factor in (one.low, one.high)
            )
            found.append(PricedAssumption(one, low, high))
    return tuple(found)


def list_prices(prices: MachinePrices) -> dict[str, float]:
    """List what energy follows from: energies of actions in pJ, leakage of components in mW."""
    return {price.action: price.pj_per_action for price in prices.actions} | prices.leakage_mw()


def describe_assumptions(
    machine: Architecture, prices: MachinePrices, scopes: Mapping[str, tuple[ActionCounts, int]]
) -> list[dict[str, Any]]:
    """Give each assumption with the prices that it moves and what that comes to, as plain data for ``run.json``.

    Args:
        scopes: Actions and cycles of each scope of the totals.
    """
    cycle_ns, nominal = 1000 / machine.clock_mhz, list_prices(prices)
    # A component's line of leakage counts cycles.
    lines = {name: (name, 1.0) for name in nominal} | {
        name: (f"{name}_cycles", cycle_ns) for name in prices.leakage_mw()
    }
    counted = {scope: count_lines(machine, prices, *done) for scope, done in scopes.items()}
    described = []
    for one in find_assumptions(machine):
        swings = {
            scope: [
                math.fsum(
                    counts[lines[name][0]] * lines[name][1] * (price - nominal[name]) for name, price in end.items()
                )
                for end in (one.low, one.high)
            ]
            for scope, counts in counted.items()
        }
        moved = [
            {"action": line, "low_pj": scale * one.low[name], "high_pj": scale * one.high[name]}
            for name, (line, scale) in lines.items()
            if name in one.low
        ]
        described.append(
            {
                "entry": one.assumption.entry,
                "low": one.assumption.low,
                "high": one.assumption.high,
                "why": one.assumption.why,
                "prices": moved,
                "swings": swings,
            }
        )
    return described


def count_lines(machine: Architecture, prices: MachinePrices, actions: ActionCounts, cycles: int) -> dict[str, int]:
    """Count each line of a machine's energy."""
    return {line.action: line.count for line in compute_energy(actions, cycles, machine.clock_mhz, prices).lines}
