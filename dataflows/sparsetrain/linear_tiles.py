"""Some tiles of a fully connected layer's steps: the tiling of a whole batch, and the traffic of chosen tiles."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare, Traffic
from dataflows.contract.tile_plan import TilePlan, cut_axes, mark_ends, number_classes
from dataflows.sparsetrain.linear_plan import find_outer_tiling, find_products_tiling, plan_outer, plan_products
from dataflows.sparsetrain.linear_traffic import pack_outer_traffic, pack_products_traffic
from workloads.arrays import IntArray
from workloads.operands import Operands
from workloads.shapes import Step


def plan_products_tiles(
    operands: Operands, images: IntArray, step: Step, array: PEArray, memory: MemoryShare
) -> TilePlan:
    """Find the tiling of Forward or GTA for a batch that some images stand for; images: what stands for each.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    plan = plan_products(operands, step, array, memory).repeat(images)
    sizes = tuple(int(size) for size in find_products_tiling(plan))
    runs = cut_axes(plan.limits, sizes)
    outputs = [count_owned(run, array.pes_per_group, plan.outputs) for run in runs[1]]
    keys = ([len(run) for run in runs[0]], outputs, mark_ends([len(run) for run in runs[2]]))
    classes = tuple(number_classes(one) for one in keys)
    return TilePlan(sizes, runs, classes, 2, 0, plan.formats, headers=len(runs[2]))


def plan_outer_tiles(operands: Operands, images: IntArray, array: PEArray, memory: MemoryShare) -> TilePlan:
    """Find the tiling of GTW for a batch that some images stand for; images: what stands for each.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    known = plan_outer(operands, array, memory)
    idle, plan = known.find_idle(len(images) - operands.shape.batch), known.repeat(images)
    sizes = tuple(int(size) for size in find_outer_tiling(plan))
    runs = cut_axes(plan.limits, sizes)
    inputs = [count_owned(run, plan.block, plan.shape.in_features) for run in runs[1]]
    # Tiles of filters at rest take next to no time in every part, so they stand for one another only.
    filters = [
        (len(run), bool(idle[run.start : run.stop].all()), bool(idle[run.start : run.stop].any())) for run in runs[0]
    ]
    keys: tuple[Sequence[Hashable], ...] = filters, inputs, mark_ends([len(run) for run in runs[2]])
    classes = tuple(number_classes(one) for one in keys)
    return TilePlan(sizes, runs, classes, 2, 2, plan.formats, idle=frozenset(np.flatnonzero(idle).tolist()))


def count_owned(blocks: range, size: int, outputs: int) -> tuple[int, int]:
    """Count the blocks of a run, and the outputs in them."""
    return len(blocks), min(outputs, blocks.stop * size) - blocks.start * size


def pack_linear_tiles(
    plan: TilePlan,
    operands: Operands,
    images: Sequence[int],
    tiles: IntArray,
    step: Step,
    array: PEArray,
    memory: MemoryShare,
) -> Traffic:
    """Pack some tiles of a fully connected step; operands: of the images of these numbers."""
    entries = plan.choose(tiles, images)
    sizes = np.array(plan.sizes, dtype=np.int64)
    if step is Step.GTW:
        idle = np.isin(np.arange(plan.runs[0][-1].stop), list(plan.idle))
        return pack_outer_traffic(plan_outer(operands, array, memory, plan.formats), entries, sizes, idle)
    return pack_products_traffic(plan_products(operands, step, array, memory, plan.formats), entries, sizes)
