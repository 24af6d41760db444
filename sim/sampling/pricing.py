"""The energy of a step from estimated sums."""

from __future__ import annotations

from sim.architecture import Architecture
from sim.energy import ActionCounts
from sim.machine_energy import find_prices
from sim.sampling.cluster_counts import ClusterCount
from sim.sampling.measures import Measure
from workloads.arrays import Float64Array


def list_actions(sums: Float64Array, counts: Float64Array) -> dict[str, float]:
    """Give how often each action is done, not rounded, from the sums over tiles and over clusters."""
    multiplications = float(counts[ClusterCount.MULTIPLICATIONS])
    return {
        "multiplies": multiplications,
        "accumulates": multiplications,
        "operand_store_reads": 2 * multiplications,
        "operand_store_writes": float(sums[Measure.STORE_WRITES]),
        "taps_examined": float(counts[ClusterCount.TAPS_EXAMINED]),
        "ppu_elements": float(sums[Measure.PPU_ELEMENTS]),
        "buffer_reads": float(sums[Measure.READ_ACCESSES]),
        "buffer_writes": float(sums[Measure.WRITE_ACCESSES]),
        "noc_bytes": float(sums[Measure.READ_BYTES] + sums[Measure.WRITTEN_BYTES]),
        "dram_read_bits": 8 * float(sums[Measure.LOAD_BYTES]),
        "dram_write_bits": 8 * float(sums[Measure.WRITE_BACK_BYTES]),
    }


def round_actions(sums: Float64Array, counts: Float64Array) -> ActionCounts:
    """Give how often each action is done; multiplications are rounded once, so that what follows from them agrees."""
    rounded = {name: round(value) for name, value in list_actions(sums, counts).items()}
    rounded["operand_store_reads"] = 2 * rounded["multiplies"]
    return ActionCounts(**rounded)


class Pricing:
    """The prices of one machine as numbers; 0 pJ on a machine without prices."""

    def __init__(self, machine: Architecture) -> None:
        prices = find_prices(machine)
        self._actions: dict[str, float] = {}
        self._cycle_pj = 0.0
        if prices is not None:
            self._actions = {price.action: price.pj_per_action for price in prices.actions}
            self._cycle_pj = sum(unit.leakage_mw for unit in prices.units) * 1000 / machine.clock_mhz

    def price(self, sums: Float64Array, counts: Float64Array, cycles: int) -> float:
        """Give the energy of a step in pJ."""
        if not self._actions:
            return 0.0
        spent = sum(self._actions.get(name, 0.0) * count for name, count in list_actions(sums, counts).items())
        return spent + self._cycle_pj * cycles
