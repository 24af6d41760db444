"""Forward and GTA of a fully connected layer: a task is a block of dot products of one image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepCounts, StepValues
from dataflows.contract.tile_plan import TilePlan
from dataflows.rows.dealing import Blocks, enumerate_tasks
from dataflows.sparsetrain.conv_rows.values import execute_forward, execute_gta
from dataflows.sparsetrain.linear_products.lengths import count_products, find_operands, measure_products
from dataflows.sparsetrain.linear_products.plan import plan_products
from dataflows.sparsetrain.linear_products.sampled_tiles import plan_products_tiles
from dataflows.sparsetrain.linear_products.traffic import make_products_traffic, pack_products_traffic
from dataflows.sparsetrain.linear_rows import add_headers, count_issues, view_as_convolution
from workloads.arrays import BoolArray, IntArray
from workloads.shapes import Step


class LinearProducts:
    """Dot products: each PE owns an output, the image's row is broadcast to the group."""

    def list_tasks(self, problem: StepProblem) -> tuple[tuple[str, ...], IntArray]:
        """One task for each image and block of outputs."""
        blocks = Blocks(count_outputs(problem), problem.array.pes_per_group)
        return ("image", "block"), enumerate_tasks(problem.linear_shape.batch, blocks.per_group)

    def measure_tasks(self, problem: StepProblem) -> IntArray:
        """Deal the dot products to PEs."""
        return measure_products(problem)

    def count(self, problem: StepProblem) -> StepCounts:
        """Count dot products and multiplications."""
        return count_products(problem)

    def cut(self, problem: StepProblem) -> tuple[Traffic, IntArray]:
        """Tiles of (image, block), their reduction perhaps cut."""
        return make_products_traffic(problem)

    def recount(self, problem: StepProblem, counts: StepCounts, pe_cycles: IntArray, traffic: Traffic) -> StepCounts:
        """The pieces of a row that was cut have headers and issues of their own."""
        counted = add_headers(counts, measure_products(problem), pe_cycles)
        return count_issues(counted, traffic, problem.array)

    def plan_tiles(self, problem: StepProblem, images: IntArray) -> TilePlan:
        """Tiles of a batch."""
        return plan_products_tiles(problem, images)

    def pack_tiles(self, problem: StepProblem, plan: TilePlan, images: Sequence[int], tiles: IntArray) -> Traffic:
        """Traffic of chosen tiles."""
        entries, sizes = plan.choose(tiles, images), np.array(plan.sizes, dtype=np.int64)
        return pack_products_traffic(plan_products(problem, plan.formats), entries, sizes)

    def execute(self, problem: StepProblem, executed: BoolArray) -> StepValues:
        """Compute the products as those of a convolution with 1 x 1 kernels on 1 x 1 maps.

        Row operations are counted as the machine defines them: one for each output and image that is wanted.
        """
        execute = execute_forward if problem.step is Step.FORWARD else execute_gta
        values = execute(view_as_convolution(problem), executed)
        blocks = Blocks(count_outputs(problem), problem.array.pes_per_group)
        wanted = blocks.spread(executed.reshape(problem.linear_shape.batch, -1))
        row_ops = int((wanted & find_operands(problem).worked).sum())
        return StepValues(values.output[:, :, 0, 0], row_ops, values.multiplications)


def count_outputs(problem: StepProblem) -> int:
    """Count the results of an image."""
    shape = problem.linear_shape
    return shape.out_features if problem.step is Step.FORWARD else shape.in_features
