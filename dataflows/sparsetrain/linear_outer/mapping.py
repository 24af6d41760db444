"""GTW of a fully connected layer: a task is one output and a block of inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepCounts, StepValues
from dataflows.contract.tile_plan import TilePlan
from dataflows.rows.dealing import count_kernels_per_pe, enumerate_tasks
from dataflows.sparsetrain.conv_kernels.values import execute_gtw
from dataflows.sparsetrain.linear_outer.lengths import (
    count_outer,
    deal_inputs,
    find_present,
    find_worked,
    measure_outer,
)
from dataflows.sparsetrain.linear_outer.plan import plan_outer
from dataflows.sparsetrain.linear_outer.sampled_tiles import plan_outer_tiles
from dataflows.sparsetrain.linear_outer.traffic import make_outer_traffic, pack_outer_traffic
from dataflows.sparsetrain.linear_rows import add_headers, view_as_convolution
from workloads.arrays import BoolArray, IntArray


class LinearOuter:
    """Outer products: each PE accumulates the weights of its inputs, one gradient is broadcast to the group."""

    def list_tasks(self, problem: StepProblem) -> tuple[tuple[str, ...], IntArray]:
        """One task for each output and block of inputs."""
        return ("filter", "block"), enumerate_tasks(problem.linear_shape.out_features, deal_inputs(problem).per_group)

    def measure_tasks(self, problem: StepProblem) -> IntArray:
        """Sum the images whose gradient takes part."""
        return measure_outer(problem)

    def count(self, problem: StepProblem) -> StepCounts:
        """Count products and multiplications."""
        return count_outer(problem)

    def cut(self, problem: StepProblem) -> tuple[Traffic, IntArray]:
        """Tiles of (output, block), their reduction over images perhaps cut."""
        return make_outer_traffic(problem)

    def recount(self, problem: StepProblem, counts: StepCounts, pe_cycles: IntArray, traffic: Traffic) -> StepCounts:  # noqa: ARG002
        """The pieces of a row that was cut have headers of their own."""
        return add_headers(counts, measure_outer(problem), pe_cycles)

    def plan_tiles(self, problem: StepProblem, images: IntArray) -> TilePlan:
        """Tiles of a batch."""
        return plan_outer_tiles(problem, images)

    def pack_tiles(self, problem: StepProblem, plan: TilePlan, images: Sequence[int], tiles: IntArray) -> Traffic:
        """Traffic of chosen tiles."""
        entries, sizes = plan.choose(tiles, images), np.array(plan.sizes, dtype=np.int64)
        outer = plan_outer(problem, plan.formats)
        idle = outer.find_idle() if plan.idle is None else plan.idle
        return pack_outer_traffic(outer, entries, sizes, idle)

    def execute(self, problem: StepProblem, executed: BoolArray) -> StepValues:
        """Compute the products as those of a convolution with 1 x 1 kernels on 1 x 1 maps.

        Row operations are counted as the machine defines them: one for each output, image and PE that has work.
        """
        # One of several products is dealt with the k of all of them.
        run = count_kernels_per_pe(problem.linear_shape, problem.array)
        values = execute_gtw(view_as_convolution(problem), executed, run)
        flags = executed.reshape(problem.linear_shape.out_features, -1)
        gradients, inputs = find_present(problem)
        worked = find_worked(problem, deal_inputs(problem).deal(inputs.astype(np.int64))).sum(axis=2)
        row_ops = int(((gradients.T.astype(np.int64) @ worked) * flags).sum())
        return StepValues(values.output[:, :, 0, 0], row_ops, values.multiplications)
