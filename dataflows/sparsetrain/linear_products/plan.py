"""Forward and GTA of a fully connected layer before they are cut into tiles, and their tiling."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from dataflows.contract.entries import require_tiling
from dataflows.contract.memory import RowFormat
from dataflows.contract.problem import StepProblem
from dataflows.rows.dealing import Blocks
from dataflows.sparsetrain.linear_products.tiling import measure_products_tile, search_products, size_products_tile
from dataflows.storage.row_sizes import size_raw
from dataflows.storage.stored_tensor import StoredVectors, stack_vectors, store_vectors
from dataflows.storage.written import is_written_sparse, locate_written
from dataflows.tiling.occupancy import size_bits
from dataflows.tiling.pinned import pin_sizes, require_fit
from dataflows.tiling.search import Found
from dataflows.tiling.streams import Placed, place_vectors
from workloads.arrays import IntArray
from workloads.shapes import LinearShape, Step


@dataclass(frozen=True, eq=False)
class ProductsPlan:
    """Forward or GTA of a fully connected layer: driver rows, results, and the gradients that the last part adds.

    Attributes:
        moves_weight: Whether tiles load the weight; the second factor of a product may stay in the buffer.
    """

    problem: StepProblem
    shape: LinearShape
    drivers: StoredVectors
    written: StoredVectors
    summed: tuple[StoredVectors, ...]
    moves_weight: bool = True

    @property
    def outputs(self) -> int:
        """Results of each image."""
        return self.shape.out_features if self.problem.step is Step.FORWARD else self.shape.in_features

    @property
    def depth(self) -> int:
        """Elements of a driver row."""
        return self.shape.in_features if self.problem.step is Step.FORWARD else self.shape.out_features

    @property
    def has_mask(self) -> bool:
        """Whether a mask is fetched with the results' rows."""
        return self.problem.has_mask

    @property
    def limits(self) -> tuple[int, int, int]:
        """Limits of the task indices image and block, and of the reduction index."""
        return self.shape.batch, Blocks(self.outputs, self.problem.array.pes_per_group).per_group, self.depth

    @property
    def formats(self) -> tuple[RowFormat, ...]:
        """Formats of the driver, of the results, and of each gradient that is added."""
        return tuple(tensor.row_format for tensor in (self.drivers, self.written, *self.summed))

    def size_row_bits(self, rows: int, *, is_last: bool) -> tuple[int, int]:
        """Give the bytes of the bits that a tile with so many rows loads and writes back.

        Args:
            is_last: It holds the last part of a reduction, with which gradients are added and results are written.
        """
        array, loaded = self.problem.array, self.drivers.is_moved + len(self.summed) * is_last
        written = rows * is_last * is_written_sparse(self.problem) * self.written.is_moved
        return size_bits(array, [rows] * loaded), size_bits(array, [written])

    def stack_summed(self) -> tuple[IntArray, IntArray]:
        """Stack the gradients that the last part adds, as kernels take them."""
        return stack_vectors(self.summed, self.shape.batch, self.outputs)

    def list_tensors(self, products: int = 1) -> list[Placed]:
        """List what lies in DRAM, by elements: drivers, weights, masks, gradients that are added, results.

        Args:
            products: Of a product of two activations, each with weights of its own.
        """
        weights, rows = products * self.outputs * self.depth, self.shape.batch
        mask = rows * size_raw(self.outputs, 1) * self.has_mask
        return [
            place_vectors(self.drivers),
            Placed(products * self.outputs * size_raw(self.depth, self.problem.share.data_bits), weights),
            Placed(mask, rows * self.outputs),
            Placed(sum(place_vectors(gradient).size_bytes for gradient in self.summed), rows * self.outputs),
            place_vectors(self.written),
        ]

    def find_first_elements(
        self, image: int, output: int, element: int, product: int = 0
    ) -> tuple[int, int, int, int, int]:
        """Give the first element of each of these tensors that results from image and output on need.

        Args:
            element: The first of the driver row.
        """
        # Weights lie output by output of Forward, whose results are outputs, and whose inputs are elements.
        is_forward = self.problem.step is Step.FORWARD
        weight = output * self.depth + element if is_forward else element * self.outputs + output
        results = image * self.outputs + output
        weight += product * self.outputs * self.depth
        return image * self.depth + element, weight, results, results, results

    @property
    def weight_bits(self) -> int:
        """Bits of a weight that tiles load."""
        return self.moves_weight * self.problem.share.data_bits

    def move(self) -> ProductsPlan:
        """Give the plan as tiles move its tensors: what stays in the buffer is not among them."""
        kept = self.problem.share.kept
        if kept.is_empty:
            return self
        return dataclasses.replace(
            self,
            drivers=self.drivers.stay(stays=self.problem.driver_name in kept.operands),
            written=self.written.stay(stays=kept.has_result),
            summed=tuple(tensor for place, tensor in enumerate(self.summed) if place not in kept.summed),
            moves_weight="weight" not in kept.operands,
        )

    def repeat(self, images: IntArray) -> ProductsPlan:
        """Give the plan of a batch in which each of these images stands where it is named."""
        return dataclasses.replace(
            self,
            shape=dataclasses.replace(self.shape, batch=len(images)),
            drivers=self.drivers.repeat(images),
            written=self.written.repeat(images),
            summed=tuple(gradient.repeat(images) for gradient in self.summed),
        )


