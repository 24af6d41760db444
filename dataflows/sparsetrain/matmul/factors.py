"""GTW of a product of two activations: the gradient to its second factor, written as an activation's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.entries import Entries, list_entries, require_tiling
from dataflows.contract.memory import RowFormat, Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepCounts, StepValues
from dataflows.contract.tile_plan import TilePlan
from dataflows.rows.dealing import Blocks, count_kernels_per_pe, enumerate_tasks
from dataflows.sparsetrain.linear_outer.lengths import count_outer, deal_inputs, measure_outer
from dataflows.sparsetrain.linear_outer.mapping import LinearOuter
from dataflows.sparsetrain.linear_products.tiling import size_products_tile
from dataflows.sparsetrain.linear_rows import add_headers
from dataflows.sparsetrain.matmul.problems import add_counts, flatten_rows, get_shape, join_values, take_product
from dataflows.sparsetrain.matmul.refusal import refuse_sample
from dataflows.sparsetrain.matmul.tiling import measure_factors, start_sizes, try_factors
from dataflows.storage.row_sizes import size_raw
from dataflows.storage.stored_tensor import StoredVectors, stack_vectors, store_vectors
from dataflows.storage.written import is_written_sparse, locate_written
from dataflows.tiling.items import ItemEntries, divide_up, pack_items
from dataflows.tiling.occupancy import pair_bits, size_bits
from dataflows.tiling.pinned import pin_sizes, require_fit
from dataflows.tiling.search import Found, find_best
from dataflows.tiling.streams import Placed, TileLoads, place_vectors
from dataflows.tiling.traffic import Bursts, EntryResults, TileBytes, assemble_traffic
from workloads.arrays import BoolArray, IntArray
from workloads.shapes import MatmulShape


class MatmulFactors:
    """Outer products of rows of A and of the gradient to the output, summed over the rows of each product."""

    def list_tasks(self, problem: StepProblem) -> tuple[tuple[str, ...], IntArray]:
        """One task for each place in the batch, output and block of inputs."""
        shape = get_shape(problem)
        blocks = deal_inputs(flatten_rows(problem)).per_group
        return ("batch", "filter", "block"), enumerate_tasks(shape.products, shape.out_features, blocks)

    def measure_tasks(self, problem: StepProblem) -> IntArray:
        """Sum the rows whose gradient takes part, product by product."""
        return np.concatenate([measure_outer(one) for one in list_products(problem)])

    def count(self, problem: StepProblem) -> StepCounts:
        """Count products and multiplications."""
        return add_counts([count_outer(one) for one in list_products(problem)])

    def cut(self, problem: StepProblem) -> tuple[Traffic, IntArray]:
        """Tiles of (batch, output, block), their reduction over rows perhaps cut."""
        plan = plan_factors(problem)
        sizes = find_tiling(plan.move())
        entries = list_entries(plan.limits[:3], plan.limits[3:], tuple(int(size) for size in sizes))
        bursts, results = pack_factors(plan, entries), describe_results(plan, entries)
        tiles = size_tiles(plan.move(), entries)
        if not problem.share.kept.is_empty:
            tiles = replace(tiles, in_full=size_tiles(plan, entries))
        traffic = assemble_traffic(entries, sizes, bursts, results, tiles)
        return traffic, entries.task_numbers(plan.limits[:3])

    def recount(self, problem: StepProblem, counts: StepCounts, pe_cycles: IntArray, traffic: Traffic) -> StepCounts:  # noqa: ARG002
        """Items are not divided; headers are as counted."""
        return add_headers(counts, self.measure_tasks(problem), pe_cycles)

    def plan_tiles(self, problem: StepProblem, images: IntArray) -> TilePlan:  # noqa: ARG002
        """Refuse: its tasks belong to one image each."""
        raise refuse_sample(problem)

    def pack_tiles(self, problem: StepProblem, plan: TilePlan, images: Sequence[int], tiles: IntArray) -> Traffic:  # noqa: ARG002
        """Refuse likewise."""
        raise refuse_sample(problem)

    def execute(self, problem: StepProblem, executed: BoolArray) -> StepValues:
        """Compute each product's outer products as a fully connected layer's."""
        inner, flags = LinearOuter(), executed.reshape(get_shape(problem).products, -1)
        return join_values(problem, [inner.execute(one, flags[p]) for p, one in enumerate(list_products(problem))])


def list_products(problem: StepProblem) -> list[StepProblem]:
    """List the products as fully connected layers."""
    return [take_product(problem, place) for place in range(get_shape(problem).products)]


@dataclass(frozen=True, eq=False)
class FactorsPlan:
    """GTW before it is cut: rows of the gradient and of A ``(products x T, ...)``, of the result ``(products x M, C)``.

    Attributes:
        run: Inputs of a PE in one task.
    """

    problem: StepProblem
    shape: MatmulShape
    gradients: StoredVectors
    inputs: StoredVectors
    written: StoredVectors
    summed: tuple[StoredVectors, ...]
    run: int

    @property
    def block(self) -> int:
        """Inputs of a task."""
        return self.problem.array.pes_per_group * self.run

    @property
    def limits(self) -> tuple[int, int, int, int]:
        """Limits of the task indices batch, filter and block, and of the reduction index row."""
        blocks = Blocks(self.shape.in_features, self.problem.array.pes_per_group, self.run).per_group
        return self.shape.products, self.shape.out_features, blocks, self.shape.rows

    def list_rows(self) -> tuple[int, IntArray, IntArray, IntArray, IntArray]:
        """List the products and the rows of both operands, as kernels take them."""
        return (
            self.shape.products, self.gradients.running, self.gradients.code, self.inputs.running, self.inputs.code,
        )  # fmt: skip

    def stack_summed(self) -> tuple[IntArray, IntArray]:
        """Stack the gradients that the last part adds, as kernels take them."""
        return stack_vectors(self.summed, self.shape.products * self.shape.out_features, self.shape.in_features)

    def move(self) -> FactorsPlan:
        """Give the plan as tiles move its tensors: what stays in the buffer is not among them."""
        kept = self.problem.share.kept
        if kept.is_empty:
            return self
        return replace(
            self,
            gradients=self.gradients.stay(stays="grad_output" in kept.operands),
            inputs=self.inputs.stay(stays="input" in kept.operands),
            written=self.written.stay(stays=kept.has_result),
            summed=tuple(tensor for place, tensor in enumerate(self.summed) if place not in kept.summed),
        )

    def find_idle(self) -> NDArray[np.bool_]:
        """Tell which tasks have no product of any row: bool ``(products, M, blocks)``."""
        array, limits = self.problem.array, self.limits
        if not array.skip_zeros:
            return np.zeros(limits[:3], dtype=np.bool_)
        starts = np.arange(0, self.shape.in_features, self.block)
        ends = np.minimum(starts + self.block, self.shape.in_features)
        driven = (self.inputs.count(starts, ends) > 0).reshape(limits[0], limits[3], limits[2])
        if not array.passes_empty_rows:
            driven = np.ones_like(driven)
        present = (self.problem.operands.grad_output != 0).reshape(limits[0], limits[3], limits[1])
        return np.asarray(np.einsum("ptm,ptb->pmb", present.astype(np.int64), driven.astype(np.int64)) == 0)


def plan_factors(problem: StepProblem) -> FactorsPlan:
    """Store the tensors of a step."""
    shape, flat, array, memory = get_shape(problem), flatten_rows(problem), problem.array, problem.share
    size = (shape.products * shape.out_features, shape.in_features)
    if is_written_sparse(problem):
        written = store_vectors(locate_written(problem).reshape(size), array, memory)
    else:
        written = store_vectors(np.zeros(size, dtype=np.bool_), array, memory, RowFormat.RAW)
    return FactorsPlan(
        problem,
        shape,
        store_vectors(flat.operands.grad_output != 0, array, memory),
        store_vectors(flat.operands.input != 0, array, memory),
        written,
        tuple(store_vectors(gradient.reshape(size) != 0, array, memory) for gradient in problem.summed),
        count_kernels_per_pe(flat.linear_shape, array),
    )


def find_tiling(plan: FactorsPlan) -> IntArray:
    """Find the run lengths of (product, filter, block, row), int64 ``(4,)``.

    Raises:
        UnmappableLayerError: no tiling fits the buffer.
    """
    memory, shape = plan.problem.share, plan.shape
    if (pinned := pin_sizes(plan.problem, plan.limits[:3], plan.limits[3:])) is not None:
        require_fit(plan.problem, measure_need(plan, pinned))
        return pinned
    if memory.capacity_bytes is None:
        return np.array(plan.limits, dtype=np.int64)
    best = search_plan(plan, memory.capacity_bytes).sizes
    if not best.all():
        least = min(measure_need(plan, np.array([1, 1, 1, part], dtype=np.int64)) for part in (shape.rows, 1))
        require_tiling(plan.problem.operands.layer, plan.problem.step.value, best, least, memory)
    return best


def search_plan(plan: FactorsPlan, capacity_bytes: int) -> Found:
    """Search run lengths of (product, filter, block, row)."""
    memory = plan.problem.share
    sizes, best = start_sizes()
    attempt = partial(
        try_factors, *plan.list_rows(), plan.written.running, plan.written.code, memory.data_bits, memory.acc_bits,
        plan.block, plan.problem.has_mask, *plan.stack_summed(), capacity_bytes, sizes, best,
    )  # fmt: skip
    return find_best(best, attempt)


def measure_need(plan: FactorsPlan, sizes: IntArray) -> int:
    """Give the bytes of the buffer that run lengths of (product, filter, block, row) need."""
    memory, shape = plan.problem.share, plan.shape
    is_whole = sizes[3] == shape.rows
    bits = memory.data_bits if is_whole else memory.acc_bits
    output = size_products_tile(sizes[1:], shape.out_features, shape.in_features, plan.block, bits)
    load = measure_factors(sizes, *plan.list_rows(), plan.block, plan.problem.has_mask, *plan.stack_summed())
    return (2 if is_whole else 1) * int(sizes[0]) * int(output) + 2 * int(load)


def pack_factors(plan: FactorsPlan, entries: Entries) -> Bursts:
    """Pack the operand bursts: an item a row, one output's gradient and each PE's block of inputs."""
    array, memory, shape = plan.problem.array, plan.problem.share, plan.shape
    P, T, M, C = shape.products, shape.rows, shape.out_features, shape.in_features
    batch, m, b = entries.places.T
    starts = np.arange(0, C, plan.run)
    ends = np.minimum(starts + plan.run, C)
    piece_bytes = plan.inputs.lie_raw(is_raw=plan.problem.lies_raw("input")).size(starts, ends)
    elements = plan.inputs.count(starts, ends)
    if not array.skip_zeros:
        elements = np.broadcast_to(ends - starts, piece_bytes.shape)
    cycles = array.row_overhead_cycles + divide_up(elements, array.multipliers_per_pe)
    filters = np.arange(M)
    gradients = plan.gradients.lie_raw(is_raw=plan.problem.lies_raw("grad_output"))
    driver_bytes = gradients.size(filters, filters + 1).reshape(P, T, M)
    if array.skip_zeros:
        driver_bytes = np.where(plan.problem.operands.grad_output != 0, driver_bytes, -1)
    if array.passes_empty_rows:
        piece_bytes = np.where(elements > 0, piece_bytes, -1)
    second, spent = (rows.reshape(P, T, -1).transpose(0, 2, 1)[:, :, :, None] for rows in (piece_bytes, cycles))

    def item_rows(place: int) -> tuple[IntArray, IntArray, IntArray]:
        product, output = divmod(place, M)
        return driver_bytes[product, :, output][None, :, None], second[product], spent[product]

    place = batch * M + m
    by_place = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place, minlength=P * M))[:-1])
    owned = count_owned(plan, b)
    low, high = np.ascontiguousarray(entries.low[:, 0]), np.ascontiguousarray(entries.high[:, 0])
    items = ItemEntries(b * array.pes_per_group, divide_up(owned, plan.run), low, high, np.zeros_like(owned))
    return pack_items(by_place, item_rows, items, len(starts), array.pes_per_group, memory)


def count_owned(plan: FactorsPlan, blocks: IntArray) -> IntArray:
    """Count the inputs of blocks."""
    first = blocks * plan.block
    return np.minimum(plan.shape.in_features, first + plan.block) - first


def describe_results(plan: FactorsPlan, entries: Entries) -> EntryResults:
    """Say what the entries hand to the PPU, which reads the mask and the gradients that it adds."""
    memory, (batch, m, b) = plan.problem.share, entries.places.T
    owned = count_owned(plan, b)
    whole = divide_up(owned * memory.data_bits, 8)
    passes = np.ones(len(owned), dtype=np.bool_) if plan.summed else ~plan.find_idle()[batch, m, b]
    return EntryResults(
        pes=divide_up(owned, plan.run),
        elements=owned,
        partial_bytes=divide_up(owned * memory.acc_bits, 8),
        whole_bytes=whole,
        written_bytes=whole,
        added_bytes=divide_up(owned, 8) * plan.problem.has_mask + len(plan.summed) * whole,
        passes=passes,
    )


def size_tiles(plan: FactorsPlan, entries: Entries) -> TileBytes:
    """Size the loads of all tiles, and what they write back: compressed on the way to DRAM."""
    shape, array = plan.shape, plan.problem.array
    sizes, first_elements, write_backs, loaded, written = [], [], [], [], []
    for products, filters, blocks, rows in entries.tiles:
        places = np.arange(products.start, products.stop)[:, None]
        read = (places * shape.rows + np.array(rows)).reshape(-1)
        results = (places * shape.out_features + np.array(filters)).reshape(-1)
        first = np.array([blocks.start * plan.block])
        end = np.array([min(shape.in_features, blocks.stop * plan.block)])
        is_last = rows.stop == shape.rows
        sizes.append(
            (
                int(plan.gradients.size(np.array([filters.start]), np.array([filters.stop]))[read].sum()),
                int(plan.inputs.size(first, end)[read].sum()),
                len(results) * size_raw(int(end[0] - first[0]), 1) * plan.problem.has_mask,
                sum(int(gradient.size(first, end)[results].sum()) for gradient in plan.summed) if is_last else 0,
            )
        )
        own = int(results[0]) * shape.in_features + int(first[0])
        gradient = int(read[0]) * shape.out_features + filters.start
        first_elements.append((gradient, int(read[0]) * shape.in_features + int(first[0]), own, own, own))
        write_backs.append(int(plan.written.size(first, end)[results].sum()))
        operands = plan.gradients.is_moved + plan.inputs.is_moved
        loaded.append(size_bits(array, [*[len(read)] * operands, *[len(results) * is_last] * len(plan.summed)]))
        written.append(
            size_bits(array, [len(results) * is_last * is_written_sparse(plan.problem) * plan.written.is_moved])
        )
    loads = TileLoads(list_tensors(plan), sizes, first_elements)
    return TileBytes(loads.total, np.array(write_backs, dtype=np.int64), pair_bits(loaded, written), loads)


def list_tensors(plan: FactorsPlan) -> list[Placed]:
    """List what lies in DRAM, by elements: gradients, inputs, masks, gradients that are added, results."""
    results = place_vectors(plan.written)
    mask = plan.written.nonzeros.size * size_raw(plan.shape.in_features, 1) * plan.problem.has_mask
    summed = sum(place_vectors(gradient).size_bytes for gradient in plan.summed)
    return [
        place_vectors(plan.gradients), place_vectors(plan.inputs), Placed(mask, results.rows),
        Placed(summed, results.rows), results,
    ]  # fmt: skip
