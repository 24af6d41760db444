"""Forward and GTA of a product of two activations: a task is a block of dot products of one row."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial

import numpy as np

from dataflows.contract.entries import Entries, list_entries, require_tiling
from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepCounts, StepValues
from dataflows.contract.tile_plan import TilePlan
from dataflows.rows.dealing import Blocks, enumerate_tasks
from dataflows.sparsetrain.linear_products.lengths import count_products, measure_products
from dataflows.sparsetrain.linear_products.mapping import LinearProducts, count_outputs
from dataflows.sparsetrain.linear_products.plan import ProductsPlan, plan_products
from dataflows.sparsetrain.linear_products.tiling import size_products_tile
from dataflows.sparsetrain.linear_products.traffic import describe_products
from dataflows.sparsetrain.linear_rows import add_headers, count_issues
from dataflows.sparsetrain.matmul.problems import flatten_rows, get_shape, join_values, take_product
from dataflows.sparsetrain.matmul.refusal import refuse_sample
from dataflows.sparsetrain.matmul.tiling import measure_rows_of_products, start_sizes, try_rows_of_products
from dataflows.storage.row_sizes import size_raw
from dataflows.tiling.occupancy import pair_bits
from dataflows.tiling.pinned import pin_sizes, require_fit
from dataflows.tiling.search import Found, find_best
from dataflows.tiling.streams import TileLoads
from dataflows.tiling.traffic import TileBytes, assemble_traffic
from workloads.arrays import BoolArray, IntArray


class MatmulRows:
    """Dot products of each row of A, or of the gradient to the output, with B of its own place in the batch."""

    def list_tasks(self, problem: StepProblem) -> tuple[tuple[str, ...], IntArray]:
        """One task for each place in the batch, row and block of outputs."""
        shape = get_shape(problem)
        return ("batch", "image", "block"), enumerate_tasks(shape.products, shape.rows, count_blocks(problem))

    def measure_tasks(self, problem: StepProblem) -> IntArray:
        """Deal the dot products to PEs."""
        return measure_products(flatten_rows(problem))

    def count(self, problem: StepProblem) -> StepCounts:
        """Count dot products and multiplications."""
        return count_products(flatten_rows(problem))

    def cut(self, problem: StepProblem) -> tuple[Traffic, IntArray]:
        """Tiles of (batch, image, block), their reduction perhaps cut."""
        shape, plan = get_shape(problem), plan_products(flatten_rows(problem))
        sizes = find_tiling(plan.move(), shape.products)
        limits = shape.products, shape.rows, count_blocks(problem)
        entries = list_entries(limits, (plan.depth,), tuple(int(size) for size in sizes))
        batch, row, block = entries.places.T
        flat = dataclasses.replace(entries, places=np.stack([batch * shape.rows + row, block], axis=1))
        bursts, results = describe_products(plan, flat, int(sizes[3]))
        tiles = size_tiles(plan.move(), entries, shape.rows)
        if not problem.share.kept.is_empty:
            tiles = dataclasses.replace(tiles, in_full=size_tiles(plan, entries, shape.rows))
        return assemble_traffic(entries, sizes, bursts, results, tiles), entries.task_numbers(limits)

    def recount(self, problem: StepProblem, counts: StepCounts, pe_cycles: IntArray, traffic: Traffic) -> StepCounts:
        """The pieces of a row that was cut have headers and issues of their own."""
        counted = add_headers(counts, self.measure_tasks(problem), pe_cycles)
        return count_issues(counted, traffic, problem.array)

    def plan_tiles(self, problem: StepProblem, images: IntArray) -> TilePlan:  # noqa: ARG002
        """Refuse: an image's tiles have weights of their own."""
        raise refuse_sample(problem)

    def pack_tiles(self, problem: StepProblem, plan: TilePlan, images: Sequence[int], tiles: IntArray) -> Traffic:  # noqa: ARG002
        """Refuse likewise."""
        raise refuse_sample(problem)

    def execute(self, problem: StepProblem, executed: BoolArray) -> StepValues:
        """Compute each product as a fully connected layer."""
        products, inner = get_shape(problem).products, LinearProducts()
        flags = executed.reshape(products, -1)
        return join_values(problem, [inner.execute(take_product(problem, p), flags[p]) for p in range(products)])


