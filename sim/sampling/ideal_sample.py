"""One step of a layer on an ideal machine, from a sample of its images.

There is one tile and nothing but PE groups. Tasks of Forward and GTA belong to one image each: a batch takes the mean
work of an image times the images over the groups, and the tail in which groups run out of tasks, which is measured on
the sampled images as a batch of their own. Every task of GTW goes through all images, and its cycles grow with them;
but for a product of two activations, whose tasks belong to one image each in every step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dataflows.contract.tasks import SampledDataflow, TaskTable
from sim.architecture import Architecture
from sim.machine.accelerator import Engine, StepTiming, run_step
from sim.machine.ledger import State
from sim.machine.surroundings import INSTANT
from sim.sampling.cluster_counts import ClusterCount, count_cluster
from sim.sampling.design import ALL_DRAWN, LEAST_CLUSTERS, StepDraws
from sim.sampling.estimate import StepEstimate
from sim.sampling.intervals import EXACT, Spread
from sim.sampling.pool import ImagePool
from workloads.arrays import Float64Array
from workloads.shapes import LayerShape, Step


class IdealSampler:
    """Draws, executes and estimates the images of one step on one ideal machine."""

    def __init__(
        self, pool: ImagePool, shape: LayerShape, step: Step, machine: Architecture, dataflow: SampledDataflow,
        draws: StepDraws,
    ) -> None:  # fmt: skip
        self._pool, self._step, self._dataflow = pool, step, dataflow
        self._sums_images = step is Step.GTW and not shape.weighs_activations
        self._machine, self._groups, self._batch = machine, machine.array.groups, shape.batch
        self._order = [int(image) for image in np.argsort(draws.order_images(shape.batch), kind="stable")]
        self._tables: dict[int, TaskTable] = {}
        self._counts: dict[int, Float64Array] = {}

    def estimate(self, fraction: float) -> StepEstimate:
        """Estimate the step from about this fraction of its images."""
        return self._estimate(max(LEAST_CLUSTERS, int(fraction * self._batch)))

    def estimate_within(self, is_enough: Callable[[StepEstimate], bool]) -> StepEstimate:
        """Estimate the step from more and more images until it is enough, or all are simulated."""
        images = LEAST_CLUSTERS
        while True:
            found = self._estimate(images)
            if found.fraction == 1 or is_enough(found):
                return found
            images *= 2

    def _estimate(self, images: int) -> StepEstimate:
        if self._batch <= max(ALL_DRAWN, images):
            images = self._batch
        chosen, factor = sorted(self._order[:images]), self._batch / images
        self._pool.prepare(chosen)
        for image in chosen:
            if image not in self._tables:
                operands = self._pool.take([image])
                self._tables[image] = self._dataflow.lower(self._machine.pose(operands, self._step))
                counts = self._dataflow.count(self._machine.pose(operands, self._step))
                self._counts[image] = count_cluster(operands, counts, self._step)
        counts = factor * np.sum([self._counts[image] for image in chosen], axis=0)
        timing, work = self._run(chosen), {image: self._sum_work(image) for image in chosen}
        pe_cycles = factor * sum(float(self._tables[image].pe_cycles.sum()) for image in chosen)
        if images == self._batch:
            cycles, busy, spread = timing.cycles, int(timing.spent[:, State.BUSY].sum()), EXACT
        elif self._sums_images:
            cycles, busy = round(factor * timing.cycles), round(factor * int(timing.spent[:, State.BUSY].sum()))
            left_out = [self._run([one for one in chosen if one != image]).cycles for image in chosen]
            spread = jackknife(np.array(left_out) * (self._batch / (images - 1)), images / self._batch)
        else:
            done = sum(work.values())
            busy = round(factor * done)
            cycles = round(factor * done / self._groups + timing.cycles - done / self._groups)
            means = np.array([(done - work[image]) / (images - 1) for image in chosen]) * self._batch / self._groups
            spread = jackknife(means, images / self._batch)
        tasks = len(self._tables[chosen[0]]) * (1 if self._sums_images else self._batch)
        return StepEstimate(
            cycles=cycles,
            busy_cycles=busy,
            wait_operands_cycles=0,
            wait_dram_cycles=0,
            wait_ppu_cycles=0,
            idle_cycles=self._groups * cycles - busy,
            ports_busy_cycles=0,
            dram_busy_cycles=0,
            ppu_busy_cycles=0,
            events=round(timing.events * (1 if self._sums_images else factor)),
            pe_cycles=round(pe_cycles),
            header_cycles=round(float(counts[ClusterCount.HEADER_CYCLES])),
            tasks=tasks,
            task_indices="/".join(next(iter(self._tables.values())).index_names),
            tiles=1,
            tiling="none",
            buffer_read_bytes=0,
            buffer_write_bytes=0,
            dram_read_bytes=0,
            dram_write_bytes=0,
            residency_saved_bytes=0,
            kept_result_bytes=0,
            counts=counts,
            results=0,
            actions=None,
            fraction=images / self._batch,
            cycles_spread=spread,
            energy_spread=EXACT,
        )

    def _run(self, images: list[int]) -> StepTiming:
        """Execute some images as a batch of their own."""
        tables = [self._tables[image] for image in images]
        if self._sums_images:
            pe_cycles = np.sum([table.pe_cycles for table in tables], axis=0)
            indices = tables[0].indices
        else:
            pe_cycles = np.concatenate([table.pe_cycles for table in tables])
            indices = np.concatenate([table.indices for table in tables])
        table = TaskTable(pe_cycles, tables[0].index_names, indices, tables[0].counts)
        return run_step(table, self._groups, INSTANT, Engine.COMPILED)

    def _sum_work(self, image: int) -> int:
        """Sum the cycles for which an image's tasks keep a group busy."""
        return int(self._tables[image].pe_cycles.max(axis=1).sum())


def jackknife(left_out: Float64Array, fraction: float) -> Spread:
    """Give the spread of an estimate from those that leave out each of the units drawn, a fraction of all."""
    count = len(left_out)
    deviations = float(np.square(left_out - left_out.mean()).sum())
    return Spread((1 - fraction) * (count - 1) / count * deviations, count - 1)
