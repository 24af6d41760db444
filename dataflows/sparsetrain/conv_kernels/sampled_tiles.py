"""Some tiles of GTW of a convolution: of a whole batch, and the traffic of those chosen."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tile_plan import TilePlan, cut_axes, mark_ends, number_classes
from dataflows.sparsetrain.conv_kernels.plan import plan_kernels
from dataflows.sparsetrain.conv_kernels.tile_tables import tabulate_kernels
from dataflows.sparsetrain.conv_kernels.traffic import find_kernels_tiling, pack_kernels_traffic
from workloads.arrays import IntArray


def plan_kernels_tiles(problem: StepProblem, images: IntArray) -> TilePlan:
    """Find the tiling of GTW for a batch that some images stand for.

    Args:
        images: int64 ``(N,)``, what stands for each.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    known = plan_kernels(problem)
    idle, plan = known.find_idle(len(images) - problem.operands.shape.batch), known.repeat(images)
    tables = tabulate_kernels(plan.move())
    sizes = tuple(int(size) for size in find_kernels_tiling(plan, tables))
    runs = cut_axes((*plan.limits, *plan.reductions), sizes)
    indices = len(plan.limits)
    keys: list[list[Hashable]] = []
    for kernels, axis in ((tables.outer_kernels, runs[0]), (tables.inner_kernels, runs[1])):
        keys.append([(len(run), int(kernels[run.stop] - kernels[run.start])) for run in axis])
    if plan.tasks.packed == 1:
        units = tables.units
        keys[0] = [(len(run), int(units[run.stop - 1] - units[run.start])) for run in runs[0]]
    if len(plan.runs) > 1:
        keys.append([tuple(len(rows) for rows in plan.runs[run.start : run.stop]) for run in runs[2]])
    spans = plan.driver_spans[int(tables.ranges[0, -1])]
    met = (plan.pairs >= 0).sum(axis=1)
    keys.append(mark_ends([len(run) for run in runs[indices]]))
    rows = [(len(run), spans.count(run.start, run.stop), tuple(met[list(run)])) for run in runs[indices + 1]]
    keys.append(mark_ends(rows))
    classes = tuple(number_classes(axis_keys) for axis_keys in keys)
    return TilePlan(sizes, runs, classes, indices=indices, image_axis=indices, formats=plan.formats, idle=idle)


def pack_kernels_tiles(plan: TilePlan, problem: StepProblem, images: Sequence[int], tiles: IntArray) -> Traffic:
    """Pack some tiles of GTW; operands: of the images of these numbers."""
    entries = plan.choose(tiles, images)
    kernels = plan_kernels(problem, plan.formats)
    idle = kernels.find_idle() if plan.idle is None else plan.idle
    tables, sizes = tabulate_kernels(kernels.move()), np.array(plan.sizes, dtype=np.int64)
    return pack_kernels_traffic(kernels, tables, entries, sizes, idle)
