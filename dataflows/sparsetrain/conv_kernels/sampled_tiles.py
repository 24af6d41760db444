"""Some tiles of GTW of a convolution: of a whole batch, and the traffic of those chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tile_plan import TilePlan, cut_axes, mark_ends, number_classes
from dataflows.sparsetrain.conv_kernels.traffic import (
    find_kernels_tiling,
    pack_kernels_traffic,
    plan_kernels,
    tabulate_kernels,
)
from workloads.arrays import IntArray


def plan_kernels_tiles(problem: StepProblem, images: IntArray) -> TilePlan:
    """Find the tiling of GTW for a batch that some images stand for; images: int64 ``(N,)``, what stands for each.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    plan = plan_kernels(problem).repeat(images)
    tables = tabulate_kernels(plan)
    sizes = tuple(int(size) for size in find_kernels_tiling(plan, tables))
    runs = cut_axes(plan.limits, sizes)
    per_group, met = plan.shape.group_out_channels, (plan.pairs >= 0).sum(axis=1)
    filters = [(len(run), (run.stop - 1) // per_group - run.start // per_group) for run in runs[0]]
    blocks = [(len(run), int(plan.block_channels[run.stop] - plan.block_channels[run.start])) for run in runs[1]]
    rows = [
        (len(run), max(0, int(tables.span_high[run.stop - 1] - tables.span_low[run.start])), tuple(met[list(run)]))
        for run in runs[3]
    ]
    keys = (filters, blocks, mark_ends([len(run) for run in runs[2]]), mark_ends(rows))
    classes = tuple(number_classes(axis_keys) for axis_keys in keys)
    return TilePlan(sizes, runs, classes, indices=2, image_axis=2, formats=plan.formats)


def pack_kernels_tiles(plan: TilePlan, problem: StepProblem, images: Sequence[int], tiles: IntArray) -> Traffic:
    """Pack some tiles of GTW; operands: of the images of these numbers."""
    entries = plan.choose(tiles, images)
    kernels = plan_kernels(problem, plan.formats)
    return pack_kernels_traffic(kernels, tabulate_kernels(kernels), entries, np.array(plan.sizes, dtype=np.int64))
