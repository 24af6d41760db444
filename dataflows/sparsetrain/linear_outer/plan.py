"""GTW of a fully connected layer before it is cut into tiles, and its tiling."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.entries import require_tiling
from dataflows.contract.memory import RowFormat
from dataflows.contract.problem import StepProblem
from dataflows.rows.dealing import Blocks, count_kernels_per_pe
from dataflows.sparsetrain.linear_outer.tiling import measure_outer_tile, search_outer
from dataflows.sparsetrain.linear_products.tiling import size_products_tile
from dataflows.storage.stored_tensor import StoredVectors, store_vectors
from dataflows.tiling.pinned import pin_sizes, require_fit
from workloads.arrays import IntArray
from workloads.shapes import LinearShape, Step


@dataclass(frozen=True, eq=False)
class OuterPlan:
    """GTW of a fully connected layer: both operands as they are stored.

    Attributes:
        run: Inputs of a PE in one task.
    """

    problem: StepProblem
    shape: LinearShape
    gradients: StoredVectors
    inputs: StoredVectors
    run: int

    @property
    def block(self) -> int:
        """Inputs of a task."""
        return self.problem.array.pes_per_group * self.run

    @property
    def limits(self) -> tuple[int, int, int]:
        """Limits of the task indices filter and block, and of the reduction index image."""
        blocks = Blocks(self.shape.in_features, self.problem.array.pes_per_group, self.run).per_group
        return self.shape.out_features, blocks, self.shape.batch

    @property
    def formats(self) -> tuple[RowFormat, ...]:
        """Formats of the gradient and of the input."""
        return self.gradients.row_format, self.inputs.row_format

    def find_idle(self, unknown: int = 0) -> NDArray[np.bool_]:
        """Tell which tasks have no product of any image: bool ``(M, blocks)``.

        Args:
            unknown: Images of the batch that are not among these. A filter that none of these needs is then taken to be
                idle where gradients as sparse as theirs would more likely than not leave it so.
        """
        present = np.diff(self.gradients.running, axis=1) > 0
        if not self.problem.array.skip_zeros or (1 - present.mean()) ** unknown < 0.5:
            return np.zeros(self.limits[:2], dtype=np.bool_)
        starts = np.arange(0, self.shape.in_features, self.block)
        ends = np.minimum(starts + self.block, self.shape.in_features)
        driven = self.inputs.count(starts, ends) > 0
        if not self.problem.array.passes_empty_rows:
            driven = np.ones_like(driven)
        return np.asarray(present.T.astype(np.int64) @ driven.astype(np.int64) == 0)

    def move(self) -> OuterPlan:
        """Give the plan as tiles move its operands: what stays in the buffer is not among them."""
        kept = self.problem.share.kept
        if kept.is_empty:
            return self
        return dataclasses.replace(
            self,
            gradients=self.gradients.stay(stays="grad_output" in kept.operands),
            inputs=self.inputs.stay(stays="input" in kept.operands),
        )

    def repeat(self, images: IntArray) -> OuterPlan:
        """Give the plan of a batch in which each of these images stands where it is named."""
        return dataclasses.replace(
            self,
            shape=dataclasses.replace(self.shape, batch=len(images)),
            gradients=self.gradients.repeat(images),
            inputs=self.inputs.repeat(images),
        )


def plan_outer(problem: StepProblem, formats: tuple[RowFormat | None, ...] | None = None) -> OuterPlan:
    """Count along the rows of both operands.

    Args:
        formats: As in `OuterPlan`, by default the best for these operands.
    """
    given = (None, None) if formats is None else formats
    gradients = store_vectors(problem.operands.grad_output != 0, problem.array, problem.share, given[0])
    inputs = store_vectors(problem.operands.input != 0, problem.array, problem.share, given[1])
    run = count_kernels_per_pe(problem.linear_shape, problem.array)
    return OuterPlan(problem, problem.linear_shape, gradients, inputs, run)


def find_outer_tiling(plan: OuterPlan) -> IntArray:
    """Find the run lengths of (filter, block, image), int64 ``(3,)``.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    memory = plan.problem.share
    if (pinned := pin_sizes(plan.problem, plan.limits[:2], plan.limits[2:])) is not None:
        require_fit(plan.problem, measure_need(plan, pinned))
        return pinned
    sizes = np.array(plan.limits, dtype=np.int64)
    if memory.capacity_bytes is None:
        return sizes
    sizes = search_outer(plan.gradients, plan.inputs, memory.acc_bits, plan.block, memory.capacity_bytes).sizes
    if not sizes.all():
        least = measure_need(plan, np.ones(3, dtype=np.int64))
        require_tiling(plan.problem.operands.layer, Step.GTW.value, sizes, least, memory)
    return np.asarray(sizes, dtype=np.int64)


def measure_need(plan: OuterPlan, sizes: IntArray) -> int:
    """Give the bytes of the buffer that run lengths of (filter, block, image) need."""
    rows = plan.gradients.running, plan.gradients.code, plan.inputs.running, plan.inputs.code
    filters, _, images = plan.limits
    output = size_products_tile(sizes, filters, plan.shape.in_features, plan.block, plan.problem.share.acc_bits)
    return (2 if sizes[2] == images else 1) * int(output) + 2 * int(measure_outer_tile(sizes, *rows, plan.block))
