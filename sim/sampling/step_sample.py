"""One step of a layer on one machine, from a sample of its tiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dataflows.tasks import SampledDataflow
from dataflows.tile_plan import TilePlan, number_classes
from sim.architecture import Architecture
from sim.layer_run import describe_surroundings
from sim.sampling.cluster_counts import ClusterCount, count_cluster
from sim.sampling.deck import Deck, estimate_spreads, make_deck
from sim.sampling.design import (
    Effort,
    StepDraws,
    TileDraws,
    TilePopulation,
    TileSample,
    choose_effort,
    draw_all,
    grow,
    start_effort,
)
from sim.sampling.estimate import StepEstimate
from sim.sampling.intervals import Spread
from sim.sampling.measures import Measure, StepTimes, TileOrder, sum_measures, time_deck
from sim.sampling.pool import ImagePool
from sim.sampling.pricing import Pricing, round_actions
from sim.sampling.tile_runs import measure_tiles
from workloads.shapes import LayerShape, Step

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

# Images of which the tiling of a step is found, where not all of them are there.
PILOT_IMAGES = 8


class StepSampler:
    """Draws, executes and estimates the tiles of one step on one machine."""

    def __init__(
        self, pool: ImagePool, shape: LayerShape, step: Step, machine: Architecture, dataflow: SampledDataflow,
        draws: StepDraws, has_all: bool,
    ) -> None:  # fmt: skip
        self._pool, self._step, self._machine, self._dataflow = pool, step, machine, dataflow
        memory = machine.describe_memory()
        assert memory is not None
        self._memory, self._array = memory, machine.array.describe()
        self._surroundings = describe_surroundings(machine)
        self._pricing = Pricing(machine)
        self._plan, self._draws = self._settle_plan(draws, shape.batch, has_all)
        self._population = self._draws.population
        self._order = TileOrder(tuple(len(one) for one in self._plan.runs), self._plan.image_axis)
        self._measured: dict[tuple[int, int], IntArray] = {}
        self._counted: dict[int, FloatArray] = {}

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

    def _settle_plan(self, draws: StepDraws, batch: int, has_all: bool) -> tuple[TilePlan, TileDraws]:
        """Find the tiling of the batch from some images, and from more where the first sample needs more of them."""
        priority = draws.order_images(batch)
        known = sorted(np.argsort(priority, kind="stable")[: batch if has_all else PILOT_IMAGES].tolist())
        while True:
            images = np.arange(batch) % len(known)
            images[known] = np.arange(len(known))
            plan = self._dataflow.plan_tiles(
                self._pool.take(known), images, self._step, self._array, self._memory
            )  # fmt: skip
            made = order_tiles(plan, draws, priority)
            drawn = made.draw(start_effort(made.population)).places
            runs = plan.runs[plan.image_axis]
            needed = {image for cluster in drawn for image in runs[cluster]} | set(known)
            if len(needed) == len(known):
                return plan, made
            known = sorted(needed)

    def _estimate(self, effort: Effort) -> StepEstimate:
        sample = self._draws.draw(effort)
        self._execute(sample)
        drawn = np.argwhere(sample.tiles)
        measured = np.array([self._measured[int(c), int(p)] for c, p in drawn])
        counted = np.array([self._counted[cluster] for cluster in sorted(sample.places)])

        def evaluate(deck: Deck) -> FloatArray:
            times = time_deck(deck, measured, self._order, self._surroundings)
            sums, counts = sum_measures(deck, measured), deck.cluster_weights @ counted
            return np.array([times.cycles, self._pricing.price(sums, counts, times.cycles)])

        _, (cycles_spread, energy_spread) = estimate_spreads(sample, evaluate)
        deck = make_deck(sample)
        times = time_deck(deck, measured, self._order, self._surroundings)
        return self._fill(
            times,
            sum_measures(deck, measured),
            deck.cluster_weights @ counted,
            measured[times.last_tile],
            cycles_spread,
            energy_spread,
            len(drawn),
        )

    def _fill(
        self, times: StepTimes, sums: FloatArray, counts: FloatArray, last: IntArray, cycles_spread: Spread,
        energy_spread: Spread, tiles: int,
    ) -> StepEstimate:  # fmt: skip
        """Round what was estimated; the cycles that no other state takes are those of waiting for the DRAM."""
        groups = self._machine.array.groups
        busy, wait_operands, wait_ppu, idle = (
            round(float(sums[name])) for name in (Measure.BUSY, Measure.WAIT_OPERANDS, Measure.WAIT_PPU, Measure.IDLE)
        )
        idle += groups * (times.cycles - times.last_start) - int(last[Measure.ATTRIBUTED])
        wait_dram = groups * times.cycles - busy - wait_operands - wait_ppu - idle
        headers = round(float(counts[ClusterCount.HEADER_CYCLES]))
        cut = (self._plan.headers - 1) * round(float(counts[ClusterCount.ROW_OPS])) * self._array.row_overhead_cycles
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
            events=round(float(sums[Measure.EVENTS])) + 2 * len(self._plan),
            pe_cycles=round(float(sums[Measure.PE_CYCLES])),
            header_cycles=headers + cut,
            tasks=self._plan.tasks,
            tiles=len(self._plan),
            buffer_read_bytes=round(float(sums[Measure.READ_BYTES])),
            buffer_write_bytes=round(float(sums[Measure.WRITTEN_BYTES])),
            dram_read_bytes=round(float(sums[Measure.LOAD_BYTES])),
            dram_write_bytes=round(float(sums[Measure.WRITE_BACK_BYTES])),
            counts=counts,
            actions=round_actions(sums, counts),
            fraction=tiles / len(self._plan),
            cycles_spread=cycles_spread,
            energy_spread=energy_spread,
        )

    def _execute(self, sample: TileSample) -> None:
        """Execute the drawn tiles that were not executed before, one cluster after the other."""
        runs = self._plan.runs[self._plan.image_axis]
        self._pool.prepare(image for cluster in sample.places for image in runs[cluster])
        for cluster, strata in sample.places.items():
            places = sorted(place for stratum in strata for place in stratum.drawn.tolist())
            missing = [place for place in places if (cluster, place) not in self._measured]
            if not missing:
                continue
            images = list(runs[cluster])
            operands = self._pool.take(images)
            numbers = self._order.number(np.full(len(missing), cluster), np.array(missing))
            traffic = self._dataflow.pack_tiles(
                self._plan, operands, images, numbers, self._step, self._array, self._memory
            )
            found = measure_tiles(traffic, self._machine.array.groups, self._surroundings)
            self._measured |= {(cluster, place): row for place, row in zip(missing, found, strict=True)}
            if cluster not in self._counted:
                counts = self._dataflow.count(operands, self._step, self._array)
                self._counted[cluster] = count_cluster(
                    operands, counts, self._step, self._plan.formats[0], self._memory.data_bits
                )


def order_tiles(plan: TilePlan, draws: StepDraws, priority: FloatArray) -> TileDraws:
    """Make the draws of a plan's tiles; a run of images comes as early as the first of its images."""
    others = [kinds for axis, kinds in enumerate(plan.classes) if axis != plan.image_axis]
    grid = np.stack([one.reshape(-1) for one in np.meshgrid(*others, indexing="ij")], axis=1)
    places = number_classes([tuple(kinds) for kinds in grid])
    first_image = np.array([priority[list(run)].min() for run in plan.runs[plan.image_axis]])
    return TileDraws(TilePopulation(plan.classes[plan.image_axis], places), draws, first_image)
