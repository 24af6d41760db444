"""Forward and GTA of a convolution before they are cut into tiles: which rows meet, and how they are stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dataflows.contract.memory import RowFormat
from dataflows.contract.problem import StepProblem
from dataflows.rows.dealing import GroupedBlocks, deal_outputs
from dataflows.rows.geometry import RowsGeometry, describe_rows
from dataflows.rows.occupied import count_operations, mark_drivers, mark_results
from dataflows.rows.strips import Strip, cut_strips
from dataflows.storage.row_sizes import size_raw
from dataflows.storage.stored_tensor import StoredTensor, store_tensor
from dataflows.storage.written import is_written_sparse, locate_written
from dataflows.tiling.streams import Placed
from workloads.arrays import BoolArray, IntArray
from workloads.shapes import ConvShape, Step


@dataclass(frozen=True, eq=False)
class RowsPlan:
    """What Forward and GTA have in common: driver rows, blocks of outputs, a reduction over driver channels.

    Attributes:
        drivers: The tensor that drives the step, ``(N, channels, Y)`` rows, and its result.
        written: The tensor that drives the step, ``(N, channels, Y)`` rows, and its result.
        summed: The gradients that the PPU adds to the result.
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

    @cached_property
    def strips(self) -> tuple[Strip, ...]:
        """The strips of a result row; one where it fits the accumulators."""
        return cut_strips(self.shape, self.problem.step, self.problem.array)

    @cached_property
    def blocks(self) -> GroupedBlocks:
        """How outputs are dealt to PEs."""
        return deal_outputs(self.shape, self.problem.step, self.problem.array)

    @property
    def limits(self) -> tuple[int, ...]:
        """Limits of the task indices: images, result rows, strips of a row that is cut, blocks."""
        rows = self.shape.batch, len(self.pairs)
        return (*rows, self.blocks.count) if len(self.strips) == 1 else (*rows, len(self.strips), self.blocks.count)

    def split_places(self, places: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Give image, result row, strip and block of entries ``(entries, task indices)``."""
        strip = places[:, 2] if len(self.strips) > 1 else np.zeros(len(places), dtype=np.int64)
        return places[:, 0], places[:, 1], strip, places[:, -1]

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

    def list_windows(self, tensor: StoredTensor, places: Sequence[range]) -> IntArray:
        """Give the bytes of the elements at these places of a row that is cut and stored raw; -1 where it is not."""
        if len(self.strips) == 1 or tensor.row_format is not RowFormat.RAW:
            return np.full(len(places), -1, dtype=np.int64)
        return np.array([size_raw(len(place), self.problem.share.data_bits) for place in places], dtype=np.int64)

    @cached_property
    def windows(self) -> IntArray:
        """Bytes of a driver row that a task of each strip fetches, -1 where it fetches all of the row."""
        return self.list_windows(self.drivers, [strip.window for strip in self.strips])

    @cached_property
    def fetched_bytes(self) -> IntArray:
        """Bytes that a task of each strip fetches of a driver row, -1 where none is: ``(strips, N, groups, depth, Y)``.

        Strips are told apart only where they differ.
        """
        sizes, fetched = [], self.drivers.lie_raw(is_raw=self.problem.lies_raw(self.problem.driver_name))
        rows = fetched.row_bytes.reshape(self.driver_bytes.shape)
        windows = self.list_windows(fetched, [strip.window for strip in self.strips])
        for strip, window in zip(self.strips, windows.tolist(), strict=True):
            whole = rows if window < 0 else np.full_like(rows, window)
            sizes.append(np.where(mark_drivers(self.problem, strip), whole, -1))
        return np.ascontiguousarray(np.stack(sizes))

    @cached_property
    def operations(self) -> IntArray | None:
        """Row operations of each strip of each result row, ``(strips, N, outputs, X)``; None where no row can be none.

        Then every result row that meets a driver row has some.
        """
        if not self.problem.array.passes_empty_rows:
            return None
        size = self.shape.batch, self.blocks.groups, self.blocks.outputs, len(self.pairs)
        counted = [np.broadcast_to(count_operations(self.problem, strip), size) for strip in self.strips]
        return np.stack(counted).reshape(len(self.strips), size[0], -1, size[3])

    @cached_property
    def wanted(self) -> BoolArray | None:
        """Strips of result rows with a set bit in their mask ``(strips, N, outputs, X)``; None where all are worked."""
        marked = [mark_results(self.problem, strip) for strip in self.strips]
        found = [one for one in marked if one is not None]
        return np.stack(found).reshape(len(found), self.shape.batch, -1, len(self.pairs)) if found else None

    def size_strips(self, bits: int) -> IntArray:
        """Give the bytes of each strip of a row, raw: ``(strips,)``."""
        return np.array([size_raw(len(strip.columns), bits) for strip in self.strips], dtype=np.int64)

    @cached_property
    def mask_bytes(self) -> IntArray:
        """Bytes of the mask of each strip of a result row, 0 where the step has none."""
        return self.size_strips(1) * self.problem.has_mask

    @property
    def written_bytes(self) -> int:
        """Bytes of all results as they are stored; a raw row that is cut is rounded up strip by strip."""
        if not self.written.is_moved:
            return 0
        if self.written.row_format is RowFormat.RAW:
            return self.written.nonzeros.size * int(self.size_strips(self.problem.share.data_bits).sum())
        return int(self.written.row_bytes.sum())

    @property
    def weight_row_bytes(self) -> int:
        """Bytes of one row of a kernel."""
        return size_raw(self.shape.kernel_width, self.problem.share.data_bits)

    def split_summed(self) -> tuple[IntArray | None, int]:
        """Give the bytes of the rows that the PPU adds to result rows, ``(N, outputs, X)``; None where it adds none.

        Of gradients that are cut and stored raw the strip's own elements are read: they are not among these, but
        counted. All bytes of a compressed row are read for each of its strips.
        """
        if not self.summed:
            return None, 0
        cut = [tensor for tensor in self.summed if len(self.strips) > 1 and tensor.row_format is RowFormat.RAW]
        total = np.zeros(self.written.nonzeros.shape, dtype=np.int64)
        for tensor in self.summed:
            if tensor not in cut:
                total += tensor.row_bytes
        return total, len(cut)

    def list_tensors(self) -> list[Placed]:
        """List what lies in DRAM, by rows: drivers, kernels, masks, gradients that are added, results."""
        results, kernels = self.written.nonzeros.size, self.shape.out_channels * self.shape.group_in_channels
        summed = sum(int(tensor.row_bytes.sum()) for tensor in self.summed)
        return [
            Placed(int(self.drivers.row_bytes.sum()), self.drivers.nonzeros.size),
            Placed(kernels * self.shape.kernel_height * self.weight_row_bytes, kernels),
            Placed(results * int(self.mask_bytes.sum()), results),
            Placed(summed, results),
            Placed(int(self.written.row_bytes.sum()), results),
        ]

    @cached_property
    def first_driver_rows(self) -> IntArray:
        """The first driver row that each result row meets; the last one of all where it meets none."""
        most = self.driver_bytes.shape[3] - 1
        first: IntArray = np.where(self.pairs >= 0, self.pairs, most).min(axis=1, initial=most)
        return first

    def find_first_rows(self, image: IntArray, x: IntArray, output: IntArray, channel: IntArray) -> IntArray:
        """Give the first row of each of these tensors that tiles need: ``(tiles, tensors)``.

        Args:
            image: Of the first result of each tile, ``(tiles,)``, as x and output.
            channel: The first of the group's driver channels.
        """
        group, own = np.divmod(output, self.blocks.outputs)
        driver = group * self.reductions + channel
        Y, X = self.driver_bytes.shape[3], len(self.pairs)
        drivers = (image * self.shape.groups * self.reductions + driver) * Y + self.first_driver_rows[x]
        # Kernels lie filter by filter: the filters are results in Forward, and drivers in GTA.
        is_forward = self.problem.step is Step.FORWARD
        kernel = output * self.reductions + channel if is_forward else driver * self.blocks.outputs + own
        results = (image * self.written.nonzeros.shape[1] + output) * X + x
        return np.stack([drivers, kernel, results, results, results], axis=1)

    def move(self) -> RowsPlan:
        """Give the plan as tiles move its tensors: what stays in the buffer is not among them."""
        kept = self.problem.share.kept
        if kept.is_empty:
            return self
        return dataclasses.replace(
            self,
            drivers=self.drivers.stay(stays=self.problem.driver_name in kept.operands),
            written=self.written.stay(stays=kept.has_result),
            summed=tuple(tensor for place, tensor in enumerate(self.summed) if place not in kept.summed),
        )

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

    Args:
        formats: As in `RowsPlan`; by default the best for these operands.
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
        return store_tensor(locate_written(problem), problem.array, problem.share, row_format)
    shape = problem.written_shape
    return StoredTensor(np.zeros(shape[:-1], dtype=np.int64), shape[-1], RowFormat.RAW, problem.share.data_bits)
