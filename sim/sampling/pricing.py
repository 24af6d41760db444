"""The energy of a step from estimated sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dataflows.contract.actions import Action, list_counted
from sim.architecture import Architecture
from sim.energy import ActionCounts
from sim.machine_energy import find_prices, read_actions, split_declared
from sim.sampling.cluster_counts import ClusterCount
from sim.sampling.measures import Measure
from workloads.arrays import Float64Array


def list_actions(sums: Float64Array, counts: Float64Array) -> dict[str, float]:
    """Give how often each action of the machine is done, not rounded, from the sums over tiles and over clusters."""
    multiplications = float(counts[ClusterCount.MULTIPLICATIONS])
    return {
        "multiplies": multiplications,
        "accumulates": multiplications,
        "operand_store_writes": float(sums[Measure.STORE_WRITES]),
        "ppu_elements": float(sums[Measure.PPU_ELEMENTS]),
        "buffer_reads": float(sums[Measure.READ_ACCESSES]),
        "buffer_writes": float(sums[Measure.WRITE_ACCESSES]),
        "noc_bytes": float(sums[Measure.READ_BYTES] + sums[Measure.SHARED_BYTES] + sums[Measure.WRITTEN_BYTES]),
        "dram_read_bits": 8 * float(sums[Measure.LOAD_BYTES]),
        "dram_write_bits": 8 * float(sums[Measure.WRITE_BACK_BYTES]),
    }


def list_declared(
    declared: Sequence[Action], counts: Float64Array, multiplications: float, cut_issues: float
) -> dict[str, float]:
    """Give how often each action of the dataflow is done, not rounded, from the sums over clusters.

    Args:
        cut_issues: Those that cutting rows adds, each with an update of an accumulator.
    """
    counted = dict(zip(list_counted(declared), counts[len(ClusterCount) :].tolist(), strict=True))
    if "accumulator_updates" in counted:
        counted["accumulator_updates"] += cut_issues
    return {
        action.name: counted[action.name]
        if action.per_multiplication is None
        else action.per_multiplication * multiplications
        for action in declared
    }


class Pricing:
    """The prices of one machine as numbers; 0 pJ on a machine without prices."""

    def __init__(self, machine: Architecture) -> None:
        prices = find_prices(machine)
        self._declared = () if prices is None else read_actions(machine.dataflow)
        self.counted = list_counted(self._declared)
        self._actions: dict[str, float] = {}
        self._cycle_pj = 0.0
        if prices is not None:
            self._actions = {price.action: price.pj_per_action for price in prices.actions}
            self._cycle_pj = sum(unit.leakage_mw for unit in prices.units) * 1000 / machine.clock_mhz

    def price(self, sums: Float64Array, counts: Float64Array, cycles: int, cut_issues: float = 0.0) -> float:
        """Give the energy of a step in pJ."""
        if not self._actions:
            return 0.0
        multiplications = float(counts[ClusterCount.MULTIPLICATIONS])
        done = list_actions(sums, counts) | {"accumulator_updates": multiplications}
        done |= list_declared(self._declared, counts, multiplications, cut_issues)
        spent = sum(price * done.get(name, 0.0) for name, price in self._actions.items())
        return spent + self._cycle_pj * cycles

    def round_actions(self, sums: Float64Array, counts: Float64Array, cut_issues: float = 0.0) -> ActionCounts:
        """Tell how often each action is done; multiplications are rounded once, so that what follows of them agrees."""
        rounded: dict[str, Any] = {name: round(value) for name, value in list_actions(sums, counts).items()}
        done = list_declared(self._declared, counts, rounded["multiplies"], cut_issues)
        declared = {name: round(value) for name, value in done.items()}
        return ActionCounts(**rounded, **split_declared(self._declared, declared, rounded["multiplies"]))