def plan_products(
    problem: StepProblem,
    formats: tuple[RowFormat | None, ...] | None = None,
) -> ProductsPlan:
    """Count along the rows of a step.

    Args:
        formats: As in `ProductsPlan`, by default the best for these operands.
    """
    given = (None,) * (2 + len(problem.summed)) if formats is None else formats
    return ProductsPlan(
        problem=problem,
        shape=problem.linear_shape,
        drivers=store_vectors(problem.driver != 0, problem.array, problem.share, given[0]),
        written=store_written(problem, given[1]),
        summed=tuple(
            store_vectors(gradient != 0, problem.array, problem.share, row_format)
            for gradient, row_format in zip(problem.summed, given[2:], strict=True)
        ),
    )


def store_written(problem: StepProblem, row_format: RowFormat | None) -> StoredVectors:
    """Store the result of a step; where it is raw, it need not be computed."""
    if is_written_sparse(problem):
        return store_vectors(locate_written(problem), problem.array, problem.share, row_format)
    return store_vectors(np.zeros(problem.written_shape, dtype=np.bool_), problem.array, problem.share, RowFormat.RAW)


def find_products_tiling(plan: ProductsPlan) -> IntArray:
    """Find the run lengths of (image, block, reduction), int64 ``(3,)``.

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
    sizes = search_plan(plan, memory.capacity_bytes).sizes
    if not sizes.all():
        # Either all runs are 1, with partial results at acc_bits, or the reduction is whole, with two output tiles.
        least = min(measure_need(plan, np.array([1, 1, depth], dtype=np.int64)) for depth in (plan.depth, 1))
        require_tiling(plan.problem.operands.layer, plan.problem.own.step.value, sizes, least, memory)
    return np.asarray(sizes, dtype=np.int64)


def search_plan(plan: ProductsPlan, capacity_bytes: int) -> Found:
    """Search run lengths of (image, block, reduction)."""
    return search_products(
        plan.drivers, plan.written, plan.stack_summed(), plan.problem.share.acc_bits, plan.problem.array.pes_per_group,
        plan.has_mask, capacity_bytes,
    )  # fmt: skip


def measure_need(plan: ProductsPlan, sizes: IntArray) -> int:
    """Give the bytes of the buffer that run lengths of (image, block, reduction) need."""
    memory, drivers, block = plan.problem.share, plan.drivers, plan.problem.array.pes_per_group
    is_whole = sizes[2] == plan.depth
    bits = memory.data_bits if is_whole else memory.acc_bits
    output = int(size_products_tile(sizes, plan.shape.batch, plan.outputs, block, bits))
    load = measure_products_tile(
        sizes, drivers.running, drivers.code, memory.data_bits, plan.outputs, block, plan.has_mask,
        *plan.stack_summed(),
    )  # fmt: skip
    return (2 if is_whole else 1) * output + 2 * int(load)
