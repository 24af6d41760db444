"""Forward and GTA of a fully connected layer as tasks of exact length: the channel vector is one row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataflows.contract.array import PEArray
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepCounts
from dataflows.rows.dealing import Blocks
from dataflows.sparsetrain.linear_rows import make_linear_counts
from workloads.arrays import BoolArray, IntArray
from workloads.shapes import Step


@dataclass(frozen=True, eq=False)
class Products:
    """Which elements of the driver rows take part ``(N, depth)``, and which results are wanted ``(N, outputs)``.

    Attributes:
        worked: Results for which there is a product: those wanted, but where the driver row is empty and that is none.
    """

    drivers: BoolArray
    wanted: BoolArray
    worked: BoolArray

    @property
    def macs(self) -> int:
        """Multiplications of all wanted results."""
        return int((self.drivers.sum(axis=1) * self.wanted.sum(axis=1)).sum())

    def count_issues(self, multipliers: int) -> int:
        """Count the issues of all wanted results, each of up to so many products."""
        issues = -(-self.drivers.sum(axis=1) // multipliers)
        return int((issues * self.wanted.sum(axis=1)).sum())


def find_operands(problem: StepProblem) -> Products:
    """Find what takes part: all of it on a dense machine."""
    shape, operands = problem.linear_shape, problem.operands
    if problem.step is Step.FORWARD:
        drivers, wanted = operands.input != 0, np.ones(shape.output_shape, dtype=np.bool_)
    else:
        drivers = operands.grad_output != 0
        wanted = np.ones(shape.input_shape, dtype=np.bool_) if problem.mask is None else problem.mask
    if not problem.array.skip_zeros:
        return Products(np.ones_like(drivers), np.ones_like(wanted), np.ones_like(wanted))
    return Products(drivers, wanted, wanted & mark_rows(drivers, problem.array)[:, None])


def mark_rows(drivers: BoolArray, array: PEArray) -> BoolArray:
    """Tell for which rows ``(..., depth)`` there are products: those that hold something, or all of them."""
    return np.asarray(drivers.any(axis=-1)) if array.passes_empty_rows else np.ones(drivers.shape[:-1], dtype=np.bool_)


def measure_products(problem: StepProblem) -> IntArray:
    """Give the PEs' cycles of every task: int64 ``(tasks, PEs)``, 0 where a result is not wanted."""
    array, products = problem.array, find_operands(problem)
    cycles = array.row_overhead_cycles - (-products.drivers.sum(axis=1) // array.multipliers_per_pe)
    work = np.where(products.worked, cycles[:, None], 0).astype(np.int64)
    return Blocks(work.shape[1], array.pes_per_group).deal(work).reshape(-1, array.pes_per_group)


def count_products(problem: StepProblem) -> StepCounts:
    """Count the dot products and their multiplications."""
    products = find_operands(problem)
    effectual = find_operands(problem.skipping_zeros()).macs
    done, examined = int(products.worked.sum()), int(products.wanted.sum())
    updates = products.count_issues(problem.array.multipliers_per_pe)
    return make_linear_counts(problem, (done, examined), products.macs, effectual, updates)
