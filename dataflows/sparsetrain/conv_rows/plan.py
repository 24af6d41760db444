"""Forward and GTA of a convolution before they are cut into tiles: which rows meet, and how they are stored."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dataflows.contract.memory import RowFormat
from dataflows.contract.problem import StepProblem
from dataflows.rows.dealing import Blocks
from dataflows.rows.geometry import RowsGeometry, describe_rows
from dataflows.storage.row_sizes import size_raw
from dataflows.storage.stored_tensor import StoredTensor, store_tensor
from dataflows.storage.written import find_written, is_written_sparse
from workloads.arrays import IntArray
from workloads.shapes import ConvShape, Step


@dataclass(frozen=True, eq=False)
class RowsPlan:
    """What Forward and GTA have in common: driver rows, blocks of outputs, a reduction over driver channels.

    drivers, written: the tensor that drives the step, ``(N, channels, Y)`` rows, and its result. summed: the gradients
    that the PPU adds to the result.
    """

    problem: StepProblem
    shape: ConvShape
    geometry: RowsGeometry
    drivers: StoredTensor
    written: StoredTensor
    summed: tuple[StoredTensor, ...]

    @property
    def pairs(self) -> IntArray:
        """Driver row of (result row x, kernel row r) or -1, ``(X, R)``."""
        return self.geometry.pairs

    @property
    def blocks(self) -> Blocks:
        """How the outputs of a group of the convolution are dealt to PEs."""
        return Blocks(self.geometry.outputs, self.problem.array.pes_per_group)

    @property
    def limits(self) -> tuple[int, int, int]:
        """Limits of the task indices: images, result rows, blocks."""
        return self.shape.batch, len(self.pairs), self.shape.groups * self.blocks.per_group

    @property
    def reductions(self) -> int:
        """Driver channels of a group."""
        return self.geometry.depth

    @property
    def formats(self) -> tuple[RowFormat, ...]:
        """Formats of the drivers, of the results, and of each gradient that is added."""
        return tuple(tensor.row_format for tensor in (self.drivers, self.written, *self.summed))

    @cached_property
    def driver_bytes(self) -> IntArray:
        """Stored bytes of the driver rows, ``(N, groups, depth, Y)``."""
        return self.drivers.row_bytes.reshape(self.shape.batch, self.shape.groups, self.reductions, -1)

    @cached_property
    def summed_bytes(self) -> IntArray | None:
        """Stored bytes of the rows that the PPU adds to result rows, ``(N, outputs, X)``; None where it adds none."""
        if not self.summed:
            return None
        total: IntArray = np.sum([gradient.row_bytes for gradient in self.summed], axis=0, dtype=np.int64)
        return total

    @property
    def mask_row_bytes(self) -> int:
        """Bytes of the mask of a result row, 0 where the step has none."""
        has_mask = self.problem.step is Step.GTA and self.problem.operands.written_mask is not None
        return size_raw(self.geometry.result_width, 1) if has_mask else 0

    @property
    def weight_row_bytes(self) -> int:
        """Bytes of one row of a kernel."""
        return size_raw(self.shape.kernel_width, self.problem.share.data_bits)

    def first_outputs(self) -> IntArray:
        """First output of each block, ``(blocks,)``, and behind the last one their number: ``(blocks + 1,)``."""
        per_group = np.arange(self.blocks.per_group) * self.blocks.pes
        starts = (np.arange(self.shape.groups)[:, None] * self.blocks.outputs + per_group).reshape(-1)
        return np.append(starts, self.shape.groups * self.blocks.outputs).astype(np.int64)

    def repeat(self, images: IntArray) -> RowsPlan:
        """Give the plan of a batch in which each of these images stands where it is named."""
        return dataclasses.replace(
            self,
            shape=dataclasses.replace(self.shape, batch=len(images)),
            drivers=self.drivers.repeat(images),
            written=self.written.repeat(images),
            summed=tuple(gradient.repeat(images) for gradient in self.summed),
        )


def plan_rows(problem: StepProblem, formats: tuple[RowFormat | None, ...] | None = None) -> RowsPlan:
    """Store the tensors of a step: the drivers as they are, the results as they will be.

    formats: as in `RowsPlan`; by default the best for these operands.
    """
    given = (None,) * (2 + len(problem.summed)) if formats is None else formats
    return RowsPlan(
        problem=problem,
        shape=problem.conv_shape,
        geometry=describe_rows(problem.conv_shape, problem.step),
        drivers=store_tensor(problem.driver, problem.array, problem.share, given[0]),
        written=store_written(problem, given[1]),
        summed=tuple(
            store_tensor(gradient, problem.array, problem.share, row_format)
            for gradient, row_format in zip(problem.summed, given[2:], strict=True)
        ),
    )


def store_written(problem: StepProblem, row_format: RowFormat | None) -> StoredTensor:
    """Store the result of a step; where it is raw, it need not be computed."""
    if is_written_sparse(problem):
        return store_tensor(find_written(problem.operands, problem.step), problem.array, problem.share, row_format)
    shape = problem.written_shape
    return StoredTensor(np.zeros(shape[:-1], dtype=np.int64), shape[-1], RowFormat.RAW, problem.share.data_bits)
