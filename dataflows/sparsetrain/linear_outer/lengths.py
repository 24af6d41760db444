"""GTW of a fully connected layer as tasks of exact length: each PE multiplies its block of inputs."""

from __future__ import annotations

import numpy as np

from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepCounts
from dataflows.rows.dealing import Blocks, count_kernels_per_pe
from dataflows.sparsetrain.linear_rows import make_linear_counts
from workloads.arrays import BoolArray, IntArray


def deal_inputs(problem: StepProblem) -> Blocks:
    """Give the blocks of inputs of a task and of its PEs."""
    shape, array = problem.linear_shape, problem.array
    return Blocks(shape.in_features, array.pes_per_group, count_kernels_per_pe(shape, array))


def find_owners(problem: StepProblem) -> BoolArray:
    """Tell which PEs own inputs in each block: ``(blocks, PEs)``."""
    blocks = deal_inputs(problem)
    return blocks.deal(np.ones(blocks.outputs, dtype=np.int64)) > 0


def find_present(problem: StepProblem) -> tuple[BoolArray, BoolArray]:
    """Tell which gradients ``(N, M)`` and inputs ``(N, C)`` take part: all of them on a dense machine."""
    shape, operands = problem.linear_shape, problem.operands
    if problem.array.skip_zeros:
        return operands.grad_output != 0, operands.input != 0
    return np.ones(shape.output_shape, dtype=np.bool_), np.ones(shape.input_shape, dtype=np.bool_)


def measure_outer(problem: StepProblem) -> IntArray:
    """Give the PEs' cycles of every task: int64 ``(tasks, PEs)``."""
    array, (gradients, inputs) = problem.array, find_present(problem)
    elements = deal_inputs(problem).deal(inputs.astype(np.int64))
    worked = find_worked(problem, elements)
    per_image = np.where(worked, array.row_overhead_cycles - (-elements // array.multipliers_per_pe), 0)
    pe_cycles: IntArray = np.einsum("nm,nbi->mbi", gradients.astype(np.int64), per_image)
    return np.asarray(pe_cycles.reshape(-1, array.pes_per_group), dtype=np.int64)


def find_worked(problem: StepProblem, elements: IntArray) -> BoolArray:
    """Tell which PEs have a product of an image: the owners of inputs, but of none that holds something.

    Args:
        elements: That take part, of each PE's inputs ``(N, blocks, PEs)``.

    Returns:
        bool ``(N, blocks, PEs)``.
    """
    owners = np.broadcast_to(find_owners(problem), elements.shape)
    return owners & (elements > 0) if problem.array.passes_empty_rows else owners


def count_products(problem: StepProblem) -> IntArray:
    """Count the products of one gradient of each image that is there: ``(N,)``."""
    _, inputs = find_present(problem)
    counted: IntArray = find_worked(problem, deal_inputs(problem).deal(inputs.astype(np.int64))).sum(axis=(1, 2))
    return counted


def count_outer(problem: StepProblem) -> StepCounts:
    """Count the products of a gradient with a PE's inputs, and their multiplications."""
    by_image, macs = find_present(problem)[0].sum(axis=1), count_macs(problem)
    done, examined = int(by_image @ count_products(problem)), int(by_image.sum()) * int(find_owners(problem).sum())
    return make_linear_counts(problem, (done, examined), macs, count_macs(problem.skipping_zeros()), macs)


def count_macs(problem: StepProblem) -> int:
    """Count the pairs of a gradient and an input that take part."""
    gradients, inputs = find_present(problem)
    return int((gradients.sum(axis=1) * inputs.sum(axis=1)).sum())
