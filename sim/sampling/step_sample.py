"""One step of a layer on one machine, from a sample of its tiles."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from sim.sampling.cluster_counts import ClusterCount
from sim.sampling.deck import Deck, estimate_spreads, make_deck
from sim.sampling.design import (
    Effort,
    TilePopulation,
    TileSample,
    choose_effort,
    grow,
    start_effort,
)
from sim.sampling.estimate import StepEstimate
from sim.sampling.intervals import Spread
from sim.sampling.measures import Measure, StepTimes, sum_measures, time_deck
from sim.sampling.step_cut import StepCut
from sim.sampling.tile_runs import TileRuns
from workloads.arrays import Float64Array, IntArray

Choose = Callable[[TilePopulation], Effort]


class StepSampler:
    """Draws and estimates the tiles of one step on one machine."""

    def __init__(self, cut: StepCut) -> None:
        self._cut = cut

    @property
    def runs(self) -> TileRuns:
        """The tiles as they are cut at present."""
        return self._cut.runs

    def estimate(self, fraction: float) -> StepEstimate:
        """Estimate the step from about this fraction of its tiles."""
        return self._estimate(lambda population: choose_effort(population, fraction))[0]

    def estimate_within(self, is_enough: Callable[[StepEstimate], bool]) -> StepEstimate:
        """Estimate the step from more and more tiles until it is enough, or all are simulated."""
        choose: Choose = start_effort
        while True:
            found, effort = self._estimate(choose)
            more = grow(self._cut.draws.population, effort)
            if more is None or is_enough(found):
                return found

            # More images may cut the step anew; the effort stays what was reached.
            def choose(_: TilePopulation, effort: Effort = more) -> Effort:
                return effort

    def _draw(self, choose: Choose) -> tuple[TileSample, Effort]:
        """Draw tiles of a tiling that all images they belong to were looked at for."""
        while True:
            effort = choose(self._cut.draws.population)
            sample = self._cut.draws.draw(effort)
            needed = self._cut.list_images(sample)
            if needed <= self._cut.known:
                return sample, effort
            self._cut = self._cut.learn(needed)

    def _estimate(self, choose: Choose) -> tuple[StepEstimate, Effort]:
        sample, effort = self._draw(choose)
        measured, counted = self.runs.execute(sample)
        order, surroundings, pricing = self.runs.order, self.runs.surroundings, self.runs.pricing

        def evaluate(deck: Deck) -> Float64Array:
            times = time_deck(deck, measured, order, surroundings)
            sums, counts = sum_measures(deck, measured), deck.cluster_weights @ counted
            issues = self._count_cut_issues(sums, counts)
            return np.array([times.cycles, pricing.price(sums, counts, times.cycles, issues)])

        _, (cycles_spread, energy_spread) = estimate_spreads(sample, evaluate)
        deck = make_deck(sample)
        times = time_deck(deck, measured, order, surroundings)
        found = self._fill(
            times,
            sum_measures(deck, measured),
            deck.cluster_weights @ counted,
            measured[times.last_tile],
            cycles_spread,
            energy_spread,
            len(measured),
        )
        return found, effort

    def _fill(
        self, times: StepTimes, sums: Float64Array, counts: Float64Array, last: IntArray, cycles_spread: Spread,
        energy_spread: Spread, tiles: int,
    ) -> StepEstimate:  # fmt: skip
        """Round what was estimated; the cycles that no other state takes are those of waiting for the DRAM."""
        groups = self.runs.machine.array.groups
        busy, wait_operands, wait_ppu, idle = (
            round(float(sums[name])) for name in (Measure.BUSY, Measure.WAIT_OPERANDS, Measure.WAIT_PPU, Measure.IDLE)
        )
        idle += groups * (times.cycles - times.last_start) - int(last[Measure.ATTRIBUTED])
        busy, wait_operands, wait_dram, wait_ppu, idle = fit_states(
            groups * times.cycles, busy, wait_operands, wait_ppu, idle
        )
        headers = round(float(counts[ClusterCount.HEADER_CYCLES]))
        cut, plan = self._count_cut(sums, counts), self.runs.plan
        parts = prod(len(runs) for runs in plan.runs[plan.indices :])
        return StepEstimate(
            cycles=times.cycles,
            busy_cycles=busy,
            wait_operands_cycles=wait_operands,
            wait_dram_cycles=wait_dram,
            wait_ppu_cycles=wait_ppu,
            idle_cycles=idle,
            ports_busy_cycles=round(float(sums[Measure.PORTS_BUSY])),
            dram_busy_cycles=times.dram_busy_cycles,
            ppu_busy_cycles=round(float(sums[Measure.PPU_BUSY])),
            events=round(float(sums[Measure.EVENTS])) + 2 * len(self.runs.plan),
            pe_cycles=round(float(sums[Measure.PE_CYCLES])),
            header_cycles=headers + cut,
            tasks=self.runs.plan.tasks,
            task_indices="/".join(self.runs.plan.index_names) or "none",
            tiles=len(self.runs.plan),
            tiling=str(self.runs.plan.tiling),
            buffer_read_bytes=round(float(sums[Measure.READ_BYTES])),
            buffer_write_bytes=round(float(sums[Measure.WRITTEN_BYTES])),
            dram_read_bytes=round(float(sums[Measure.LOAD_BYTES])),
            dram_write_bytes=round(float(sums[Measure.WRITE_BACK_BYTES])),
            residency_saved_bytes=round(float(sums[Measure.KEPT_LOAD_BYTES] + sums[Measure.KEPT_RESULT_BYTES])),
            kept_result_bytes=round(float(sums[Measure.KEPT_RESULT_BYTES])),
            counts=counts,
            results=round(float(sums[Measure.PPU_ELEMENTS]) / parts),
            actions=self.runs.pricing.round_actions(sums, counts, self._count_cut_issues(sums, counts)),
            fraction=tiles / len(self.runs.plan),
            cycles_spread=cycles_spread,
            energy_spread=energy_spread,
        )

    def _count_cut(self, sums: Float64Array, counts: Float64Array) -> int:
        """Estimate the PEs' cycles that cutting rows adds: headers, and multipliers that the ends of pieces leave idle.

        Headers are counted; what the ends add is a difference of estimates, and never negative.
        """
        return round(self._count_cut_headers(sums, counts)) + round(self._count_cut_issues(sums, counts))

    def _count_cut_headers(self, sums: Float64Array, counts: Float64Array) -> float:
        """Count the cycles of headers that cutting rows adds, or estimate them where empty pieces have none."""
        plan, array = self.runs.plan, self.runs.machine.array.describe()
        if plan.headers == 1:
            return 0.0
        row_ops = float(counts[ClusterCount.ROW_OPS])
        added = sums[Measure.PIECES] - row_ops if array.passes_empty_rows else (plan.headers - 1) * round(row_ops)
        return max(0.0, float(added)) * array.row_overhead_cycles

    def _count_cut_issues(self, sums: Float64Array, counts: Float64Array) -> float:
        """Estimate the issues that the ends of pieces add, in which some multipliers are idle."""
        plan, array = self.runs.plan, self.runs.machine.array
        if plan.headers == 1 or array.multipliers_per_pe == 1:
            return 0.0
        headers = self._count_cut_headers(sums, counts)
        return max(0.0, float(sums[Measure.PE_CYCLES] - counts[ClusterCount.UNCUT_PE_CYCLES]) - headers)


def fit_states(total: int, busy: int, wait_operands: int, wait_ppu: int, idle: int) -> tuple[int, int, int, int, int]:
    """Give busy, wait for operands, for DRAM, for the PPU, and idle, none negative, which sum to a total.

    What no other state takes is waiting for the DRAM. What is estimated beyond the total is taken from idle, then from
    busy, then from the waits.
    """
    idle = max(0, idle)
    excess = max(0, busy + wait_operands + wait_ppu + idle - total)
    found = []
    for cycles in (idle, busy, wait_operands, wait_ppu):
        taken = min(cycles, excess)
        excess -= taken
        found.append(cycles - taken)
    idle, busy, wait_operands, wait_ppu = found
    return busy, wait_operands, total - sum(found), wait_ppu, idle
