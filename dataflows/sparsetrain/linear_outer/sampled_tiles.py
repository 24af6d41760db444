"""Some tiles of GTW of a fully connected layer: the tiling of a whole batch."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from dataflows.contract.problem import StepProblem
from dataflows.contract.tile_plan import TilePlan, cut_axes, mark_ends, number_classes
from dataflows.sparsetrain.linear_outer.plan import find_outer_tiling, plan_outer
from dataflows.sparsetrain.linear_products.sampled_tiles import count_owned
from workloads.arrays import IntArray


def plan_outer_tiles(problem: StepProblem, images: IntArray) -> TilePlan:
    """Find the tiling of GTW for a batch that some images stand for.

    Args:
        images: What stands for each.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    known = plan_outer(problem)
    idle, plan = known.find_idle(len(images) - problem.operands.shape.batch), known.repeat(images)
    sizes = tuple(int(size) for size in find_outer_tiling(plan.move()))
    runs = cut_axes(plan.limits, sizes)
    inputs = [count_owned(run, plan.block, plan.shape.in_features) for run in runs[1]]
    # Tiles of filters at rest take next to no time in every part, so they stand for one another only.
    at_rest = np.asarray(idle.all(axis=1))
    filters = [
        (len(run), bool(at_rest[run.start : run.stop].all()), bool(at_rest[run.start : run.stop].any()))
        for run in runs[0]
    ]
    keys: tuple[Sequence[Hashable], ...] = filters, inputs, mark_ends([len(run) for run in runs[2]])
    classes = tuple(number_classes(axis_keys) for axis_keys in keys)
    return TilePlan(sizes, runs, classes, 2, 2, plan.formats, idle=idle)
