"""A fully connected step before it is cut into tiles: how its vectors are stored, and the tiling."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.array import PEArray
from dataflows.contract.entries import require_tiling
from dataflows.contract.memory import MemoryShare, RowFormat
from dataflows.rows.dealing import Blocks, count_kernels_per_pe
from dataflows.sparsetrain.linear_tiling import (
    BITMASK,
    OFFSET,
    RAW,
    measure_outer_tile,
    measure_products_tile,
    search_outer,
    search_products,
    size_products_tile,
)
from dataflows.storage.row_sizes import choose_format, size_rows
from dataflows.storage.written import find_written
from workloads.arrays import IntArray
from workloads.operands import Operands
from workloads.shapes import LinearShape, Step

FORM_NUMBERS = {RowFormat.RAW: RAW, RowFormat.BITMASK: BITMASK, RowFormat.OFFSET: OFFSET}


@dataclass(frozen=True, eq=False)
class StoredVectors:
    """Rows of a fully connected tensor, one for each image, and how pieces of them are stored.

    running: running counts of nonzeros, int64 ``(N, width + 1)``.
    """

    running: IntArray
    form: RowFormat
    data_bits: int

    def repeat(self, images: IntArray) -> StoredVectors:
        """Give the vectors of a batch in which each of these images stands where it is named."""
        return dataclasses.replace(self, running=self.running[images])

    def count(self, low: int | IntArray, high: int | IntArray) -> IntArray:
        """Count nonzeros of pieces of every row: ``(N, pieces)``."""
        return self.running[:, high] - self.running[:, low]

    def size(self, low: IntArray, high: IntArray) -> IntArray:
        """Give the stored bytes of pieces of every row: ``(N, pieces)``."""
        return size_rows(self.count(low, high), high - low, self.form, self.data_bits)


def store_vectors(
    present: NDArray[np.bool_], array: PEArray, memory: MemoryShare, form: RowFormat | None = None
) -> StoredVectors:
    """Choose the format of a tensor ``(N, width)``, unless it is given, and count along its rows."""
    if form is None:
        nonzeros = present.sum(axis=1).astype(np.int64)
        form = choose_format(nonzeros, present.shape[1], memory) if array.skip_zeros else RowFormat.RAW
    running = np.pad(present, [(0, 0), (1, 0)]).cumsum(axis=1).astype(np.int64)
    return StoredVectors(running, form, memory.data_bits)


@dataclass(frozen=True, eq=False)
class ProductsPlan:
    """Forward or GTA of a fully connected layer: driver rows, results, and the gradients that the last part adds."""

    operands: Operands
    step: Step
    shape: LinearShape
    array: PEArray
    memory: MemoryShare
    vectors: StoredVectors
    stored: StoredVectors
    added: tuple[StoredVectors, ...]

    @property
    def outputs(self) -> int:
        """Results of each image."""
        return self.shape.out_features if self.step is Step.FORWARD else self.shape.in_features

    @property
    def depth(self) -> int:
        """Elements of a driver row."""
        return self.shape.in_features if self.step is Step.FORWARD else self.shape.out_features

    @property
    def has_mask(self) -> bool:
        """Whether a mask is fetched with the results' rows."""
        return self.step is Step.GTA and self.operands.written_mask is not None

    @property
    def limits(self) -> tuple[int, int, int]:
        """Limits of the task indices image and block, and of the reduction index."""
        return self.shape.batch, Blocks(self.outputs, self.array.pes_per_group).per_group, self.depth

    @property
    def formats(self) -> tuple[RowFormat, ...]:
        """Formats of the driver, of the results, and of each gradient that is added."""
        return self.vectors.form, self.stored.form, *(one.form for one in self.added)

    def repeat(self, images: IntArray) -> ProductsPlan:
        """Give the plan of a batch in which each of these images stands where it is named."""
        return dataclasses.replace(
            self,
            shape=dataclasses.replace(self.shape, batch=len(images)),
            vectors=self.vectors.repeat(images),
            stored=self.stored.repeat(images),
            added=tuple(one.repeat(images) for one in self.added),
        )


def plan_products(
    operands: Operands,
    step: Step,
    array: PEArray,
    memory: MemoryShare,
    formats: tuple[RowFormat | None, ...] | None = None,
) -> ProductsPlan:
    """Count along the rows of a step; formats: as in `ProductsPlan`, by default the best for these operands."""
    assert isinstance(operands.shape, LinearShape)
    shape, forward = operands.shape, step is Step.FORWARD
    summed = () if forward else operands.summed
    given = (None,) * (2 + len(summed)) if formats is None else formats
    driver = operands.input if forward else operands.grad_output
    if array.skip_zeros and (operands.relu_follows or not forward):
        stored = store_vectors(find_written(operands, step), array, memory, given[1])
    else:
        outputs = shape.out_features if forward else shape.in_features
        stored = StoredVectors(np.zeros((shape.batch, outputs + 1), np.int64), RowFormat.RAW, memory.data_bits)
    added = tuple(store_vectors(one != 0, array, memory, form) for one, form in zip(summed, given[2:], strict=True))
    vectors = store_vectors(driver != 0, array, memory, given[0])
    return ProductsPlan(operands, step, shape, array, memory, vectors, stored, added)


