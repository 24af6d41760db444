"""GTW of a convolution before it is cut into tiles: how kernels are dealt, and how both operands are stored."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dataflows.contract.memory import RowFormat
from dataflows.contract.problem import StepProblem
from dataflows.rows.dealing import KernelTasks, deal_kernels
from dataflows.rows.occupied import count_kernel_operations, mark_gradients, mark_inputs
from dataflows.rows.strips import cut_kernel
from dataflows.rows.taps import pair_rows
from dataflows.storage.row_sizes import size_raw
from dataflows.storage.stored_tensor import StoredTensor, store_tensor
from dataflows.tiling.spans import RowSpans, find_spans
from workloads.arrays import BoolArray, IntArray
from workloads.shapes import ConvShape


@dataclass(frozen=True, eq=False)
class KernelsPlan:
    """GTW of a convolution: both operands as they are stored.

    Attributes:
        pairs: Output row of (input row, kernel row) or -1.
        tasks: How kernels are dealt.
        runs: The rows of a kernel that a PE accumulates at a time.
    """

    problem: StepProblem
    shape: ConvShape
    tasks: KernelTasks
    runs: tuple[range, ...]
    pairs: IntArray
    gradients: StoredTensor
    inputs: StoredTensor

    @property
    def formats(self) -> tuple[RowFormat, ...]:
        """Formats of the gradient and of the input."""
        return self.gradients.row_format, self.inputs.row_format

    @property
    def driver_bytes(self) -> IntArray:
        """Stored bytes of the rows of grad_output, ``(N, M, P)``."""
        return self.gradients.row_bytes

    @property
    def input_bytes(self) -> IntArray:
        """Stored bytes of the rows of the input, ``(N, C, H)``."""
        return self.inputs.row_bytes

    @cached_property
    def fetched_bytes(self) -> tuple[IntArray, IntArray]:
        """What is fetched of a row of either operand, ``(M, N, P)`` and ``(N, C, H)``; -1 where no operation is."""
        rows = (
            tensor.lie_raw(is_raw=self.problem.lies_raw(name)).row_bytes
            for name, tensor in (("grad_output", self.gradients), ("input", self.inputs))
        )
        gradients, inputs = (
            np.where(marked.reshape(sizes.shape), sizes, -1)
            for marked, sizes in zip((mark_gradients(self.problem), mark_inputs(self.problem)), rows, strict=True)
        )
        return np.ascontiguousarray(gradients.transpose(1, 0, 2)), inputs

    def find_idle(self, unknown: int = 0) -> BoolArray:
        """Tell which tasks have no row operation at all: ``(outer, inner, runs)``.

        Args:
            unknown: Images of the batch that are not among these. A task that none of these gives work is then taken to
                be idle where it would more likely than not be left so by images like these.
        """
        if not self.problem.array.passes_empty_rows:
            works = np.array([(self.pairs[:, run.start : run.stop] >= 0).any() for run in self.runs])
            return np.broadcast_to(~works, (*self.tasks.limits, len(self.runs)))
        operations = np.stack([count_kernel_operations(self.problem, run) for run in self.runs])
        idle = np.asarray(self.tasks.deal(operations).sum(axis=-1) == 0)
        return idle & bool(idle.mean() ** (unknown / self.shape.batch) >= 0.5)

    @property
    def limits(self) -> tuple[int, ...]:
        """Limits of the task indices: outer, inner, and runs of kernels that are cut."""
        return self.tasks.limits if len(self.runs) == 1 else (*self.tasks.limits, len(self.runs))

    @property
    def reductions(self) -> tuple[int, int]:
        """Limits of the reduction indices image and row."""
        return self.shape.batch, self.shape.in_height

    def split_places(self, places: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Give outer index, inner index and run of entries ``(entries, task indices)``."""
        run = places[:, 2] if len(self.runs) > 1 else np.zeros(len(places), dtype=np.int64)
        return places[:, 0], places[:, 1], run

    @property
    def run_bytes(self) -> IntArray:
        """Bytes of each run of a kernel of grad_weight, raw in accumulator words."""
        row_bytes = size_raw(self.shape.kernel_width, self.problem.share.acc_bits)
        return np.array([len(run) * row_bytes for run in self.runs], dtype=np.int64)

    @cached_property
    def ranges(self) -> list[range]:
        """The kernel rows of every range of runs."""
        count = len(self.runs)
        ends = [(first, last) for first in range(count) for last in range(first, count)]
        return [range(self.runs[first].start, self.runs[last].stop) for first, last in ends]

    @cached_property
    def driver_spans(self) -> list[RowSpans]:
        """The rows of grad_output that input rows meet, for every range of runs."""
        return [find_spans(self.pairs[:, rows.start : rows.stop]) for rows in self.ranges]

    def move(self) -> KernelsPlan:
        """Give the plan as tiles move its operands: what stays in the buffer is not among them."""
        kept = self.problem.share.kept
        if kept.is_empty:
            return self
        return dataclasses.replace(
            self,
            gradients=self.gradients.stay(stays="grad_output" in kept.operands),
            inputs=self.inputs.stay(stays="input" in kept.operands),
        )

    def repeat(self, images: IntArray) -> KernelsPlan:
        """Give the plan of a batch in which each of these images stands where it is named."""
        return dataclasses.replace(
            self,
            shape=dataclasses.replace(self.shape, batch=len(images)),
            gradients=self.gradients.repeat(images),
            inputs=self.inputs.repeat(images),
        )


def plan_kernels(problem: StepProblem, formats: tuple[RowFormat | None, ...] | None = None) -> KernelsPlan:
    """Store both operands.

    Args:
        formats: As in `KernelsPlan`, by default the best for these operands.
    """
    shape, given = problem.conv_shape, (None, None) if formats is None else formats
    gradients = store_tensor(problem.operands.grad_output, problem.array, problem.share, given[0])
    inputs = store_tensor(problem.operands.input, problem.array, problem.share, given[1])
    tasks, runs = deal_kernels(shape, problem.array), cut_kernel(shape, problem.array)
    return KernelsPlan(problem, shape, tasks, runs, pair_rows(shape), gradients, inputs)
