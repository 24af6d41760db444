"""Forward and GTA of a convolution: a task is an output row, or a strip of one, of a block of outputs."""

from __future__ import annotations

from collections.abc import Sequence

from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepCounts, StepValues
from dataflows.contract.tile_plan import TilePlan
from dataflows.rows.counts import make_counts
from dataflows.rows.dealing import deal_outputs, enumerate_tasks
from dataflows.rows.strips import cut_strips
from dataflows.sparsetrain.conv_rows.lengths import deal_forward, deal_gta, tally_forward, tally_gta
from dataflows.sparsetrain.conv_rows.sampled_tiles import pack_rows_tiles, plan_rows_tiles
from dataflows.sparsetrain.conv_rows.traffic import make_rows_traffic
from dataflows.sparsetrain.conv_rows.values import execute_forward, execute_gta
from workloads.arrays import BoolArray, IntArray
from workloads.shapes import Step


class ConvRows:
    """SRC and MSRC: output stationary, rows of the reduction's channels stream through a group."""

    def list_tasks(self, problem: StepProblem) -> tuple[tuple[str, ...], IntArray]:
        """One task for each image, result row, strip of a row that is cut, and block of outputs."""
        shape = problem.conv_shape
        rows = shape.out_height if problem.step is Step.FORWARD else shape.in_height
        blocks = deal_outputs(shape, problem.step, problem.array).count
        strips = len(cut_strips(shape, problem.step, problem.array))
        if strips == 1:
            return ("image", "row", "block"), enumerate_tasks(shape.batch, rows, blocks)
        return ("image", "row", "strip", "block"), enumerate_tasks(shape.batch, rows, strips, blocks)

    def measure_tasks(self, problem: StepProblem) -> IntArray:
        """Sum the row operations of every output row."""
        return deal_forward(problem) if problem.step is Step.FORWARD else deal_gta(problem)

    def count(self, problem: StepProblem) -> StepCounts:
        """Count row operations and live taps."""
        return make_counts(problem, tally_forward if problem.step is Step.FORWARD else tally_gta)

    def cut(self, problem: StepProblem) -> tuple[Traffic, IntArray]:
        """Tiles of (image, result row, block), their reduction over channels perhaps cut."""
        return make_rows_traffic(problem)

    def recount(self, problem: StepProblem, counts: StepCounts, pe_cycles: IntArray, traffic: Traffic) -> StepCounts:  # noqa: ARG002
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
