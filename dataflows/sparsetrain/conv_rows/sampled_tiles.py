"""Some tiles of Forward and GTA of a convolution: of a whole batch, and the traffic of those chosen."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tile_plan import TilePlan, cut_axes, mark_ends, number_classes
from dataflows.sparsetrain.conv_rows.plan import plan_rows
from dataflows.sparsetrain.conv_rows.traffic import find_rows_tiling, pack_rows_traffic, tabulate_rows
from workloads.arrays import IntArray


def plan_rows_tiles(problem: StepProblem, images: IntArray) -> TilePlan:
    """Find the tiling of Forward or GTA for a batch that some images stand for.

    Args:
        images: int64 ``(N,)``, the place in the operands of what stands for each image.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    plan = plan_rows(problem).repeat(images)
    tables = tabulate_rows(plan.move())
    sizes = tuple(int(size) for size in find_rows_tiling(plan, tables))
    runs = cut_axes((*plan.limits, plan.reductions), sizes)
    keys: list[list[Hashable]] = [[len(run) for run in runs[0]], []]
    for rows in runs[1]:
        met = tuple(tables.kernel_rows[rows.stop] - tables.kernel_rows[rows.start])
        keys[1].append((len(rows), tables.spans.count(rows.start, rows.stop), met))
    if len(plan.strips) > 1:
        sides = [(len(strip.columns), len(strip.window)) for strip in plan.strips]
        keys.append([tuple(sides[run.start : run.stop]) for run in runs[2]])
    keys.append([])
    for blocks in runs[-2]:
        outputs = tables.block_outputs[blocks.stop] - tables.block_outputs[blocks.start]
        groups = tables.last_group[blocks.stop - 1] - tables.first_group[blocks.start]
        keys[-1].append((len(blocks), int(outputs), int(groups)))
    keys.append(mark_ends([len(run) for run in runs[-1]]))
    classes = tuple(number_classes(axis_keys) for axis_keys in keys)
    return TilePlan(sizes, runs, classes, indices=len(plan.limits), image_axis=0, formats=plan.formats)


def pack_rows_tiles(
    plan: TilePlan,
    problem: StepProblem,
    images: Sequence[int],
    tiles: IntArray,
) -> Traffic:
    """Pack some tiles of Forward or GTA; operands: of the images of these numbers."""
    entries = plan.choose(tiles, images)
    rows = plan_rows(problem, plan.formats)
    return pack_rows_traffic(rows, tabulate_rows(rows.move()), entries, np.array(plan.sizes, dtype=np.int64))
