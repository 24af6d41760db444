"""GTW of a convolution: a task is a block of kernels of one filter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepCounts, StepValues
from dataflows.contract.tile_plan import TilePlan
from dataflows.rows.counts import make_counts
from dataflows.rows.dealing import deal_kernels, enumerate_tasks
from dataflows.rows.strips import cut_kernel
from dataflows.sparsetrain.conv_kernels.lengths import deal_gtw, tally_gtw
from dataflows.sparsetrain.conv_kernels.sampled_tiles import pack_kernels_tiles, plan_kernels_tiles
from dataflows.sparsetrain.conv_kernels.traffic import make_kernels_traffic
from dataflows.sparsetrain.conv_kernels.values import execute_gtw
from workloads.arrays import BoolArray, IntArray


class ConvKernels:
    """OSRC: kernels are stationary in the accumulators, rows of both operands stream through a group."""

    def list_tasks(self, problem: StepProblem) -> tuple[tuple[str, ...], IntArray]:
        """One task for each filter, block of k kernels for each PE, and run of rows of a kernel that is cut.

        Where small groups are packed, a task is a block of groups and the place of a filter within each of them.
        """
        tasks, runs = deal_kernels(problem.conv_shape, problem.array), cut_kernel(problem.conv_shape, problem.array)
        indices = enumerate_tasks(*tasks.limits, len(runs))
        names = ("block", "place", "run")
        if tasks.packed == 1:
            indices[:, 1] += indices[:, 0] // tasks.group_filters * tasks.blocks.per_group
            names = ("filter", "block", "run")
        return (names, indices) if len(runs) > 1 else (names[:2], np.ascontiguousarray(indices[:, :2]))

    def measure_tasks(self, problem: StepProblem) -> IntArray:
        """Sum the row operations of every kernel."""
        return deal_gtw(problem)

    def count(self, problem: StepProblem) -> StepCounts:
        """Count row operations and live taps."""
        return make_counts(problem, tally_gtw)

    def cut(self, problem: StepProblem) -> tuple[Traffic, IntArray]:
        """Tiles of (filter, block), their reduction over images and rows perhaps cut."""
        return make_kernels_traffic(problem)

    def recount(self, problem: StepProblem, counts: StepCounts, pe_cycles: IntArray, traffic: Traffic) -> StepCounts:  # noqa: ARG002
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