def count_blocks(problem: StepProblem) -> int:
    """Count the blocks of outputs of a row."""
    return Blocks(count_outputs(flatten_rows(problem)), problem.array.pes_per_group).per_group


def find_tiling(plan: ProductsPlan, products: int) -> IntArray:
    """Find the run lengths of (product, row, block, reduction), int64 ``(4,)``.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    problem, rows = plan.problem, plan.shape.batch
    memory = problem.share
    _, blocks, depth = plan.limits
    limits = products, rows // products, blocks
    if (pinned := pin_sizes(problem, limits, (depth,))) is not None:
        require_fit(problem, measure_need(plan, products, pinned))
        return pinned
    if memory.capacity_bytes is None:
        return np.array([*limits, depth], dtype=np.int64)
    best = search_plan(plan, products, memory.capacity_bytes).sizes
    if not best.all():
        least = min(measure_need(plan, products, np.array([1, 1, 1, part], dtype=np.int64)) for part in (depth, 1))
        require_tiling(problem.operands.layer, problem.step.value, best, least, memory)
    return best


def search_plan(plan: ProductsPlan, products: int, capacity_bytes: int) -> Found:
    """Search run lengths of (product, row, block, reduction)."""
    memory, block = plan.problem.share, plan.problem.array.pes_per_group
    drivers, written = plan.drivers, plan.written
    sizes, best = start_sizes()
    attempt = partial(
        try_rows_of_products, products, drivers.running, drivers.code, written.running, written.code, plan.weight_bits,
        memory.data_bits, memory.acc_bits, block, plan.has_mask, *plan.stack_summed(), capacity_bytes, sizes, best,
    )  # fmt: skip
    return find_best(best, attempt)


def measure_need(plan: ProductsPlan, products: int, sizes: IntArray) -> int:
    """Give the bytes of the buffer that run lengths of (product, row, block, reduction) need."""
    memory, drivers, block = plan.problem.share, plan.drivers, plan.problem.array.pes_per_group
    is_whole = sizes[3] == plan.depth
    bits = memory.data_bits if is_whole else memory.acc_bits
    output = size_products_tile(sizes[1:], plan.shape.batch // products, plan.outputs, block, bits)
    load = measure_rows_of_products(
        sizes, products, drivers.running, drivers.code, plan.weight_bits, plan.outputs, block, plan.has_mask,
        *plan.stack_summed(),
    )  # fmt: skip
    return (2 if is_whole else 1) * int(sizes[0]) * int(output) + 2 * int(load)


def size_tiles(plan: ProductsPlan, entries: Entries, rows: int) -> TileBytes:
    """Size the loads of all tiles, each product's weights among them, and what they write back."""
    B, bits = plan.problem.array.pes_per_group, plan.weight_bits
    sizes, first_elements, write_backs, loaded, written = [], [], [], [], []
    for products, images, blocks, piece in entries.tiles:
        chosen = (np.arange(products.start, products.stop)[:, None] * rows + np.array(images)).reshape(-1)
        first, end = np.array([blocks.start * B]), np.array([min(plan.outputs, blocks.stop * B)])
        outputs = int(end[0] - first[0])
        is_last = piece.stop == plan.depth
        sizes.append(
            (
                int(plan.drivers.size(np.array([piece.start]), np.array([piece.stop]))[chosen].sum()),
                len(products) * outputs * size_raw(len(piece), bits),
                len(chosen) * size_raw(outputs, 1) * plan.has_mask,
                sum(int(gradient.size(first, end)[chosen].sum()) for gradient in plan.summed) if is_last else 0,
            )
        )
        place = int(chosen[0]), int(first[0]), piece.start, products.start
        first_elements.append(plan.find_first_elements(*place))
        write_backs.append(int(plan.written.size(first, end)[chosen].sum()))
        moved = plan.size_row_bits(len(chosen), is_last=is_last)
        loaded.append(moved[0])
        written.append(moved[1])
    loads = TileLoads(plan.list_tensors(plan.shape.batch // rows), sizes, first_elements)
    return TileBytes(loads.total, np.array(write_backs, dtype=np.int64), pair_bits(loaded, written), loads)
