"""Forward and GTA of a convolution: a task is an output row of a block of outputs."""

from __future__ import annotations

from collections.abc import Sequence

from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepCounts, StepValues
from dataflows.contract.tile_plan import TilePlan
from dataflows.rows.counts import make_counts
from dataflows.rows.dealing import Blocks, enumerate_tasks
from dataflows.sparsetrain.conv_rows.lengths import deal_forward, deal_gta, tally_forward, tally_gta
from dataflows.sparsetrain.conv_rows.sampled_tiles import pack_rows_tiles, plan_rows_tiles
from dataflows.sparsetrain.conv_rows.traffic import make_rows_traffic
from dataflows.sparsetrain.conv_rows.values import execute_forward, execute_gta
from workloads.arrays import BoolArray, IntArray
from workloads.shapes import Step


class ConvRows:
    """SRC and MSRC: output stationary, rows of the reduction's channels stream through a group."""

    def list_tasks(self, problem: StepProblem) -> tuple[tuple[str, ...], IntArray]:
        """One task for each image, result row and block of outputs."""
        shape, pes = problem.conv_shape, problem.array.pes_per_group
        if problem.step is Step.FORWARD:
            rows, blocks = shape.out_height, Blocks(shape.group_out_channels, pes)
        else:
            rows, blocks = shape.in_height, Blocks(shape.group_in_channels, pes)
        return ("image", "row", "block"), enumerate_tasks(shape.batch, rows, shape.groups * blocks.per_group)

    def measure_tasks(self, problem: StepProblem) -> IntArray:
        """Sum the row operations of every output row."""
        return deal_forward(problem) if problem.step is Step.FORWARD else deal_gta(problem)

    def count(self, problem: StepProblem) -> StepCounts:
        """Count row operations and live taps."""
        return make_counts(problem, tally_forward if problem.step is Step.FORWARD else tally_gta)

    def cut(self, problem: StepProblem) -> tuple[Traffic, IntArray]:
        """Tiles of (image, result row, block), their reduction over channels perhaps cut."""
        return make_rows_traffic(problem)

    def recount(self, problem: StepProblem, counts: StepCounts, pe_cycles: IntArray) -> StepCounts:  # noqa: ARG002
        """Items are not divided, so a cut adds no cycles."""
        return counts

    def plan_tiles(self, problem: StepProblem, images: IntArray) -> TilePlan:
        """Tiles of a batch."""
        return plan_rows_tiles(problem, images)

    def pack_tiles(self, problem: StepProblem, plan: TilePlan, images: Sequence[int], tiles: IntArray) -> Traffic:
        """Traffic of chosen tiles."""
        return pack_rows_tiles(plan, problem, images, tiles)

    def execute(self, problem: StepProblem, executed: BoolArray) -> StepValues:
        """Sum the row operations of executed blocks."""
        execute = execute_forward if problem.step is Step.FORWARD else execute_gta
        return execute(problem, executed)
