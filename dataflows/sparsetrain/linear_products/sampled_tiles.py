"""Some tiles of Forward and GTA of a fully connected layer: the tiling of a whole batch."""

from __future__ import annotations

from dataflows.contract.problem import StepProblem
from dataflows.contract.tile_plan import TilePlan, cut_axes, mark_ends, number_classes
from dataflows.sparsetrain.linear_products.plan import find_products_tiling, plan_products
from workloads.arrays import IntArray


def plan_products_tiles(problem: StepProblem, images: IntArray) -> TilePlan:
    """Find the tiling of Forward or GTA for a batch that some images stand for.

    Args:
        images: What stands for each.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    plan = plan_products(problem).repeat(images)
    sizes = tuple(int(size) for size in find_products_tiling(plan.move()))
    runs = cut_axes(plan.limits, sizes)
    outputs = [count_owned(run, problem.array.pes_per_group, plan.outputs) for run in runs[1]]
    keys = ([len(run) for run in runs[0]], outputs, mark_ends([len(run) for run in runs[2]]))
    classes = tuple(number_classes(axis_keys) for axis_keys in keys)
    return TilePlan(sizes, runs, classes, 2, 0, plan.formats, headers=len(runs[2]))


def count_owned(blocks: range, size: int, outputs: int) -> tuple[int, int]:
    """Count the blocks of a run, and the outputs in them."""
    return len(blocks), min(outputs, blocks.stop * size) - blocks.start * size