def find_products_tiling(plan: ProductsPlan) -> IntArray:
    """Find the run lengths of (image, block, reduction), int64 ``(3,)``.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    memory, vectors, stored, has_mask = plan.memory, plan.vectors, plan.stored, plan.has_mask
    B, bits, batch, outputs, depth = (
        plan.array.pes_per_group,
        memory.data_bits,
        plan.shape.batch,
        plan.outputs,
        plan.depth,
    )
    sizes = np.array(plan.limits, dtype=np.int64)
    if memory.capacity_bytes is None:
        return sizes
    form = FORM_NUMBERS[vectors.form]
    summed = np.array([one.running for one in plan.added], dtype=np.int64).reshape(-1, batch, outputs + 1)
    sums = summed, np.array([FORM_NUMBERS[one.form] for one in plan.added], dtype=np.int64)
    sizes, _ = search_products(
        vectors.running, form, stored.running, FORM_NUMBERS[stored.form], bits, memory.acc_bits, B, has_mask, *sums,
        memory.capacity_bytes,
    )  # fmt: skip
    if not sizes.all():
        # Either all runs are 1, with partial results at acc_bits, or the reduction is whole, with two output tiles.
        choices = [(np.array([1, 1, depth], dtype=np.int64), bits, 2)]
        if depth > 1:
            choices.append((np.ones(3, dtype=np.int64), memory.acc_bits, 1))
        least = min(
            tiles * int(size_products_tile(runs, batch, outputs, B, width))
            + 2 * int(measure_products_tile(runs, vectors.running, form, bits, outputs, B, has_mask, *sums))
            for runs, width, tiles in choices
        )
        require_tiling(plan.operands.layer, plan.step.value, sizes, least, memory.capacity_bytes)
    return np.asarray(sizes, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class OuterPlan:
    """GTW of a fully connected layer: both operands as they are stored; run: inputs of a PE in one task."""

    operands: Operands
    shape: LinearShape
    array: PEArray
    memory: MemoryShare
    gradients: StoredVectors
    inputs: StoredVectors
    run: int

    @property
    def block(self) -> int:
        """Inputs of a task."""
        return self.array.pes_per_group * self.run

    @property
    def limits(self) -> tuple[int, int, int]:
        """Limits of the task indices filter and block, and of the reduction index image."""
        blocks = Blocks(self.shape.in_features, self.array.pes_per_group, self.run).per_group
        return self.shape.out_features, blocks, self.shape.batch

    @property
    def formats(self) -> tuple[RowFormat, ...]:
        """Formats of the gradient and of the input."""
        return self.gradients.form, self.inputs.form

    def find_idle(self, unknown: int = 0) -> NDArray[np.bool_]:
        """Tell for which filters no image has a product: bool ``(M,)``.

        unknown: images of the batch that are not among these. A filter that none of these needs is then taken to be
        idle where gradients as sparse as theirs would more likely than not leave it so.
        """
        present = np.diff(self.gradients.running, axis=1) > 0
        if not self.array.skip_zeros or (1 - present.mean()) ** unknown < 0.5:
            return np.zeros(present.shape[1], dtype=np.bool_)
        return np.logical_not(present.any(axis=0))

    def repeat(self, images: IntArray) -> OuterPlan:
        """Give the plan of a batch in which each of these images stands where it is named."""
        return dataclasses.replace(
            self,
            shape=dataclasses.replace(self.shape, batch=len(images)),
            gradients=self.gradients.repeat(images),
            inputs=self.inputs.repeat(images),
        )


def plan_outer(
    operands: Operands, array: PEArray, memory: MemoryShare, formats: tuple[RowFormat | None, ...] | None = None
) -> OuterPlan:
    """Count along the rows of both operands; formats: as in `OuterPlan`, by default the best for these operands."""
    assert isinstance(operands.shape, LinearShape)
    given = (None, None) if formats is None else formats
    gradients = store_vectors(operands.grad_output != 0, array, memory, given[0])
    inputs = store_vectors(operands.input != 0, array, memory, given[1])
    run = count_kernels_per_pe(operands.shape, array)
    return OuterPlan(operands, operands.shape, array, memory, gradients, inputs, run)


def find_outer_tiling(plan: OuterPlan) -> IntArray:
    """Find the run lengths of (filter, block, image), int64 ``(3,)``.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    memory, shape, block = plan.memory, plan.shape, plan.block
    sizes = np.array(plan.limits, dtype=np.int64)
    if memory.capacity_bytes is None:
        return sizes
    forms = FORM_NUMBERS[plan.gradients.form], FORM_NUMBERS[plan.inputs.form]
    tables = (plan.gradients.running, forms[0], plan.inputs.running, forms[1], memory.data_bits)
    sizes, _ = search_outer(*tables, memory.acc_bits, block, memory.capacity_bytes)
    if not sizes.all():
        ones = np.ones(3, dtype=np.int64)
        least = size_products_tile(ones, plan.limits[0], shape.in_features, block, memory.acc_bits)
        least = least * (2 if shape.batch == 1 else 1) + 2 * measure_outer_tile(ones, *tables, block)
        require_tiling(plan.operands.layer, Step.GTW.value, sizes, int(least), memory.capacity_bytes)
    return np.asarray(sizes, dtype=np.int64)
