"""How a step of a batch is cut into tiles, found from the images that are looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from dataflows.contract.memory import MemoryShare
from dataflows.contract.tasks import SampledDataflow
from dataflows.contract.tile_plan import TilePlan, number_classes
from sim.architecture import Architecture
from sim.pinned_tiling import require_pinned
from sim.sampling.design import LEAST_CLUSTERS, StepDraws, TileDraws, TilePopulation, TileSample
from sim.sampling.pool import ImagePool
from sim.sampling.tile_runs import TileRuns
from workloads.arrays import Float64Array
from workloads.layer_images import LayerImages
from workloads.shapes import Step

# Images of which the tiling of a step is found at first, where not all of them are there: those drawn at least.
PILOT_IMAGES = LEAST_CLUSTERS


@dataclass(frozen=True, eq=False)
class SampledStep:
    """A step of a layer's batch on a machine, and the order in which it is drawn.

    Attributes:
        pool: Of the layer's images.
        memory: What it may use.
    """

    pool: ImagePool
    batch: int
    step: Step
    machine: Architecture
    dataflow: SampledDataflow
    draws: StepDraws
    memory: MemoryShare


@dataclass(frozen=True, eq=False)
class StepCut:
    """The tiles of a step, cut so that those of the known images fit; the others are taken to be like them."""

    sampled: SampledStep
    known: frozenset[int]
    runs: TileRuns
    draws: TileDraws

    def list_images(self, sample: TileSample) -> frozenset[int]:
        """List the images that drawn tiles belong to."""
        runs = self.runs.plan.runs[self.runs.plan.image_axis]
        return frozenset(image for cluster in sample.places for image in runs[cluster])

    def learn(self, images: Iterable[int]) -> StepCut:
        """Cut the step anew with more images known; what was executed is kept where it would be the same."""
        cut = cut_step(self.sampled, self.known | frozenset(images))
        same = cut.runs.pool is self.runs.pool and cut.runs.plan.is_same(self.runs.plan)
        return replace(cut, runs=self.runs) if same else cut


def begin_cut(
    pool: ImagePool, layer: LayerImages, step: Step, machine: Architecture, dataflow: SampledDataflow,
    draws: StepDraws, memory: MemoryShare | None = None,
) -> StepCut:  # fmt: skip
    """Find a first tiling of a batch, from the images that are drawn first.

    Args:
        memory: What the step may use, by default all that the machine has.

    Raises:
        UnmappableLayerError: the layer does not fit the machine.
    """
    batch = layer.shape.batch
    first = np.argsort(draws.order_images(batch), kind="stable")[: batch if layer.has_all else PILOT_IMAGES]
    share = memory or machine.describe_memory()
    assert share is not None
    return cut_step(SampledStep(pool, batch, step, machine, dataflow, draws, share), frozenset(first.tolist()))


def cut_step(sampled: SampledStep, known: frozenset[int]) -> StepCut:
    """Find the tiling of a batch from the known images; from all of them it is the full run's.

    Raises:
        UnmappableLayerError: the layer does not fit the machine.
    """
    batch, machine, step = sampled.batch, sampled.machine, sampled.step
    pool, chosen = sampled.pool.complete() if len(known) == batch else sampled.pool, sorted(known)
    images = np.arange(batch) % len(chosen)
    images[chosen] = np.arange(len(chosen))
    plan = sampled.dataflow.plan_tiles(machine.pose(pool.take(chosen), step, sampled.memory), images)
    require_pinned(sampled.memory, str(plan.tiling), machine)
    priority = sampled.draws.order_images(batch)
    runs = TileRuns(pool, plan, step, machine, sampled.dataflow, sampled.memory)
    return StepCut(sampled, known, runs, order_tiles(plan, sampled.draws, priority))


def order_tiles(plan: TilePlan, draws: StepDraws, priority: Float64Array) -> TileDraws:
    """Make the draws of a plan's tiles; a run of images comes as early as the first of its images."""
    others = [kinds for axis, kinds in enumerate(plan.classes) if axis != plan.image_axis]
    grid = np.stack([one.reshape(-1) for one in np.meshgrid(*others, indexing="ij")], axis=1)
    places = number_classes([tuple(kinds) for kinds in grid])
    first_image = np.array([priority[list(run)].min() for run in plan.runs[plan.image_axis]])
    return TileDraws(TilePopulation(plan.classes[plan.image_axis], places), draws, first_image)
