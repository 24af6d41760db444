"""GTW of a convolution: a task is a block of kernels of one filter."""

from __future__ import annotations

from collections.abc import Sequence

from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepCounts, StepValues
from dataflows.contract.tile_plan import TilePlan
from dataflows.rows.counts import make_counts
from dataflows.rows.dealing import Blocks, count_kernels_per_pe, enumerate_tasks
from dataflows.sparsetrain.conv_kernels.lengths import deal_gtw, tally_gtw
from dataflows.sparsetrain.conv_kernels.sampled_tiles import pack_kernels_tiles, plan_kernels_tiles
from dataflows.sparsetrain.conv_kernels.traffic import make_kernels_traffic
from dataflows.sparsetrain.conv_kernels.values import execute_gtw
from workloads.arrays import BoolArray, IntArray


class ConvKernels:
    """OSRC: kernels are stationary in the accumulators, rows of both operands stream through a group."""

    def list_tasks(self, problem: StepProblem) -> tuple[tuple[str, ...], IntArray]:
        """One task for each filter and block of k kernels for each PE."""
        shape = problem.conv_shape
        run = count_kernels_per_pe(shape, problem.array)
        blocks = Blocks(shape.group_in_channels, problem.array.pes_per_group, run)
        indices = enumerate_tasks(shape.out_channels, blocks.per_group)
        indices[:, 1] += indices[:, 0] // shape.group_out_channels * blocks.per_group
        return ("filter", "block"), indices

    def measure_tasks(self, problem: StepProblem) -> IntArray:
        """Sum the row operations of every kernel."""
        return deal_gtw(problem)

    def count(self, problem: StepProblem) -> StepCounts:
        """Count row operations and live taps."""
        return make_counts(problem, tally_gtw)

    def cut(self, problem: StepProblem) -> tuple[Traffic, IntArray]:
        """Tiles of (filter, block), their reduction over images and rows perhaps cut."""
        return make_kernels_traffic(problem)

    def recount(self, problem: StepProblem, counts: StepCounts, pe_cycles: IntArray) -> StepCounts:  # noqa: ARG002
        """Items are not divided, so a cut adds no cycles."""
        return counts

    def plan_tiles(self, problem: StepProblem, images: IntArray) -> TilePlan:
        """Tiles of a batch."""
        return plan_kernels_tiles(problem, images)

    def pack_tiles(self, problem: StepProblem, plan: TilePlan, images: Sequence[int], tiles: IntArray) -> Traffic:
        """Traffic of chosen tiles."""
        return pack_kernels_tiles(plan, problem, images, tiles)

    def execute(self, problem: StepProblem, executed: BoolArray) -> StepValues:
        """Sum the row operations of executed blocks."""
        return execute_gtw(problem, executed)
