"""What a sample tells of one step on one machine."""

from __future__ import annotations

from dataclasses import dataclass

from sim.energy import ActionCounts
from sim.sampling.intervals import Spread
from workloads.arrays import Float64Array


@dataclass(frozen=True, eq=False)
class StepEstimate:
    """A step's figures, rounded, estimated for the whole batch; names and units are those of ``steps.csv``.

    Attributes:
        pe_cycles: Cycles of PEs at work and of row headers.
        header_cycles: Cycles of PEs at work and of row headers.
        counts: float64, by `ClusterCount`.
        actions: None where memory takes no time.
        kept_result_bytes: Of the result, where it is not written to DRAM.
        results: Those that pass the PPUs, each once though its reduction may be cut.
        fraction: Share of the tiles (on an ideal machine: of the images) simulated.
        cycles_spread: Of the cycles, and of the energy in pJ.
        energy_spread: Of the cycles, and of the energy in pJ.
    """

    cycles: int
    busy_cycles: int
    wait_operands_cycles: int
    wait_dram_cycles: int
    wait_ppu_cycles: int
    idle_cycles: int
    ports_busy_cycles: int
    dram_busy_cycles: int
    ppu_busy_cycles: int
    events: int
    pe_cycles: int
    header_cycles: int
    tasks: int
    task_indices: str
    tiles: int
    tiling: str
    buffer_read_bytes: int
    buffer_write_bytes: int
    dram_read_bytes: int
    dram_write_bytes: int
    residency_saved_bytes: int
    kept_result_bytes: int
    counts: Float64Array
    results: int
    actions: ActionCounts | None
    fraction: float
    cycles_spread: Spread
    energy_spread: Spread
