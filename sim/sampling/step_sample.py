"""One step of a layer on one machine, from a sample of its tiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dataflows.tasks import SampledDataflow
from dataflows.tile_plan import TilePlan, number_classes
from sim.architecture import Architecture
from sim.sampling.cluster_counts import ClusterCount
from sim.sampling.deck import Deck, estimate_spreads, make_deck
from sim.sampling.design import (
    LEAST_CLUSTERS,
    Effort,
    StepDraws,
    TileDraws,
    TilePopulation,
    choose_effort,
    draw_all,
    grow,
    start_effort,
)
from sim.sampling.estimate import StepEstimate
from sim.sampling.intervals import Spread
from sim.sampling.measures import Measure, StepTimes, sum_measures, time_deck
from sim.sampling.pool import ImagePool
from sim.sampling.pricing import round_actions
from sim.sampling.tile_runs import TileRuns
from workloads.layer_images import LayerImages
from workloads.shapes import Step

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

# Images of which the tiling of a step is found at first, where not all of them are there: those drawn at least.
PILOT_IMAGES = LEAST_CLUSTERS


class StepSampler:
    """Draws and estimates the tiles of one step on one machine."""

    def __init__(self, runs: TileRuns, draws: TileDraws) -> None:
        self.runs, self._draws, self._population = runs, draws, draws.population

    def estimate(self, fraction: float) -> StepEstimate:
        """Estimate the step from about this fraction of its tiles."""
        return self._estimate(choose_effort(self._population, fraction))

    def estimate_within(self, is_enough: Callable[[StepEstimate], bool]) -> StepEstimate:
        """Estimate the step from more and more tiles until it is enough, or all are simulated."""
        effort: Effort | None = start_effort(self._population)
        while True:
            assert effort is not None
            found = self._estimate(effort)
            effort = grow(self._population, effort)
            if effort is None or is_enough(found):
                return found

    def estimate_all(self) -> StepEstimate:
        """Simulate every tile."""
        return self._estimate(draw_all(self._population))

    def _estimate(self, effort: Effort) -> StepEstimate:
        sample = self._draws.draw(effort)
        measured, counted = self.runs.execute(sample)
        order, surroundings, pricing = self.runs.order, self.runs.surroundings, self.runs.pricing

        def evaluate(deck: Deck) -> FloatArray:
            times = time_deck(deck, measured, order, surroundings)
            sums, counts = sum_measures(deck, measured), deck.cluster_weights @ counted
            return np.array([times.cycles, pricing.price(sums, counts, times.cycles)])

        _, (cycles_spread, energy_spread) = estimate_spreads(sample, evaluate)
        deck = make_deck(sample)
        times = time_deck(deck, measured, order, surroundings)
        return self._fill(
            times,
            sum_measures(deck, measured),
            deck.cluster_weights @ counted,
            measured[times.last_tile],
            cycles_spread,
            energy_spread,
            len(measured),
        )

    def _fill(
        self, times: StepTimes, sums: FloatArray, counts: FloatArray, last: IntArray, cycles_spread: Spread,
        energy_spread: Spread, tiles: int,
    ) -> StepEstimate:  # fmt: skip
        """Round what was estimated; the cycles that no other state takes are those of waiting for the DRAM."""
        groups = self.runs.machine.array.groups
        busy, wait_operands, wait_ppu, idle = (
            round(float(sums[name])) for name in (Measure.BUSY, Measure.WAIT_OPERANDS, Measure.WAIT_PPU, Measure.IDLE)
        )
        idle += groups * (times.cycles - times.last_start) - int(last[Measure.ATTRIBUTED])
        wait_dram = groups * times.cycles - busy - wait_operands - wait_ppu - idle
        headers = round(float(counts[ClusterCount.HEADER_CYCLES]))
        cut = (
            (self.runs.plan.headers - 1)
            * round(float(counts[ClusterCount.ROW_OPS]))
            * self.runs.machine.array.row_overhead_cycles
        )
        return StepEstimate(
            cycles=times.cycles,
            busy_cycles=busy,
            wait_operands_cycles=wait_operands,
            wait_dram_cycles=max(0, wait_dram),
            wait_ppu_cycles=wait_ppu,
            idle_cycles=idle + min(0, wait_dram),
            ports_busy_cycles=round(float(sums[Measure.PORTS_BUSY])),
            dram_busy_cycles=times.dram_busy_cycles,
            ppu_busy_cycles=round(float(sums[Measure.PPU_BUSY])),
            events=round(float(sums[Measure.EVENTS])) + 2 * len(self.runs.plan),
            pe_cycles=round(float(sums[Measure.PE_CYCLES])),
            header_cycles=headers + cut,
            tasks=self.runs.plan.tasks,
            tiles=len(self.runs.plan),
            buffer_read_bytes=round(float(sums[Measure.READ_BYTES])),
            buffer_write_bytes=round(float(sums[Measure.WRITTEN_BYTES])),
            dram_read_bytes=round(float(sums[Measure.LOAD_BYTES])),
            dram_write_bytes=round(float(sums[Measure.WRITE_BACK_BYTES])),
            counts=counts,
            actions=round_actions(sums, counts),
            fraction=tiles / len(self.runs.plan),
            cycles_spread=cycles_spread,
            energy_spread=energy_spread,
        )


def make_sampler(
    pool: ImagePool, layer: LayerImages, step: Step, machine: Architecture, dataflow: SampledDataflow, draws: StepDraws
) -> StepSampler:
    """Find the tiling of a batch from some images, and from more where the first sample needs more of them.

    Raises:
        UnmappableLayerError: the layer does not fit the machine.
    """
    batch, memory = layer.shape.batch, machine.describe_memory()
    assert memory is not None
    priority = draws.order_images(batch)
    known = sorted(np.argsort(priority, kind="stable")[: batch if layer.has_all else PILOT_IMAGES].tolist())
    while True:
        images = np.arange(batch) % len(known)
        images[known] = np.arange(len(known))
        plan = dataflow.plan_tiles(pool.take(known), images, step, machine.array.describe(), memory)
        made = order_tiles(plan, draws, priority)
        runs = plan.runs[plan.image_axis]
        needed = {image for cluster in made.draw(start_effort(made.population)).places for image in runs[cluster]}
        if needed <= set(known):
            return StepSampler(TileRuns(pool, plan, step, machine, dataflow), made)
        known = sorted(needed | set(known))


def order_tiles(plan: TilePlan, draws: StepDraws, priority: FloatArray) -> TileDraws:
    """Make the draws of a plan's tiles; a run of images comes as early as the first of its images."""
    others = [kinds for axis, kinds in enumerate(plan.classes) if axis != plan.image_axis]
    grid = np.stack([one.reshape(-1) for one in np.meshgrid(*others, indexing="ij")], axis=1)
    places = number_classes([tuple(kinds) for kinds in grid])
    first_image = np.array([priority[list(run)].min() for run in plan.runs[plan.image_axis]])
    return TileDraws(TilePopulation(plan.classes[plan.image_axis], places), draws, first_image)
