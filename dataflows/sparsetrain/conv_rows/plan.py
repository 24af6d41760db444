"""What Forward and GTA of a convolution have in common, and the stored sizes of their rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare, RowFormat
from dataflows.contract.problem import StepProblem
from dataflows.rows.dealing import Blocks
from dataflows.rows.taps import pair_rows
from dataflows.storage.row_sizes import choose_format, size_raw, size_rows
from dataflows.storage.written import find_written
from workloads.arrays import IntArray
from workloads.shapes import ConvShape, Step


@dataclass(frozen=True, eq=False)
class RowsPlan:
    """What Forward and GTA have in common: driver rows, blocks of outputs, a reduction over driver channels.

    x stands for the result row (p, or h), y for the driver row (h, or p), o for the driver channel in its group.
    driver_bytes: ``(N, groups, depth, Y)``; pairs: driver row of (x, kernel row r) or -1, ``(X, R)``; summed_bytes: of
    the gradients that the PPU adds to a result row, ``(N, outputs, X)``, None where there are none. formats: of the
    drivers, of the results, and of each gradient that is added.
    """

    problem: StepProblem
    shape: ConvShape
    blocks: Blocks
    driver_bytes: IntArray
    pairs: IntArray
    result_width: int
    written_bytes: IntArray
    mask_row_bytes: int
    summed_bytes: IntArray | None
    formats: tuple[RowFormat, ...]

    @property
    def limits(self) -> tuple[int, int, int]:
        """Limits of the task indices: images, result rows, blocks."""
        return self.shape.batch, len(self.pairs), self.shape.groups * self.blocks.per_group

    @property
    def reductions(self) -> int:
        """Driver channels of a group."""
        return int(self.driver_bytes.shape[2])

    @property
    def weight_row_bytes(self) -> int:
        """Bytes of one row of a kernel."""
        return size_raw(self.shape.kernel_width, self.problem.share.data_bits)

    def first_outputs(self) -> IntArray:
        """First output of each block, ``(blocks,)``, and behind the last one their number: ``(blocks + 1,)``."""
        per_group = np.arange(self.blocks.per_group) * self.blocks.pes
        starts = (np.arange(self.shape.groups)[:, None] * self.blocks.outputs + per_group).reshape(-1)
        return np.append(starts, self.shape.groups * self.blocks.outputs).astype(np.int64)


def plan_rows(
    problem: StepProblem,
    formats: tuple[RowFormat, ...] | None = None,
) -> RowsPlan:
    """Size the rows of a step: the drivers as they are stored, the results as they will be.

    formats: as in `RowsPlan`; by default the best for these operands.
    """
    shape = problem.conv_shape
    rows_of_driver = pair_rows(shape)
    if problem.step is Step.FORWARD:
        driver, group_channels, outputs, width = (
            problem.operands.input,
            shape.group_in_channels,
            shape.group_out_channels,
            shape.out_width,
        )
        pairs = np.full((shape.out_height, shape.kernel_height), -1, dtype=np.int64)
        for h, r in zip(*np.nonzero(rows_of_driver >= 0), strict=True):
            pairs[rows_of_driver[h, r], r] = h
        is_sparse = problem.operands.relu_follows
    else:
        driver, group_channels, outputs, width = (
            problem.operands.grad_output,
            shape.group_out_channels,
            shape.group_in_channels,
            shape.in_width,
        )
        pairs = rows_of_driver
        is_sparse = True
    nonzeros = np.count_nonzero(driver, axis=-1).astype(np.int64)
    form = choose_stored(nonzeros, driver.shape[-1], problem.array, problem.share) if formats is None else formats[0]
    driver_bytes = size_rows(nonzeros, driver.shape[-1], form, problem.share.data_bits)
    if problem.array.skip_zeros and is_sparse:
        written = np.count_nonzero(find_written(problem.operands, problem.step), axis=-1).astype(np.int64)
        result_form = choose_format(written, width, problem.share) if formats is None else formats[1]
    else:
        written = np.zeros(
            shape.output_shape[:3] if problem.step is Step.FORWARD else shape.input_shape[:3], dtype=np.int64
        )
        result_form = RowFormat.RAW
    summed_bytes: IntArray | None = None
    summed_formats: tuple[RowFormat, ...] = ()
    if problem.step is Step.GTA and problem.operands.summed:
        summed_bytes, summed_formats = size_summed_rows(problem, formats and formats[2:])
    return RowsPlan(
        problem=problem,
        shape=shape,
        blocks=Blocks(outputs, problem.array.pes_per_group),
        driver_bytes=driver_bytes.reshape(shape.batch, shape.groups, group_channels, -1),
        pairs=pairs,
        result_width=width,
        written_bytes=size_rows(written, width, result_form, problem.share.data_bits),
        mask_row_bytes=-(-width // 8) if problem.step is Step.GTA and problem.operands.written_mask is not None else 0,
        summed_bytes=summed_bytes,
        formats=(form, result_form, *summed_formats),
    )


def choose_stored(nonzeros: IntArray, width: int, array: PEArray, memory: MemoryShare) -> RowFormat:
    """Choose how a machine stores a sparse operand; one that skips nothing stores it raw."""
    return choose_format(nonzeros, width, memory) if array.skip_zeros else RowFormat.RAW


def size_summed_rows(
    problem: StepProblem, formats: tuple[RowFormat, ...] | None
) -> tuple[IntArray, tuple[RowFormat, ...]]:
    """Size the rows of the stored gradients that the PPU adds, all of them together, ``(N, C, H)``; tell formats."""
    total = np.zeros(problem.operands.input.shape[:3], dtype=np.int64)
    chosen: list[RowFormat] = []
    for place, gradient in enumerate(problem.operands.summed):
        nonzeros = np.count_nonzero(gradient, axis=-1).astype(np.int64)
        form = formats[place] if formats else choose_stored(nonzeros, gradient.shape[-1], problem.array, problem.share)
        total += size_rows(nonzeros, gradient.shape[-1], form, problem.share.data_bits)
        chosen.append(form)
    return total, tuple(chosen)
